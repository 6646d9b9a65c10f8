"""What becomes of a tokenizer where a model folder is converted, and which files a model's digest is of."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from checkpoints.convert import main
from checkpoints.folder import digest_of
from common.files import sha256_of
from common.model_files import TOKENIZER_FILES
from encoders.tokenizer import SPECIALS, Tokenizer
from tests.checkpoints.golden_folders import GOLDEN, error_of
from tests.golden.tokenizer_folders import library_tokenizer, lines

WORDS = [*SPECIALS, *"abcdefghij", "bad", "##s"]
TEXT = "Bad bads, [MASK] <ent> A"


def library() -> Any:
    return library_tokenizer(WORDS)


def source_of(folder: Path, files: dict[str, Any]) -> Path:
    """The golden BERT with these files of a tokenizer."""
    shutil.copytree(GOLDEN / "bert", folder)
    (folder / "outputs.npz").unlink()
    for name, content in files.items():
        if isinstance(content, dict):
            content = json.dumps(content).encode()
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.to_str().encode())
    return folder


def converted(source: Path, to: str) -> Path:
    target = source.with_name(f"{source.name} for {to}")
    main([str(source), str(target), "--to", to])
    return target


def names_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} & set(TOKENIZER_FILES)


def ids(folder: Path) -> Iterable[list[int]]:
    return Tokenizer(folder).encode_plain([TEXT])


@pytest.mark.parametrize("to", ["huggingface", "paddlenlp"])
def test_every_file_goes_along(tmp_path: Path, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = source_of(tmp_path / "source", {
        "vocab.txt": lines(WORDS), "added_tokens.json": {"<ent>": len(WORDS)}, "notes.md": b"hello",
        "special_tokens_map.json": {"mask_token": "[MASK]"}, "tokenizer_config.json": {"do_lower_case": True},
    })  # fmt: skip
    target = converted(source, to)
    for name in names_of(source):
        assert (target / name).read_bytes() == (source / name).read_bytes()
    assert len(names_of(target)) == 4
    assert capsys.readouterr().err.splitlines()[-1] == f"note: left in {source}: notes.md"


def test_tokenizer_json_goes_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = source_of(tmp_path / "source", {"tokenizer.json": library()})
    target = converted(source, "huggingface")
    assert (target / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
    assert ids(target) == ids(source)
    assert "note" not in capsys.readouterr().err


def test_paddlenlp_gets_a_vocab_txt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = source_of(tmp_path / "source", {"tokenizer.json": library()})
    target = converted(source, "paddlenlp")
    assert (target / "vocab.txt").read_bytes() == lines(WORDS)
    assert "vocab.txt is made from tokenizer.json" in capsys.readouterr().err
    assert ids(target) == ids(source)
    (target / "tokenizer.json").unlink()
    assert ids(target) == ids(source)


def test_what_vocab_txt_cannot_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = library()
    tokenizer.add_tokens(["<ent>"])
    source = source_of(tmp_path / "source", {"tokenizer.json": tokenizer})
    target = converted(source, "paddlenlp")
    err = capsys.readouterr().err
    assert all(word in err for word in ("PaddleNLP", "tokenizer.json", "no vocabulary")), err
    assert names_of(target) == {"tokenizer.json"}
    source = source_of(tmp_path / "both", {"tokenizer.json": tokenizer, "vocab.txt": lines(WORDS)})
    converted(source, "paddlenlp")
    assert "other ids" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["huggingface", "paddlenlp"])
def test_the_case_that_was_seen_is_said(tmp_path: Path, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A cased vocabulary that no file calls so: others would lower-case."""
    pieces = [*WORDS, "Gene", "Protein", "Mice", "Cells", "Tumour"]
    source = source_of(tmp_path / "source", {"vocab.txt": lines(pieces)})
    target = converted(source, to)
    assert "do_lower_case false" in capsys.readouterr().err
    assert json.loads((target / "tokenizer_config.json").read_text(encoding="utf-8")) == {
        "do_lower_case": False
    }
    assert ids(target) == ids(source)


@pytest.mark.parametrize(
    ("files", "fragments"),
    [
        ({}, ["vocab.txt", "no such file", "tokenizer.json"]),
        ({"vocab.txt": b"a\nb\n"}, ["vocab.txt", "lacks [PAD]"]),
        ({"tokenizer.json": b"{}"}, ["tokenizer.json", "model"]),
        ({"vocab.txt": lines([*WORDS, *map(str, range(100))])}, ["vocab.txt", "vocab_size 60"]),
        ({"vocab.txt": lines(WORDS), "tokenizer_config.json": {"do_basic_tokenize": False}},
         ["do_basic_tokenize"]),
    ],
)  # fmt: skip
def test_what_is_not_read_is_not_converted(
    tmp_path: Path, files: dict[str, Any], fragments: list[str]
) -> None:
    source = source_of(tmp_path / "source", files)
    message = error_of(lambda: converted(source, "huggingface"))
    assert all(fragment in message for fragment in fragments), message
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_digests_of_a_folder_with_vocab_txt_are_what_they_were(tmp_path: Path) -> None:
    source = source_of(tmp_path / "source", {"vocab.txt": lines(WORDS)})
    names = ("model.safetensors", "config.json", "vocab.txt")
    parts = "".join(sha256_of(source / name) for name in names)
    assert digest_of(source) == hashlib.sha256(parts.encode()).hexdigest()


def test_digests_are_of_all_that_gives_ids(tmp_path: Path) -> None:
    source = source_of(tmp_path / "source", {"tokenizer.json": library()})
    digests = {digest_of(source)}
    for name, content in (("added_tokens.json", b"{}"), ("special_tokens_map.json", b"{}")):
        (source / name).write_bytes(content)
        digests.add(digest_of(source))
    (source / "tokenizer.json").write_bytes(b" " + (source / "tokenizer.json").read_bytes())
    digests.add(digest_of(source))
    assert len(digests) == 4
