"""A vocabulary that does not go with its model, and a folder that is not as it was saved."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from checkpoints.folder import check_manifest, read_config, save_checkpoint
from checkpoints.registry import model_folder, resolve
from checkpoints.tokenizer import tokenizer_of
from encoders.config import EncoderConfig
from encoders.tokenizer import Tokenizer
from tests.checkpoints.golden_folders import GOLDEN, check_error, error_of, read
from tests.golden.tokenizer_folders import VOCABULARY, write_shape

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]


def opened(folder: Path, pieces: list[str], **sizes: int) -> Tokenizer:
    """The tokenizer of a folder with this vocabulary, beside a network of these sizes."""
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in pieces), encoding="utf-8")
    return tokenizer_of(folder, EncoderConfig(**{"vocab_size": len(WORDS), **sizes}))


def test_a_vocabulary_that_fits_is_not_talked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(opened(tmp_path, WORDS)) == 8
    assert len(opened(tmp_path, WORDS, vocab_size=64)) == 8  # embeddings padded to a round number
    assert capsys.readouterr().err == ""


def test_ids_beyond_the_embeddings(tmp_path: Path) -> None:
    check_error(lambda: opened(tmp_path, [*WORDS, "d"]), tmp_path / "vocab.txt", "9 pieces", "vocab_size 8")


@pytest.mark.parametrize("size", [9, 1000, 136])
def test_a_vocabulary_cut_short(tmp_path: Path, size: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(opened(tmp_path, WORDS, vocab_size=size)) == 8
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {tmp_path / 'vocab.txt'}: has 8 pieces, config.json says vocab")


def test_a_vocabulary_in_another_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened(tmp_path, WORDS[::-1])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"warning: {tmp_path / 'vocab.txt'}: [PAD] is piece 7, config.json says pad_token_id 0;"
    )


@pytest.mark.parametrize("missing", WORDS[:5])
def test_special_pieces_are_there(tmp_path: Path, missing: str) -> None:
    pieces = [word for word in WORDS if word != missing]
    check_error(lambda: opened(tmp_path, pieces), tmp_path / "vocab.txt", f"lacks {missing};")


CAPITALS = [*WORDS[:5], *(f"{letter}x" for letter in "ABCDEFGH"), *(f"{letter}y" for letter in "abcdefgh")]
NO_CAPITALS = [*WORDS[:5], *(f"{letter}x" for letter in "abcdefghijklmnopqrstuvwxyz")]


@pytest.mark.parametrize(
    ("pieces", "lower", "beginning"),
    [
        (CAPITALS, None, "note"),
        (CAPITALS, True, "warning"),
        (CAPITALS, False, ""),
        (NO_CAPITALS, None, ""),
        (NO_CAPITALS, True, ""),
        (NO_CAPITALS, False, "warning"),
    ],
)
def test_letter_case_that_the_vocabulary_does_not_have(
    tmp_path: Path, pieces: list[str], lower: bool | None, beginning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "vocab.txt").write_text("".join(f"{word}\n" for word in pieces), encoding="utf-8")
    tokenizer = tokenizer_of(tmp_path, EncoderConfig(vocab_size=len(pieces)), lower)
    err = capsys.readouterr().err
    if beginning:
        assert err.startswith(f"{beginning}: {tmp_path / 'vocab.txt'}: ")
        assert err.count("\n") == 1
        assert "capital letters" in err
        assert "--do_lower_case" in err
    else:
        assert err == ""
    assert tokenizer.settings["do_lower_case"] is (pieces is NO_CAPITALS if lower is None else lower)


ACCENTS = [*WORDS[:5], *(f"{letter}é" for letter in "abcdefgh")]


@pytest.mark.parametrize(("settings", "warns"), [({}, True), ({"strip_accents": False}, False),
                                                 ({"do_lower_case": False}, False)])  # fmt: skip
def test_accents_that_are_stripped(
    tmp_path: Path, settings: dict[str, bool], warns: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in German uncased vocabularies, whose folders may not say strip_accents."""
    pieces = [*ACCENTS, "Ab"]
    (tmp_path / "vocab.txt").write_text("".join(f"{word}\n" for word in pieces), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    tokenizer_of(tmp_path, EncoderConfig(vocab_size=len(pieces)))
    err = capsys.readouterr().err
    assert ("8 of its 9 words have accents" in err) is warns
    assert ("strip_accents" in err) is warns


def test_added_tokens_without_embeddings(tmp_path: Path) -> None:
    (tmp_path / "added_tokens.json").write_text('{"<ent>": 8}', encoding="utf-8")
    message = error_of(lambda: opened(tmp_path, WORDS))
    assert "has 9 pieces, config.json says vocab_size 8; the network has no embeddings of <ent>" in message


def test_the_vocabularies_of_published_models_raise_no_doubts(capsys: pytest.CaptureFixture[str]) -> None:
    """BERT's uncased one, which comes with convbert-mini."""
    tokenizer_of(resolve("convbert-mini"), EncoderConfig(vocab_size=30522))
    assert capsys.readouterr().err == ""


def test_a_tokenizer_json_is_held_against_the_network_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shape("json_with_added", tmp_path)
    count = len(VOCABULARY) + 2
    (tmp_path / "vocab.txt").unlink()
    assert len(tokenizer_of(tmp_path, EncoderConfig(vocab_size=count))) == count
    assert "do_lower_case is true" in capsys.readouterr().err  # its words are of both kinds
    check_error(
        lambda: tokenizer_of(tmp_path, EncoderConfig(vocab_size=count - 1)),
        tmp_path / "tokenizer.json",
        f"has {count} pieces",
    )


def test_what_was_changed_in_a_folder_of_ours(tmp_path: Path) -> None:
    """The order of words alone: as many, the special ones in their places, every id has an embedding."""
    config = dataclasses.replace(read_config(GOLDEN / "bert"), vocab_size=343)
    arrays = read(GOLDEN / "bert").arrays
    word = "encoder.embeddings.word.weight"
    arrays[word] = np.resize(arrays[word], (343, 32))
    save_checkpoint(tmp_path / "run" / "best", config, arrays, Tokenizer(GOLDEN / "tokenizer"))
    folder = model_folder(tmp_path / "run")
    check_manifest(folder)
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    lines[100], lines[101] = lines[101], lines[100]
    (folder / "vocab.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    tokenizer_of(folder, config)
    check_error(lambda: check_manifest(folder), folder / "vocab.txt", "SHA-256", "remove manifest.json")
