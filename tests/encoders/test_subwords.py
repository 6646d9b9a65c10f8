"""Byte-level BPE and Unigram tokenisers: transformers 5.23.0's ids (tests/golden/README.md), and faults."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from encoders.sentencepiece_file import read_sentencepieces
from encoders.tokenizer import Tokenizer
from tests.golden.nasty_texts import pairs
from tests.golden.tokenizer_folders import TEXTS

GOLDEN = Path(__file__).parents[1] / "golden" / "tokenizer" / "subwords"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text(encoding="ascii"))
NAMES = [name for name in EXPECTED if name != "made_with"]
PAIRS = [pair for pair in pairs() if pair[1]]
UNCUT = 100_000


def check(tokenizer: Tokenizer, name: str) -> None:
    """The ids of every text and pair are transformers'."""
    for text, (ids, first_length), wanted in zip(
        TEXTS, tokenizer.encode([(text,) for text in TEXTS], UNCUT), EXPECTED[name]["texts"], strict=True
    ):
        assert (text, ids, first_length) == (text, wanted, len(wanted))
    for pair, (ids, _), wanted in zip(
        PAIRS, tokenizer.encode(PAIRS, 24), EXPECTED[name]["pairs"], strict=True
    ):
        assert (pair, ids) == (pair, wanted)


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_those_of_transformers(name: str) -> None:
    tokenizer = Tokenizer(GOLDEN / name)
    check(tokenizer, name)
    assert tokenizer.notes == []


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_tokeniser_gives_the_same(name: str, tmp_path: Path) -> None:
    shutil.copy(GOLDEN / name / "config.json", tmp_path)
    Tokenizer(GOLDEN / name).save(tmp_path)
    again = Tokenizer(tmp_path)
    check(again, name)
    assert again.special_tokens == Tokenizer(GOLDEN / name).special_tokens
    assert again.notes == []


@pytest.mark.parametrize("name", NAMES)
def test_the_second_text_begins_behind_the_separators(name: str) -> None:
    tokenizer = Tokenizer(GOLDEN / name)
    first, second = tokenizer.token_id("cls_token"), tokenizer.token_id("sep_token")
    for texts in (("the movie", "good 😀"), ("the movie", ""), ("", "good"), ("", "")):
        ((ids, length),) = tokenizer.encode([texts], UNCUT)
        a, b = (tokenizer.encode_plain([text])[0] for text in texts)
        assert ids == [first, *a, *[second] * tokenizer.separators, *b, second]
        assert length == 1 + len(a) + tokenizer.separators


@pytest.mark.parametrize("name", NAMES)
def test_characters_of_every_token(name: str) -> None:
    """Ascending, inside of the text, without white space around them; every other character in a token."""
    tokenizer = Tokenizer(GOLDEN / name)
    for text, (ids, offsets) in zip(TEXTS, tokenizer.encode_with_offsets(TEXTS), strict=True):
        assert len(ids) == len(offsets)
        assert offsets == sorted(offsets)
        assert [behind for _, behind in offsets] == sorted(behind for _, behind in offsets)
        for start, behind in offsets:
            cut = text[start:behind]
            assert 0 <= start < behind <= len(text)
            assert cut == cut.strip() or not cut.strip()
        covered = {at for start, behind in offsets for at in range(start, behind)}
        lost = {c for at, c in enumerate(text) if at not in covered and not c.isspace()}
        assert all(not c.isprintable() or not c.isascii() for c in lost), (text, lost)


def test_a_pieces_space_and_a_characters_bytes_by_hand() -> None:
    tokenizer = Tokenizer(GOLDEN / "roberta_files")
    text = " the  é😀"
    ((_, offsets),) = tokenizer.encode_with_offsets([text])
    cuts = [text[start:behind] for start, behind in offsets]
    assert cuts[0] == "the"
    assert cuts.count("é") in (1, 2)
    assert cuts.count("😀") > 1
    assert " " in cuts  # the first of two spaces is a token of its own


def test_changes_of_berts_normaliser_are_refused() -> None:
    for name in ("roberta_files", "roberta_json"):
        with pytest.raises(InputError, match="--do_lower_case: changes"):
            Tokenizer(GOLDEN / name, do_lower_case=True)


@pytest.mark.parametrize(
    ("name", "files", "fragment"),
    [
        ("roberta_files", {"merges.txt": None}, "merges.txt: no such file"),
        ("roberta_files", {"vocab.json": None}, "vocab.json: no such file"),
        ("roberta_files", {"vocab.json": b"{"}, "vocab.json: the tokenizers library cannot read it"),
        ("roberta_files", {"merges.txt": b"a b c\n"}, "vocab.json: the tokenizers library cannot read it"),
        ("roberta_files", {"tokenizer_config.json": b'{"add_prefix_space": 1}'}, "must be true or false"),
        ("deberta_spm", {"spm.model": None}, "spm.model: no such file"),
        ("xlm_spm", {"sentencepiece.bpe.model": None}, "no such file"),
        ("deberta_spm", {"spm.model": b"\x0a\xff\x7f"}, "spm.model: is no SentencePiece model"),
        ("deberta_spm", {"spm.model": b""}, "spm.model: is no Unigram model"),
        (
            "roberta_json",
            {"tokenizer_config.json": b'{"tokenizer_class": "BertTokenizer"}'},
            "its model is BPE; expected WordPiece",
        ),
        (
            "deberta_json",
            {"tokenizer_config.json": b"{}", "config.json": b'{"model_type": "roberta"}'},
            "tokenizer.json: its model is Unigram; expected BPE",
        ),
    ],
)
def test_faults(name: str, files: dict[str, bytes | None], fragment: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / name, tmp_path / "model")
    for file, content in files.items():
        if content is None:
            (tmp_path / "model" / file).unlink()
        else:
            (tmp_path / "model" / file).write_bytes(content)
    with pytest.raises(InputError) as caught:
        Tokenizer(tmp_path / "model")
    message = str(caught.value)
    assert message.startswith(str(tmp_path))
    assert fragment in message
    assert "\n" not in message


@pytest.mark.parametrize("cut", [1, 100, 1000, 5000])
def test_a_sentencepiece_file_cut_short(cut: int, tmp_path: Path) -> None:
    content = (GOLDEN / "deberta_spm" / "spm.model").read_bytes()
    (tmp_path / "spm.model").write_bytes(content[:-cut])
    whole = read_sentencepieces(GOLDEN / "deberta_spm" / "spm.model").pieces
    result: Any = "refused"
    with contextlib.suppress(InputError):  # else it is cut between two fields
        result = read_sentencepieces(tmp_path / "spm.model").pieces
    assert result == "refused" or result == whole[: len(result)]


def test_what_tokenizer_json_says_besides_is_noted(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "roberta_json", tmp_path / "model")
    values = json.loads((tmp_path / "model" / "tokenizer.json").read_text(encoding="utf-8"))
    values["normalizer"] = {"type": "NFKC"}
    (tmp_path / "model" / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    (note,) = Tokenizer(tmp_path / "model").notes
    assert "the normalizer included, which transformers 5's RobertaTokenizer leaves out" in note
