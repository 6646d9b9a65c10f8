"""Ids and offsets of folders in many shapes, against transformers 5.23.0 (see tests/golden/README.md)."""

import json
from pathlib import Path
from typing import Any

import pytest

from encoders.tokenizer import Tokenizer
from tests.golden.tokenizer_folders import BESIDE, SHAPES, TEXTS, write_shape

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/tokenizer/folders.json").read_text(encoding="ascii"))
NUMBERS = dict(GOLDEN["folders"])
ANSWERS = [answers for _, answers in GOLDEN["answers"]]
UNCUT = 100_000


def check(tokenizer: Tokenizer, shape: str) -> None:
    """The ids and offsets of every text, and of a pair, are transformers'."""
    *expected, pair = [answers[number] for answers, number in zip(ANSWERS, NUMBERS[shape], strict=True)]
    for text, (ids, offsets), answer in zip(
        TEXTS, tokenizer.encode_with_offsets(TEXTS), expected, strict=True
    ):
        assert (text, ids, offsets) == (text, answer[0], list(zip(*answer[1:], strict=True)))
    assert tokenizer.encode_plain(TEXTS) == [answer[0] for answer in expected]
    ((ids, first_length),) = tokenizer.encode([BESIDE[:2]], UNCUT)
    assert (ids, [int(column >= first_length) for column in range(len(ids))]) == tuple(pair)


@pytest.fixture(params=list(SHAPES))
def shape(request: pytest.FixtureRequest) -> str:
    return request.param


def test_ids_and_offsets_are_those_of_transformers(tmp_path: Path, shape: str) -> None:
    write_shape(shape, tmp_path)
    check(Tokenizer(tmp_path), shape)


def test_digests_tell_what_gives_other_ids(tmp_path: Path) -> None:
    """A cache of tokens is kept under them. Of equal digests the answers are equal."""
    by_digest: dict[str, set[tuple[int, ...]]] = {}
    for shape in SHAPES:
        write_shape(shape, tmp_path / shape)
        by_digest.setdefault(Tokenizer(tmp_path / shape).digest, set()).add(tuple(NUMBERS[shape]))
    assert all(len(answers) == 1 for answers in by_digest.values())
    assert len(by_digest) >= len(set(map(tuple, NUMBERS.values())))


def test_a_saved_tokeniser_gives_the_same(tmp_path: Path, shape: str) -> None:
    write_shape(shape, tmp_path / "before")
    before = Tokenizer(tmp_path / "before")
    before.save(tmp_path / "after")
    after = Tokenizer(tmp_path / "after")
    check(after, shape)
    assert after.vocabulary == before.vocabulary
    assert after.special_tokens == before.special_tokens
    assert [note for note in after.notes if "stands already" not in note] == []
    after.save(tmp_path / "again")
    files: list[dict[str, Any]] = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("after", "again")
    ]
    assert files[0] == files[1]
