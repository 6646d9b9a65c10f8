"""The tokenizer's ids against transformers 5.23.0 (see tests/golden/README.md); faults of its files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from encoders.tokenizer import SPECIALS, Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "tokenizer"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "expected.json").read_text(encoding="ascii"))["cases"]
UNCUT = 100_000  # longer than any text
SMALL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film", "##s", "."]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with the golden vocabulary."""
    shutil.copy(GOLDEN / "vocab.txt", tmp_path)
    return tmp_path


def with_settings(folder: Path, **settings: Any) -> Tokenizer:
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return Tokenizer(folder)


def with_vocabulary(folder: Path, content: bytes) -> Tokenizer:
    (folder / "vocab.txt").write_bytes(content)
    return Tokenizer(folder)


def fault(folder: Path) -> str:
    """The one line that a folder's Tokenizer stops with."""
    with pytest.raises(InputError) as caught:
        Tokenizer(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def ids(tokenizer: Tokenizer, *texts: str, max_length: int = UNCUT) -> list[int]:
    return tokenizer.encode([texts], max_length)[0][0]


def test_golden_cases_are_of_every_kind() -> None:
    kinds = {(case["do_lower_case"], case["max_length"], len(case["texts"])) for case in CASES}
    singles = {(lower, length, 1) for lower in (True, False) for length in (None, 16, 32)}
    assert kinds == singles | {(lower, length, 2) for lower in (True, False) for length in (16, 32)}


@pytest.mark.parametrize("max_length", [None, 16, 32])
@pytest.mark.parametrize("lower", [True, False])
def test_equals_transformers(folder: Path, lower: bool, max_length: int | None) -> None:
    tokenizer = with_settings(folder, do_lower_case=lower)
    cases = [case for case in CASES if (case["do_lower_case"], case["max_length"]) == (lower, max_length)]
    # transformers, given one pair at a time, takes an empty second text for none; in a batch it does not.
    texts = [tuple(case["texts"][: 1 if case["texts"][-1] == "" else 2]) for case in cases]
    encoded = tokenizer.encode(texts, max_length or UNCUT)
    for case, (actual, first_length) in zip(cases, encoded, strict=True):
        assert (case["texts"], actual) == (case["texts"], case["input_ids"])
        token_types = [int(column >= first_length) for column in range(len(actual))]
        assert (case["texts"], token_types) == (case["texts"], case["token_type_ids"])


def test_a_text_gives_the_same_alone_and_among_others(folder: Path) -> None:
    tokenizer = Tokenizer(folder)
    texts = [tuple(case["texts"]) for case in CASES if case["do_lower_case"] and case["max_length"] == 16]
    assert tokenizer.encode(texts, 16) == [tokenizer.encode([text], 16)[0] for text in texts]


def test_lower_case_is_the_default(folder: Path) -> None:
    assert ids(Tokenizer(folder), "The FILM") == ids(with_settings(folder, do_lower_case=True), "the film")
    assert ids(with_settings(folder, do_lower_case=False), "The") != ids(Tokenizer(folder), "the")


def test_accents_and_chinese_by_hand(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIALS, "cafe", "café", "中文", "中", "文"]), "utf-8")
    assert ids(Tokenizer(tmp_path), "Café 中文") == [2, 5, 8, 9, 3]
    kept = with_settings(tmp_path, strip_accents=False, tokenize_chinese_chars=False)
    assert ids(kept, "Café 中文") == [2, 6, 7, 3]
    assert ids(with_settings(tmp_path, do_lower_case=False, strip_accents=True), "café") == [2, 5, 3]


def test_segments_and_cutting_by_hand(tmp_path: Path) -> None:
    tokenizer = with_vocabulary(tmp_path, "\n".join(SMALL).encode())
    assert len(tokenizer) == 9
    pair = ("Good films.", "film")  # [CLS] good film ##s . [SEP] film [SEP]
    assert tokenizer.encode([pair], 128) == [([2, 5, 6, 7, 8, 3, 6, 3], 6)]
    assert tokenizer.encode([pair], 7) == [([2, 5, 6, 7, 3, 6, 3], 5)]  # cut at the end of the longer
    assert tokenizer.encode([pair[::-1]], 6) == [([2, 6, 3, 5, 6, 3], 3)]
    assert tokenizer.encode([("Good films.",)], 128) == [([2, 5, 6, 7, 8, 3], 6)]
    assert tokenizer.encode([("Good films.",)], 4) == [([2, 5, 6, 3], 4)]
    assert tokenizer.encode([pair], 3) == [([2, 3, 3], 2)]
    assert tokenizer.encode([("", "")], 128) == [([2, 3, 3], 2)]
    assert tokenizer.encode([("good", "")], 128) == [([2, 5, 3, 3], 3)]


def test_special_tokens_in_a_text_stay_whole(tmp_path: Path) -> None:
    # As transformers does; in another case or spaced out they are plain text.
    tokenizer = with_vocabulary(tmp_path, "\n".join(SMALL).encode())
    assert ids(tokenizer, "good [MASK] [SEP]film") == [2, 5, 4, 3, 6, 3]
    assert ids(tokenizer, "[mask]") == [2, 1, 1, 1, 3]


def test_saving_and_reading_keeps_every_id(folder: Path, tmp_path: Path) -> None:
    texts = [tuple(case["texts"]) for case in CASES if case["do_lower_case"]]
    for lower in (True, False):
        tokenizer = with_settings(folder, do_lower_case=lower, strip_accents=lower, model_max_length=512)
        tokenizer.save(tmp_path / "copy")
        assert Tokenizer(tmp_path / "copy").encode(texts, 32) == tokenizer.encode(texts, 32)
        assert Tokenizer(tmp_path / "copy").digest == tokenizer.digest
    assert (tmp_path / "copy" / "vocab.txt").read_bytes() == (GOLDEN / "vocab.txt").read_bytes()


def test_saved_settings_name_the_special_tokens(folder: Path, tmp_path: Path) -> None:
    with_settings(folder, do_lower_case=False).save(tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / "tokenizer_config.json").read_text(encoding="utf-8")) == {
        "do_lower_case": False, "tokenize_chinese_chars": True, "strip_accents": None,
        "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]",
        "mask_token": "[MASK]", "tokenizer_class": "BertTokenizer",
    }  # fmt: skip


def test_digest_changes_with_whatever_changes_ids(folder: Path) -> None:
    digests = {with_settings(folder, do_lower_case=lower).digest for lower in (True, False)}
    digests.add(with_settings(folder, strip_accents=False).digest)
    digests.add(with_settings(folder, tokenize_chinese_chars=False).digest)
    lines = (GOLDEN / "vocab.txt").read_bytes().splitlines(keepends=True)
    digests.add(with_vocabulary(folder, b"".join([*lines[:-2], lines[-1], lines[-2]])).digest)
    assert len(digests) == 5
    assert with_settings(folder, model_max_length=1).digest == with_settings(folder).digest


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_do_not_count(tmp_path: Path, ending: bytes, last: bool) -> None:
    content = (GOLDEN / "vocab.txt").read_bytes().replace(b"\n", ending)
    tokenizer = with_vocabulary(tmp_path, content if last else content.removesuffix(ending))
    assert tokenizer.vocabulary == Tokenizer(GOLDEN).vocabulary


def test_missing_vocabulary(tmp_path: Path) -> None:
    assert fault(tmp_path).startswith(f"{tmp_path / 'vocab.txt'}: no such file")


@pytest.mark.parametrize("absent", SPECIALS)
def test_vocabulary_without_a_special_token(tmp_path: Path, absent: str) -> None:
    (tmp_path / "vocab.txt").write_text(
        "\n".join(piece for piece in SMALL if piece != absent), encoding="utf-8"
    )
    assert fault(tmp_path).startswith(f"{tmp_path / 'vocab.txt'}: lacks {absent};")


@pytest.mark.parametrize("content", [b"", b"\n", b"GIF89a"])
def test_file_that_is_no_vocabulary(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vocab.txt").write_bytes(content)
    assert "lacks [PAD], [UNK], [CLS], [SEP], [MASK]; is it a BERT" in fault(tmp_path)


def test_repeated_line(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SMALL, "bad", "film", "end"]), encoding="utf-8")
    tokenizer = Tokenizer(tmp_path)
    (note,) = tokenizer.notes
    assert note.startswith(f"{tmp_path / 'vocab.txt'}:11: 'film' stands already in line 7")
    assert (len(tokenizer), ids(tokenizer, "film")) == (12, [2, 10, 3])  # the last line's, as in transformers


def test_vocabulary_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes("\n".join([*SMALL, "café"]).encode("latin-1"))
    assert fault(tmp_path).startswith(f"{tmp_path / 'vocab.txt'}:10: byte 0xe9 is not UTF-8")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[1]", "expected a JSON object, found a list"),
        (b'{"do_lower_case": "no"}', "do_lower_case must be true or false, not 'no'"),
        (b'{"strip_accents": 1}', "strip_accents must be true or false, not 1"),
        (b'{"tokenize_chinese_chars": null}', "tokenize_chinese_chars must be true or false, not None"),
    ],
)
def test_damaged_settings(folder: Path, content: bytes, fragment: str) -> None:
    (folder / "tokenizer_config.json").write_bytes(content)
    message = fault(folder)
    assert message.startswith(str(folder / "tokenizer_config.json"))
    assert fragment in message


def test_a_byte_order_mark_is_no_part_of_the_first_piece(tmp_path: Path) -> None:
    """Ids count lines, so that accepting the mark leaves every id what it is without."""
    content = (GOLDEN / "vocab.txt").read_bytes()
    marked = with_vocabulary(tmp_path, b"\xef\xbb\xbf" + content)
    assert marked.vocabulary == Tokenizer(GOLDEN).vocabulary
    marked.save(tmp_path / "copy")
    assert (tmp_path / "copy" / "vocab.txt").read_bytes() == content


def test_settings_nested_too_deeply(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_bytes(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert fault(folder) == f"{folder / 'tokenizer_config.json'}: not JSON: nested too deeply"
