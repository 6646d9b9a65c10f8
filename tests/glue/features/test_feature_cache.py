"""The cache gives what tokenising gives, and is keyed by everything that changes it."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.cache import cache_dir
from common.files import write_json
from encoders.tokenizer import Tokenizer
from glue import features
from tests.glue.features.mrpc_rows import PAIRS, VOCABULARY, assert_equal, load, rows_of, texts, write_data


def test_the_second_time_is_read(data: Path, tokenizer: Tokenizer, cache: Path, tokenised: list[int]) -> None:
    first = load(data, tokenizer)
    (entry,) = cache.iterdir()
    content = entry.read_bytes()
    second = load(data, tokenizer)
    assert tokenised == [3]
    assert_equal(second.features, first.features)
    assert (second.examples, second.digest) == (first.examples, first.digest)
    assert [path.read_bytes() for path in cache.iterdir()] == [content]
    assert cache_dir() == cache.parent


def test_what_is_read_is_what_is_there(data: Path, tokenizer: Tokenizer, cache: Path) -> None:
    """Not tokenised and thrown away: other tokens in the entry come out as they are."""
    load(data, tokenizer)
    (entry,) = cache.iterdir()
    other = {
        "ids": np.array([2, 9, 3, 2, 3, 2, 8, 3], np.int32),
        "starts": np.array([0, 3, 5, 8]),
        "first_lengths": np.array([2, 2, 3], np.int32),
    }
    np.savez(entry, **other)
    assert rows_of(load(data, tokenizer).features) == [([2, 9, 3], 2), ([2, 3], 2), ([2, 8, 3], 3)]


LIES: dict[str, dict[str, Any]] = {
    "an id beyond the vocabulary": {"ids": np.array([2, 343, 3, 2, 3, 2, 8, 3], np.int32)},
    "an id below zero": {"ids": np.array([2, -1, 3, 2, 3, 2, 8, 3], np.int32)},
    "ids of another kind": {"ids": np.array([2, 9, 3, 2, 3, 2, 8, 3], np.float32)},
    "ids in rows": {"ids": np.array([[2, 9, 3, 2, 3, 2, 8, 3]], np.int32)},
    "no ids": {"ids": np.array([], np.int32)},
    "fewer rows": {"starts": np.array([0, 3, 8]), "first_lengths": np.array([2, 2], np.int32)},
    "rows that go back": {"starts": np.array([0, 5, 3, 8])},
    "rows beyond the ids": {"starts": np.array([0, 3, 5, 9])},
    "rows that begin late": {"starts": np.array([1, 3, 5, 8])},
    "starts of another kind": {"starts": np.array([0, 3, 5, 8], np.int32)},
    "a row too long": {"starts": np.array([0, 0, 0, 8])},
    "a first segment longer than its row": {"first_lengths": np.array([2, 3, 3], np.int32)},
    "no first segment": {"first_lengths": np.array([2, 0, 3], np.int32)},
    "a single number": {"first_lengths": np.array(2, np.int32)},
}


@pytest.mark.parametrize("lie", LIES)
def test_an_entry_that_lies_is_made_again(
    data: Path, tokenizer: Tokenizer, cache: Path, lie: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arrays as they should be but for one thing, which would lead beyond an array or the embeddings."""
    wanted = load(data, tokenizer, 7).features
    (entry,) = cache.iterdir()
    arrays = {
        "ids": np.array([2, 9, 3, 2, 3, 2, 8, 3], np.int32),
        "starts": np.array([0, 3, 5, 8]),
        "first_lengths": np.array([2, 2, 3], np.int32),
    }
    np.savez(entry, **{**arrays, **LIES[lie]})
    for said in (f"note: {entry}: is damaged; train.tsv is tokenised again\n", ""):
        assert_equal(load(data, tokenizer, 7).features, wanted)
        assert capsys.readouterr().err == said


def test_an_entry_that_would_swell_is_made_again(data: Path, tokenizer: Tokenizer, cache: Path) -> None:
    wanted = load(data, tokenizer).features
    (entry,) = cache.iterdir()
    for save in (np.savez_compressed, np.savez):
        save(entry, ids=wanted.ids, starts=wanted.starts, first_lengths=wanted.first_lengths)
        assert (features._read_cache(entry) is None) == (save is np.savez_compressed)
    content = entry.read_bytes()
    at = content.index(b"'shape': (")
    shape = content[at : content.index(b"}", at)]
    huge = b"'shape': (9999999999999,), ".ljust(len(shape))[: len(shape)]
    entry.write_bytes(content.replace(shape, huge, 1))
    assert features._read_cache(entry) is None
    assert_equal(load(data, tokenizer).features, wanted)


def test_another_length_is_another_entry(data: Path, tokenizer: Tokenizer, cache: Path) -> None:
    for max_length in (128, 16, 128, 8):
        assert rows_of(load(data, tokenizer, max_length).features) == tokenizer.encode(
            texts(PAIRS), max_length
        )
    assert len(list(cache.iterdir())) == 3


def test_another_file_is_another_entry(data: Path, tokenizer: Tokenizer, cache: Path) -> None:
    load(data, tokenizer)
    changed = [("the man is bad", "the good man", "1"), *PAIRS[1:]]
    assert rows_of(load(write_data(data, changed), tokenizer).features) == tokenizer.encode(
        texts(changed), 128
    )
    assert len(list(cache.iterdir())) == 2


def test_the_same_file_elsewhere_is_the_same_entry(
    data: Path, tmp_path: Path, tokenizer: Tokenizer, tokenised: list[int]
) -> None:
    load(data, tokenizer)
    load(write_data(tmp_path / "copy", PAIRS), tokenizer)
    assert tokenised == [3]


def test_another_vocabulary_is_another_entry(
    data: Path, tokenizer: Tokenizer, cache: Path, tmp_path: Path
) -> None:
    load(data, tokenizer)
    pieces = VOCABULARY.read_text(encoding="utf-8").splitlines()
    (tmp_path / "model" / "vocab.txt").write_text("\n".join([*pieces[:5], *pieces[:4:-1]]), "utf-8")
    other = Tokenizer(tmp_path / "model")
    found = load(data, other).features
    assert rows_of(found) == other.encode(texts(PAIRS), 128) != tokenizer.encode(texts(PAIRS), 128)
    assert len(list(cache.iterdir())) == 2


def test_other_tokenizer_settings_are_another_entry(
    data: Path, tokenizer: Tokenizer, cache: Path, tmp_path: Path
) -> None:
    load(data, tokenizer)
    write_json(tmp_path / "model" / "tokenizer_config.json", {"do_lower_case": False})
    other = Tokenizer(tmp_path / "model")
    found = load(data, other).features
    assert rows_of(found) == other.encode(texts(PAIRS), 128) != tokenizer.encode(texts(PAIRS), 128)
    assert len(list(cache.iterdir())) == 2


def test_another_tokenizer_version_is_another_entry(
    data: Path, tokenizer: Tokenizer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(data, tokenizer)
    monkeypatch.setattr(features.tokenizers, "__version__", "99.0")
    load(data, tokenizer)
    assert len(list(cache.iterdir())) == 2


def damages(content: bytes) -> Iterator[bytes]:
    """Cut short, a bit turned (each of the zip's first header, and here and there), other files."""
    yield from (content[:length] for length in range(0, len(content), 37))
    bits = [*range(30 * 8), *range(30 * 8, len(content) * 8, 83)]
    for place, bit in (divmod(bit, 8) for bit in bits):
        yield content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
    yield b"not a zip"
    yield b"\x93NUMPY"


def test_damage_never_goes_unnoticed(data: Path, tokenizer: Tokenizer, cache: Path) -> None:
    wanted = load(data, tokenizer).features
    (entry,) = cache.iterdir()
    for damaged in damages(entry.read_bytes()):
        entry.write_bytes(damaged)
        found = features._read_cache(entry)
        if found is not None:  # a bit that says nothing, such as of a date
            assert_equal(found, wanted)


@pytest.mark.parametrize("damaged", [b"", b"not a zip", b"\x93NUMPY", b"PK\x03\x04"])
def test_a_damaged_entry_is_made_again(
    data: Path, tokenizer: Tokenizer, cache: Path, tokenised: list[int], damaged: bytes
) -> None:
    wanted = load(data, tokenizer).features
    (entry,) = cache.iterdir()
    entry.write_bytes(damaged)
    for _ in range(2):
        assert_equal(load(data, tokenizer).features, wanted)
    assert tokenised == [3, 3]
    assert list(cache.iterdir()) == [entry]


def test_an_entry_cannot_run_code(data: Path, tokenizer: Tokenizer, cache: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    wanted = load(data, tokenizer).features
    (entry,) = cache.iterdir()
    evil = np.array([Evil()], dtype=object)
    np.savez(entry, ids=evil, starts=evil, first_lengths=evil)
    assert_equal(load(data, tokenizer).features, wanted)
    assert not (tmp_path / "ran").exists()


def by_all(path: Path) -> None:
    path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o022)


def by_another(path: Path) -> None:
    os.chown(path, 54321, -1)


as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="gives files away")
WRITERS = [by_all, pytest.param(by_another, marks=as_root)]


@pytest.mark.skipif(os.name != "posix", reason="files have other owners there")
@pytest.mark.parametrize("give", WRITERS)
def test_an_entry_that_others_may_have_written_is_made_again(
    give: Callable[[Path], None],
    data: Path,
    tokenizer: Tokenizer,
    cache: Path,
    tokenised: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(data, tokenizer)
    (entry,) = cache.iterdir()
    give(entry)
    for _ in range(2):
        load(data, tokenizer)
    assert tokenised == [3, 3]
    err = capsys.readouterr().err
    assert err.startswith(f"note: {entry}: ")
    assert err.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="files have other owners there")
@pytest.mark.parametrize("give", WRITERS)
def test_a_cache_that_others_may_write_is_not_read_and_not_written(
    give: Callable[[Path], None],
    data: Path,
    tokenizer: Tokenizer,
    cache: Path,
    tokenised: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(data, tokenizer)
    give(cache.parent)
    (entry,) = cache.iterdir()
    before = entry.stat().st_mtime_ns
    load(data, tokenizer)
    assert tokenised == [3, 3]
    assert entry.stat().st_mtime_ns == before
    err = capsys.readouterr().err
    assert str(cache.parent) in err
    assert "CONVBERT_GLUE_CACHE" in err


def test_without_a_home_tokens_are_not_cached(
    data: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("CONVBERT_GLUE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", lambda _: (_ for _ in ()).throw(RuntimeError("no home")))
    assert rows_of(load(data, tokenizer).features) == tokenizer.encode(texts(PAIRS), 128)
    assert "CONVBERT_GLUE_CACHE" in capsys.readouterr().err


def test_no_cache_is_only_a_note(
    data: Path, tokenizer: Tokenizer, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.parent.write_text("a file where the folder should be", encoding="utf-8")
    for _ in range(2):
        assert rows_of(load(data, tokenizer).features) == tokenizer.encode(texts(PAIRS), 128)
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"note: tokens are not cached: {cache}: ")
        assert err.count("\n") == 1


def test_an_entry_that_cannot_be_replaced_is_only_a_note(
    data: Path,
    tokenizer: Tokenizer,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(data, tokenizer)
    (entry,) = cache.iterdir()
    entry.write_bytes(b"damaged")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(features, "atomic_write", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    assert rows_of(load(data, tokenizer).features) == tokenizer.encode(texts(PAIRS), 128)
    assert capsys.readouterr().err == (
        f"note: {entry}: is damaged; train.tsv is tokenised again\n"
        f"note: tokens are not cached: {cache}: Permission denied\n"
    )
