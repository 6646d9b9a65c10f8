"""Batches: each row once, padding and masks worked by hand, orders of seed and epoch alone."""

import itertools
import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.batching import (
    Batch,
    EpochBatches,
    Features,
    by_length,
    pack,
    pad,
    parts,
    prediction_order,
    training_order,
)

# Three rows: [CLS] a b [SEP] c [SEP]; [CLS] d [SEP]; [CLS] e [SEP] f g [SEP].
ENCODED = [([2, 10, 11, 3, 12, 3], 4), ([2, 13, 3], 3), ([2, 14, 3, 15, 16, 3], 3)]

# A row is [CLS], a first segment, [SEP], and perhaps a second and [SEP]; ids are its number and place,
# so that a token tells where it must stand.
row_lengths = st.lists(st.tuples(st.integers(2, 9), st.integers(0, 9)), min_size=1, max_size=40)


def made(lengths: Iterable[tuple[int, int]]) -> Features:
    encoded = [
        ([1000 * row + column + 1 for column in range(first + second)], first)
        for row, (first, second) in enumerate(lengths)
    ]
    return pack(encoded, np.arange(len(encoded)) * 7)


def assert_shows_its_rows(batch: Batch, features: Features, pad_id: int = 0) -> None:
    """Every position of a batch follows from its row's length, its column and the row's number alone."""
    assert features.targets is not None
    assert batch.targets is not None
    assert batch.targets.tolist() == [7 * row for row in batch.rows]
    width = max(features.lengths[row] for row in batch.rows)
    mask = np.ones_like(batch.ids) if batch.mask is None else batch.mask
    for position, row in enumerate(batch.rows):
        length, first = features.lengths[row], features.first_lengths[row]
        spare = width - length
        real = [1000 * row + column + 1 for column in range(length)]
        assert batch.ids[position].tolist() == real + [pad_id] * spare
        assert batch.token_types[position].tolist() == [0] * first + [1] * (length - first) + [0] * spare
        assert mask[position].tolist() == [1] * length + [0] * spare


def test_a_padded_batch_by_hand() -> None:
    features = pack(ENCODED, np.array([1, 0, 2]))
    assert features.ids.tolist() == [2, 10, 11, 3, 12, 3, 2, 13, 3, 2, 14, 3, 15, 16, 3]
    assert features.starts.tolist() == [0, 6, 9, 15]
    assert features.lengths.tolist() == [6, 3, 6]
    batch = pad(features, np.array([2, 1]), pad_id=9)
    assert len(batch) == 2
    assert batch.ids.tolist() == [[2, 14, 3, 15, 16, 3], [2, 13, 3, 9, 9, 9]]
    assert batch.token_types.tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]]
    assert batch.mask is not None
    assert batch.mask.tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]]
    assert batch.targets is not None
    assert batch.targets.tolist() == [2, 0]
    assert [str(a.dtype) for a in (batch.ids, batch.token_types, batch.mask)] == ["int64", "int64", "float32"]


def test_rows_of_one_length_need_no_mask() -> None:
    features = pack(ENCODED)
    batch = pad(features, np.array([0, 2]))
    assert batch.mask is None
    assert batch.targets is None
    assert batch.ids.tolist() == [ENCODED[0][0], ENCODED[2][0]]
    assert batch.token_types.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1]]
    assert pad(features, np.array([1])).mask is None
    assert pad(features, np.array([0, 1])).mask is not None


@given(row_lengths, st.integers(1, 7), st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_shows_every_row_once(
    lengths: list[tuple[int, int]], size: int, seed: int, epoch: int
) -> None:
    features = made(lengths)
    order = training_order(features.lengths, size, seed, epoch)
    batches = EpochBatches(features, order, pad_id=5)[:]
    assert len(batches) == -(-len(lengths) // size)
    assert sorted(len(batch) for batch in batches)[1:] == [size] * (len(batches) - 1)  # one may be short
    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(lengths)))
    for batch in batches:
        assert_shows_its_rows(batch, features, pad_id=5)
        padded = batch.ids.size > features.lengths[batch.rows].sum()
        assert (batch.mask is not None) == padded


@given(row_lengths, st.integers(1, 7))
def test_prediction_shows_every_row_once_longest_first(lengths: list[tuple[int, int]], size: int) -> None:
    features = made(lengths)
    batches = list(by_length(features, size, pad_id=5))
    assert len(batches[0]) == min(size, len(lengths))
    most = sum(sorted(features.lengths)[-size:])  # tokens of the first
    for batch, after in itertools.pairwise(batches):
        width = batch.ids.shape[1]
        assert len(batch) == size or batch.ids.size <= most
        assert len(batch) >= size
        assert (len(batch) + 1) * width > most  # no row more had room
        assert width >= after.ids.shape[1]
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows) == list(range(len(lengths)))
    assert features.lengths[rows].tolist() == sorted(features.lengths.tolist(), reverse=True)
    for batch in batches:
        assert_shows_its_rows(batch, features, pad_id=5)


def test_one_long_row_makes_no_large_batches() -> None:
    lengths = np.array([512] + [8] * 1000)
    first, second, *_ = prediction_order(lengths, 4)
    assert (len(first), len(second)) == (4, (512 + 3 * 8) // 8)
    assert [rows.tolist() for rows in prediction_order(np.zeros(3, dtype=int), 2)] == [[0, 1], [2]]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 5000)

    def order(seed: int, epoch: int) -> list[list[int]]:
        np.random.seed(1)  # the global state must not matter
        return [rows.tolist() for rows in training_order(lengths, 16, seed, epoch)]

    wanted = order(42, 3)
    order(42, 4)  # what was asked before does not matter
    assert order(42, 3) == wanted
    different = [order(seed, epoch) for seed in (1, 2, 42) for epoch in (0, 1, 2, 3)]
    assert len({str(batches) for batches in different}) == 12
    # Not only the order of the same batches changes: another epoch has other neighbours.
    assert not {str(sorted(rows)) for rows in order(42, 0)} & {str(sorted(rows)) for rows in order(42, 1)}


def test_an_epoch_can_be_entered_anywhere() -> None:
    """What resuming in mid-epoch needs: batch i is the same whether or not the ones before were asked for."""
    features = made([(2 + row % 5, row % 3) for row in range(50)])
    order = training_order(features.lengths, 4, seed=1, epoch=2)
    whole = EpochBatches(features, order)[:]
    fresh = EpochBatches(features, training_order(features.lengths, 4, seed=1, epoch=2))
    assert len(fresh) == len(whole) == 13
    assert [batch.rows.tolist() for batch in fresh[9:]] == [batch.rows.tolist() for batch in whole[9:]]


@pytest.mark.parametrize(
    ("lengths", "part_cost", "wanted"),
    [
        ([5, 5, 5, 5], 1.0, [4]),  # nothing to gain
        ([2, 2, 10, 10], 5.0, [2, 2]),  # 40 + 5 whole, 4 + 20 + 2 · 5 in halves
        ([2, 2, 10, 10], 16.5, [4]),  # 56.5 whole, 57 in halves
        ([1, 4, 9], 0.5, [1, 1, 1]),  # 14 + 1.5 in three, 17 + 1 in 1 + 2 and 2 + 1
        ([1, 4, 9], 4.0, [2, 1]),  # 26 in three, 25 in 2 + 1, 27 in 1 + 2, 31 whole
        ([7], 3.0, [1]),
    ],
)
def test_parts_by_hand(lengths: list[int], part_cost: float, wanted: list[int]) -> None:
    cuts = parts(np.array(lengths), part_cost)
    assert [cut.stop - cut.start for cut in cuts] == wanted


@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.floats(0, 80))
def test_no_other_parts_cost_less(lengths: list[int], part_cost: float) -> None:
    ordered = np.sort(np.array(lengths))

    def cost(cuts: list[slice]) -> float:
        return sum((cut.stop - cut.start) * int(ordered[cut.stop - 1]) + part_cost for cut in cuts)

    actual = parts(ordered, part_cost)
    assert [row for cut in actual for row in range(cut.start, cut.stop)] == list(range(len(lengths)))
    count = len(lengths)
    every = itertools.chain.from_iterable(
        itertools.combinations(range(1, count), cuts) for cuts in range(count)
    )
    least = min(cost([slice(a, b) for a, b in itertools.pairwise([0, *cuts, count])]) for cuts in every)
    assert cost(actual) == pytest.approx(least)


def test_the_parts_of_a_batch_hold_its_rows_and_waste_little() -> None:
    """Share of positions that are tokens, on lengths spread like MNLI's pairs (median 37)."""
    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(np.log(37), 0.45, 3200).astype(int), 5, 128)
    features = made([(int(length) - 1, 1) for length in lengths])
    order = training_order(features.lengths, 32, seed=42, epoch=0)
    useful = {}
    for part_cost in (100.0, math.inf):
        batches = EpochBatches(features, order, part_cost=part_cost)
        useful[part_cost] = lengths.sum() / sum(batch.ids.size for batch in batches[:])
        for number in range(len(batches)):
            rows = np.concatenate([part.rows for part in batches[number : number + 1]])
            assert rows.tolist() == order[number].tolist()
    assert useful[math.inf] < 0.50
    assert useful[100.0] > 0.80


def test_a_pool_sorts_rows_among_several_batches() -> None:
    lengths = np.random.default_rng(0).permutation(np.repeat(np.arange(3, 103), 32))
    spread = {
        pool: np.mean([np.ptp(lengths[rows]) for rows in training_order(lengths, 32, 0, 0, pool)])
        for pool in (1, 8, 100)
    }
    assert spread[100] == 0  # all rows in one pool: every batch is of one length
    assert spread[8] < 20 < 80 < spread[1]


def test_neighbouring_batches_are_of_unrelated_lengths() -> None:
    """Sorting by length must not make an epoch, or a part of it, run from short rows to long ones."""
    lengths = np.arange(32_000) % 97 + 3
    means = np.array([lengths[rows].mean() for rows in training_order(lengths, 32, 0, 0, pool=8)])
    assert means.std() > 20
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.1
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.1


@pytest.mark.parametrize("count", [127, 128, 129, 2401, 5000])
def test_many_rows_once_each(count: int) -> None:
    """More rows than are sorted among themselves at a time."""
    batches = training_order(np.full(count, 7), 16, seed=0, epoch=0, pool=8)
    assert sorted(np.concatenate(batches)) == list(range(count))
    assert sum(len(rows) == 16 for rows in batches) == count // 16


def test_rows_change_company_in_small_tasks_too() -> None:
    """Of the rows that share a batch in one epoch few share one in the next (RTE's size; chance: 1 %)."""
    lengths = np.clip(np.random.default_rng(0).lognormal(np.log(60), 0.5, 2490).astype(int), 5, 128)
    batch_of = np.empty((2, len(lengths)), dtype=int)
    for epoch in (0, 1):
        for number, rows in enumerate(training_order(lengths, 32, seed=42, epoch=epoch)):
            batch_of[epoch, rows] = number
    together = batch_of[:, :, None] == batch_of[:, None, :]  # (2, N, N)
    np.einsum("eii->ei", together)[:] = False
    assert (together[0] & together[1]).sum() / together[0].sum() < 0.1
