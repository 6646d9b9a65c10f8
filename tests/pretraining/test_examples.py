"""Corpus → examples in shards → the batches of an epoch."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from common.files import atomic_folder, write_json
from encoders.tokenizer import Tokenizer
from pretraining import shards as shards_module
from pretraining.batches import batch_count, batch_order, epoch_batches, held_out_batches
from pretraining.examples import load_examples
from pretraining.packing import cut_pair
from pretraining.shards import Shard, open_shards, write_shards
from scripts.tiny_model import write_model_folder


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tiny")
    write_model_folder(folder)
    return Tokenizer(folder)


def corpus(folder: Path, lines: list[str]) -> Path:
    path = folder / "train.data"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def rows_of(shard: Shard) -> list[tuple[list[int], int]]:
    features = shard.features()
    ends = features.starts
    return [
        (features.ids[ends[i] : ends[i + 1]].tolist(), int(features.first_lengths[i]))
        for i in range(len(features))
    ]


def test_every_line_becomes_what_the_tokenizer_gives(tmp_path: Path, tokenizer: Tokenizer) -> None:
    # The tokenizer's own encode() adds the special tokens; the shards put them in by themselves.
    lines = ["a1 b2 c3", "", "d4 e5\tf6 g7 h8", "x"]
    actual = load_examples(corpus(tmp_path, lines), tokenizer, 64, "lines")
    wanted = tokenizer.encode([("a1 b2 c3",), ("d4 e5", "f6 g7 h8"), ("x",)], 64)
    assert rows_of(actual.held_out) == wanted[:1]
    (shard,) = actual.train
    assert rows_of(shard) == wanted[1:]
    assert (actual.examples, actual.tokens) == (2, len(wanted[1][0]) + len(wanted[2][0]))


def test_a_long_passage_goes_on_and_a_long_pair_is_cut(tmp_path: Path, tokenizer: Tokenizer) -> None:
    letters = " ".join("abcdefghijklmnopqrst")
    path = corpus(tmp_path, ["x", letters, f"{letters}\tu v"])
    (shard,) = load_examples(path, tokenizer, 10, "lines").train
    a_to_t = tokenizer.encode_plain([letters])[0]
    first, separator = (tokenizer.vocabulary[piece] for piece in ("[CLS]", "[SEP]"))
    passages = [[first, *a_to_t[start : start + 8], separator] for start in (0, 8, 16)]
    u_v = tokenizer.encode_plain(["u v"])[0]
    assert rows_of(shard) == [
        *((row, len(row)) for row in passages),
        ([first, *a_to_t[:5], separator, *u_v, separator], 7),
    ]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(2, 60))
def test_a_pair_loses_no_more_than_it_must_and_from_the_longer_text(a: int, b: int, room: int) -> None:
    kept_a, kept_b = cut_pair(list(range(a)), list(range(b)), room)
    assert len(kept_a) + len(kept_b) == min(room, a + b)
    assert kept_a == list(range(len(kept_a)))
    assert kept_b == list(range(len(kept_b)))
    if len(kept_a) < a:
        assert len(kept_a) >= len(kept_b)
    if len(kept_b) < b:
        assert len(kept_b) >= len(kept_a) - 1


def test_many_shards_hold_every_example_once(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    passages = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    monkeypatch.setattr(shards_module, "SHARD_BYTES", 100)
    actual = load_examples(corpus(tmp_path, passages), tokenizer, 16, "lines")
    assert len(actual.train) == 3
    rows = [row for shard in (*actual.train, actual.held_out) for row in rows_of(shard)]
    assert sorted(rows) == sorted(tokenizer.encode([(word,) for word in passages], 16))
    assert actual.held_out.examples == 2
    batches = epoch_batches(actual.train, 48, seed=1, pad_id=0)
    counted = [
        tuple(i for i in row if i) for batch in batches(3)[:] for row in batch.ids.tolist()
    ]  # 0: padding
    assert sorted(counted) == sorted(tuple(ids) for shard in actual.train for ids, _ in rows_of(shard))


def test_an_epoch_repeats_itself_and_any_part_of_it_can_be_asked_for(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    lines = [" ".join("ab" for _ in range(1 + number % 20)) + f" {number}" for number in range(300)]
    actual = load_examples(corpus(tmp_path, lines), tokenizer, 64, "lines")

    def ids(epoch: int, wanted: slice) -> list[list[list[int]]]:
        return [batch.ids.tolist() for batch in epoch_batches(actual.train, 256, 5, 0)(epoch)[wanted]]

    whole = ids(1, slice(None))
    assert len(epoch_batches(actual.train, 256, 5, 0)(1)) == len(whole)
    assert ids(1, slice(7, 9)) == whole[7:9]
    assert ids(2, slice(None)) != whole
    assert max(np.size(batch) for batch in whole) <= 256
    held_out = held_out_batches(actual.held_out, 4, 256, 0)
    assert sum(map(len, held_out)) == 4


@given(st.lists(st.integers(2, 128), min_size=1, max_size=80), st.integers(8, 600), st.integers(0, 9))
def test_batches_take_each_example_once_and_their_number_is_known_before(
    lengths: list[int], tokens: int, seed: int
) -> None:
    array = np.array(lengths)
    batches = batch_order(array, tokens, np.random.default_rng(seed))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == batch_count(array, tokens)
    for rows in batches:
        longest = int(array[rows].max())
        assert len(rows) == 1 or len(rows) * longest <= tokens
        assert longest - int(array[rows].min()) < 8


def test_tokens_are_made_once(tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = corpus(tmp_path, ["q w", "e r", "t z"])
    first = load_examples(path, tokenizer, 32, "lines")
    monkeypatch.setattr(Tokenizer, "encode_plain", None)
    assert load_examples(path, tokenizer, 32, "lines") == first


def test_shards_that_were_cut_short_are_made_anew(tmp_path: Path, tokenizer: Tokenizer) -> None:
    path = corpus(tmp_path, ["o p", "a s", "d f"])
    first = load_examples(path, tokenizer, 32, "lines")
    rows = rows_of(first.train[0])
    with open(first.train[0].path.with_suffix(".ids"), "r+b") as file:
        file.truncate(3)
    assert rows_of(load_examples(path, tokenizer, 32, "lines").train[0]) == rows


@pytest.mark.skipif(os.name != "posix", reason="files have other owners there")
@pytest.mark.parametrize("suffix", [".ids", ""])
def test_shards_that_others_may_have_written_are_made_anew(
    suffix: str, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    path = corpus(tmp_path, ["p o", "s a", "f d", suffix])
    shard = load_examples(path, tokenizer, 32, "lines").train[0].path
    given_away, inode = shard.with_suffix(suffix) if suffix else shard.parent, shard.parent.stat().st_ino
    given_away.chmod(given_away.stat().st_mode | 0o022)
    keep = os.open(shard.parent, os.O_RDONLY)  # so that its inode is not taken again
    again = load_examples(path, tokenizer, 32, "lines").train[0].path
    os.close(keep)
    assert again == shard
    assert shard.parent.stat().st_ino != inode
    assert not given_away.stat().st_mode & 0o022


@pytest.mark.skipif(os.name != "posix", reason="files have other owners there")
def test_a_cache_that_others_may_write_holds_no_examples(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o775)
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="CONVBERT_GLUE_CACHE"):
        load_examples(corpus(tmp_path, ["z u", "i o"]), tokenizer, 32, "lines")


DAMAGES = {
    "another byte": (".ids", lambda content: content[:2] + bytes([content[2] ^ 1]) + content[3:]),
    "odd lengths": (".first", lambda content: b"\xf9\xff\xff\xff" * (len(content) // 4)),
    "no JSON": ("shards.json", lambda content: b"{"),
    "JSON of another form": ("shards.json", lambda content: b'{"dtype": "zz", "shards": [1]}'),
    "no file": (".lengths", lambda content: None),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shards_are_made_anew(damage: str, tmp_path: Path, tokenizer: Tokenizer) -> None:
    path = corpus(tmp_path, ["g h", "j k", "l y", "x c"])
    first = load_examples(path, tokenizer, 32, "lines")
    rows = rows_of(first.train[0])
    name, change = DAMAGES[damage]
    place = first.train[0].path
    file = place.with_suffix(name) if name.startswith(".") else place.with_name(name)
    content = change(file.read_bytes())
    file.unlink() if content is None else file.write_bytes(content)
    again = load_examples(path, tokenizer, 32, "lines")
    assert again == first
    assert rows_of(again.train[0]) == rows


def test_of_two_that_come_together_one_makes_the_examples(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = corpus(tmp_path, [f"{a} {b}" for a in "qwertzui" for b in "asdfghjk"])
    made, real, printed = [], Tokenizer.encode_plain, [""]
    waits = "another run is at these examples: waiting for it"

    def slow(self, texts):
        made.append(len(texts))
        deadline = time.monotonic() + 60
        while waits not in printed[0] and time.monotonic() < deadline:  # until the other has come
            time.sleep(0.01)
            printed[0] += capsys.readouterr().err
        return real(self, texts)

    monkeypatch.setattr(Tokenizer, "encode_plain", slow)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(load_examples, path, tokenizer, 16, "lines") for _ in range(2)]
        one, other = (job.result() for job in jobs)
    assert made == [64]
    assert one == other
    assert waits in printed[0]


def test_a_single_example_is_too_few(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="too small"):
        load_examples(corpus(tmp_path, ["", "only this", ""]), tokenizer, 32, "lines")


def test_a_table_of_shards_that_claims_what_is_not_there_is_not_believed(tmp_path: Path) -> None:
    examples = [([2, 5, 6, 3], 2), ([2, 7, 3], 1), ([2, 8, 9, 3], 3)]
    honest = {"00000": [2, 7], "held_out": [1, 4]}
    for dtype, sizes in (
        ("<u2", honest), ("|O", honest), ("<u8", honest), ("<i4", honest), (["<u2"], honest), (None, honest),
        ("<u2", {**honest, "00000": [2, 10**12]}), ("<u2", {**honest, "00000": [10**12, 7]}),
        ("<u2", {**honest, "00000": [-2, -7]}), ("<u2", {**honest, "00000": [2.0, 7]}),
        ("<u2", {**honest, "00000": [2]}), ("<u2", {**honest, "00000": "27"}), ("<u2", [honest]),
        ("<u2", {**honest, "../00000": [2, 7]}), ("<u2", {**honest, "00001": [2, 7]}),
    ):  # fmt: skip
        with atomic_folder(tmp_path / "shards") as folder:
            write_shards(folder, examples, 100, 30522)
            write_json(folder / "shards.json", {"dtype": dtype, "shards": sizes})
        opened = open_shards(tmp_path / "shards")
        assert (opened is not None) == (sizes is honest and dtype == "<u2"), (dtype, sizes)
