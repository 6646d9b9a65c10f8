"""The order of an epoch: batches of like length and of as many tokens, shard by shard. No Paddle.

It is a function of seed and epoch alone, and any batch of it can be asked for, so a resumed run goes on
at the very example where it stopped without replaying what came before.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from encoders import distributed
from encoders.batching import Batch, Features, pad
from pretraining.shards import Shard

Key = tuple[int, ...]  # of all that is random about a batch: seed, epoch, shard
# Makes of a batch what an objective trains on.
Prepare = Callable[[Batch, Key], Any]

GRAIN = 8  # examples whose lengths, rounded up to a multiple of this, are equal share batches


def examples_of_a_batch(length: int, tokens: int) -> int:
    """How many examples of a length make a batch of at most ``tokens`` tokens, padding included."""
    return max(1, tokens // length)


def batch_count(lengths: np.ndarray, tokens: int) -> int:
    """How many batches the examples of these lengths (N,) make: the same in every epoch."""
    classes, counts = np.unique(_rounded(lengths), return_counts=True)
    return sum(
        -(-int(count) // examples_of_a_batch(int(length), tokens))
        for length, count in zip(classes, counts, strict=True)
    )


def batch_order(lengths: np.ndarray, tokens: int, draw: np.random.Generator) -> list[np.ndarray]:
    """Example numbers of each batch, every example once; of one length class a batch, else random."""
    rounded = _rounded(lengths)
    batches: list[np.ndarray] = []
    for length in np.unique(rounded):
        members = draw.permutation(np.flatnonzero(rounded == length))
        size = examples_of_a_batch(int(length), tokens)
        batches += np.array_split(members, -(-len(members) // size))
    return [batches[i] for i in draw.permutation(len(batches))]


def _rounded(lengths: np.ndarray) -> np.ndarray:
    return -(-lengths // GRAIN) * GRAIN


class ShardBatches:
    """One epoch over all shards, in a random order of theirs. Of a batch a process gets its share."""

    def __init__(
        self,
        shards: Sequence[Shard],
        counts: Sequence[int],
        tokens: int,
        key: Key,
        pad_id: int,
        prepare: Prepare | None = None,
    ) -> None:
        self._tokens, self._key, self._pad_id, self._prepare = tokens, key, pad_id, prepare
        order = np.random.default_rng(key).permutation(len(shards))
        self._shards = [(int(number), shards[number]) for number in order]
        self._ends = list(itertools.accumulate(counts[number] for number in order))
        self._open = functools.lru_cache(maxsize=1)(self._opened)

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, wanted: slice) -> list[Any]:
        batches: list[Any] = []
        for number in range(*wanted.indices(len(self))):
            index = int(np.searchsorted(self._ends, number, side="right"))
            features, order = self._open(index)
            rows = distributed.shard(order[number - (self._ends[index - 1] if index else 0)])
            if len(rows):  # a small batch may leave a process without
                batch = pad(features, rows, self._pad_id)
                key = (*self._key, self._shards[index][0])
                batches.append(self._prepare(batch, key) if self._prepare else batch)
        return batches

    def _opened(self, index: int) -> tuple[Features, list[np.ndarray]]:
        number, shard = self._shards[index]
        features = shard.features()
        draw = np.random.default_rng([*self._key, number])
        return features, batch_order(features.lengths, self._tokens, draw)


def epoch_batches(
    shards: Sequence[Shard], tokens: int, seed: int, pad_id: int, prepare: Prepare | None = None
) -> Callable[[int], ShardBatches]:
    """Epoch → its batches, as ``TrainingJob.batches`` wants them. tokens: of a batch, over all processes."""
    counts = [batch_count(shard.lengths(), tokens) for shard in shards]

    @functools.lru_cache(maxsize=1)
    def batches(epoch: int) -> ShardBatches:
        return ShardBatches(shards, counts, tokens, (seed, epoch), pad_id, prepare)

    return batches


def held_out_batches(shard: Shard, most: int, tokens: int, pad_id: int) -> list[Batch]:
    """At most so many of the held-out examples, evenly spread, in batches that are always the same."""
    features = shard.features()
    rows = np.unique(np.linspace(0, len(features) - 1, min(most, len(features))).astype(np.int64))
    parts = batch_order(features.lengths[rows], tokens, np.random.default_rng(0))
    return [pad(features, rows[part], pad_id) for part in parts]


def own_share(batches: Sequence[Any]) -> Sequence[Any]:
    """Those of the held-out batches that this process takes."""
    return batches[distributed.rank() :: distributed.world_size()]


def tokens_of(batch: Batch) -> int:
    """How many tokens of a batch are real."""
    return int(real_of(batch).sum())


def real_of(batch: Batch) -> np.ndarray:
    """(B, T) bool: which tokens are no padding."""
    return np.ones(batch.ids.shape, dtype=bool) if batch.mask is None else batch.mask.astype(bool)
