"""Reading what is to be answered."""

from pathlib import Path

import pytest

from common.errors import InputError
from deploy.rows import column_choices, fault_of, read_rows

PAIRS = [("sentence1", "sentence2")]
TEXTS = column_choices("sentence")


def read(folder: Path, name: str, content: bytes, choices: list = TEXTS) -> list[tuple[int, tuple[str, ...]]]:
    (folder / name).write_bytes(content)
    return list(read_rows(folder / name, choices))


@pytest.mark.parametrize(
    ("name", "content", "choices", "rows"),
    [
        ("a.txt", b"one\ntwo", TEXTS, [(1, ("one",)), (2, ("two",))]),
        ("a.txt", b"\xef\xbb\xbfone\r\n two \r\n", TEXTS, [(1, ("one",)), (2, (" two ",))]),
        ("a.tsv", b"text\none\n\"a\" b\n", TEXTS, [(2, ("one",)), (3, ('"a" b',))]),
        ("a.tsv", b"text\ttext_pair\na\tb\n", TEXTS, [(2, ("a", "b"))]),
        ("a.tsv", b"index\tsentence2\tsentence1\n0\tb\ta\n", PAIRS, [(2, ("a", "b"))]),
        ("a.tsv", b"x\t1\t*\tthe text\ny\t0\t\tn/a\n", [["4"]], [(1, ("the text",)), (2, ("n/a",))]),
        ("a.csv", b'id,text\n3,"a, ""b"""\n4,"two\nlines"\n5,c\n', TEXTS,
         [(2, ('a, "b"',)), (4, ("two\nlines",)), (5, ("c",))]),
        ("a.jsonl", b'{"text": "a\\tb", "id": 3}\n', TEXTS, [(1, ("a\tb",))]),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\\u20ac"}\n', TEXTS, [(1, ("a",)), (2, ("€",))]),
        ("a.jsonl", b'{"question": "q", "context": "c"}\n', column_choices("question"), [(1, ("q", "c"))]),
    ],
)  # fmt: skip
def test_rows_are_read(tmp_path: Path, name: str, content: bytes, choices: list, rows: list) -> None:
    assert read(tmp_path, name, content, choices) == rows


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.xml", b"text\n", "a.xml: its name should end in .txt, .tsv, .csv, .jsonl"),
        ("a.csv", b'text\n"a, b"\na,b\n', "a.csv:3: expected 1 columns, found 2"),
        ("a.txt", b"", "a.txt: the file is empty"),
        ("a.txt", b"one\n\nthree\n", "a.txt:2: the line is empty"),
        ("a.txt", b"one\nt\0wo\n", "a.txt:2: the line holds a NUL character"),
        ("a.txt", b"one\n\xff\n", "a.txt:2: byte 0xff is not UTF-8"),
        ("a.tsv", b"sentence1\na\n", "a.tsv:1: expected the columns text and text_pair or text or"),
        ("a.tsv", b"text\ttext_pair\na\n", "a.tsv:2: expected 2 columns, found 1"),
        ("a.tsv", b"text\ttext_pair\na\tb\tc\n", "a.tsv:2: expected 2 columns, found 3"),
        ("a.tsv", b"text\ttext_pair\na\t \n", "a.tsv:2: text_pair is empty"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a.jsonl:2: not JSON"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl:1: not JSON: nested too deeply"),
        ("a.jsonl", b'["text"]\n', "a.jsonl:1: expected a JSON object, found a list"),
        ("a.jsonl", b'{"text": 3}\n', "a.jsonl:1: text should be a text, not 3"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "a.jsonl:1: text holds half a surrogate pair"),
        ("a.jsonl", b'{"words": "a"}\n', "a.jsonl:1: expected the columns text and text_pair or"),
        ("a.jsonl", b'{"text": "a", "text": "b"}\n', "a.jsonl:1: not JSON: the key 'text' stands twice"),
        ("a.txt", b"one\n" + b"x" * 1_000_001, "a.txt:2: the line has 1000001 characters, more than 1000000"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, name, content)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.txt: no such file"):
        list(read_rows(tmp_path / "nothing.txt", TEXTS))


@pytest.mark.parametrize("text", ["a", " a", "\u200b", "😀", "n/a", "\x01"])
def test_odd_texts_can_be_answered(text: str) -> None:
    assert fault_of(text) == ""
