"""Which lines a corpus may hold, and what is said of the others."""

from pathlib import Path

import pytest

from common.errors import InputError
from pretraining.corpus import LONGEST_LINE, corpus_path, read_passages


def corpus(folder: Path, content: bytes) -> Path:
    path = folder / "train.data"
    path.write_bytes(content)
    return path


def test_passages_pairs_and_ends_of_documents(tmp_path: Path) -> None:
    path = corpus(tmp_path, "\ufeffOne text.\r\n\nA b\tc d \n \t \nÜber".encode())
    assert [(passage.line, passage.texts) for passage in read_passages(path)] == [
        (1, ("One text.",)),
        (2, ()),
        (3, ("A b", "c d")),
        (4, ()),
        (5, ("Über",)),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"fine\nab\xff\n", ":2: byte 0xff is not UTF-8"),
        (b"fine\nfine\na\0b\n", ":3: holds a NUL byte"),
        (b"fine\n" + b"a " * 2**19 + b"\n", f":2: is longer than {LONGEST_LINE} bytes"),
        (b"a\tb\tc\n", ":1: holds 2 TABs"),
        (b"fine\na\t \n", ":2: one text of the pair is empty"),
    ],
)
def test_what_is_no_text_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = corpus(tmp_path, content)
    with pytest.raises(InputError) as caught:
        list(read_passages(path))
    assert str(caught.value).startswith(f"{path}{message}")


def test_a_line_of_exactly_the_longest_length_is_read(tmp_path: Path) -> None:
    path = corpus(tmp_path, b"a" * (LONGEST_LINE - 1) + b"\nb\n")
    assert [len(passage.texts[0]) for passage in read_passages(path)] == [LONGEST_LINE - 1, 1]


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        corpus_path(tmp_path)
    corpus(tmp_path, b"")
    with pytest.raises(InputError, match="is empty"):
        corpus_path(tmp_path)
