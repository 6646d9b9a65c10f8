"""Batches: each row once, padding and masks worked by hand, orders of seed and epoch alone."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbert.batching import Batch, EpochBatches, Features, by_length, pack, pad, training_order

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
    for place, row in enumerate(batch.rows):
        length, first = features.lengths[row], features.first_lengths[row]
        spare = width - length
        real = [1000 * row + column + 1 for column in range(length)]
        assert batch.ids[place].tolist() == real + [pad_id] * spare
        assert batch.token_types[place].tolist() == [0] * first + [1] * (length - first) + [0] * spare
        assert mask[place].tolist() == [1] * length + [0] * spare


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
    batches = EpochBatches(features, size, seed, epoch, pad_id=5)
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
    assert [len(batch) for batch in batches[:-1]] == [size] * (
        len(lengths) // size - (len(lengths) % size == 0)
    )
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows) == list(range(len(lengths)))
    assert features.lengths[rows].tolist() == sorted(features.lengths.tolist(), reverse=True)
    for batch in batches:
        assert_shows_its_rows(batch, features, pad_id=5)


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
    batches = EpochBatches(features, 4, seed=1, epoch=2)
    whole = [batch.rows.tolist() for batch in batches]
    fresh = EpochBatches(features, 4, seed=1, epoch=2)
    assert [batch.rows.tolist() for batch in fresh[9:]] == whole[9:]
    assert fresh[5].rows.tolist() == whole[5]
    with pytest.raises(IndexError):
        fresh[len(fresh)]


def test_grouping_wastes_little() -> None:
    """Share of positions that are tokens, on lengths spread like MNLI's pairs (median 37)."""
    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(np.log(37), 0.45, 20_000).astype(int), 5, 128)

    def useful(batches: list[np.ndarray]) -> float:
        return lengths.sum() / sum(len(rows) * lengths[rows].max() for rows in batches)

    grouped = training_order(lengths, 32, seed=42, epoch=0)
    shuffled = draw.permutation(len(lengths)).reshape(-1, 32)
    assert useful(list(shuffled)) < 0.50
    assert useful(grouped) > 0.80


def test_neighbouring_batches_are_of_unrelated_lengths() -> None:
    """Sorting by length must not make an epoch, or a part of it, run from short rows to long ones."""
    lengths = np.arange(32_000) % 97 + 3
    means = np.array([lengths[rows].mean() for rows in training_order(lengths, 32, seed=0, epoch=0)])
    assert means.std() > 20
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.1
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.1


@pytest.mark.parametrize("count", [127, 128, 129, 2401, 5000])
def test_many_rows_once_each(count: int) -> None:
    """More rows than are sorted among themselves at a time (8 batches)."""
    batches = training_order(np.full(count, 7), 16, seed=0, epoch=0)
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
