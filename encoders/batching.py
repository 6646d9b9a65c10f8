"""Features → padded batches, with rows of like length together so that little is padding. No Paddle.

N rows in all, B rows of a batch, T its longest row.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Features:
    """Tokenised rows, flat: row i is ``ids[starts[i]:starts[i + 1]]``.

    Attributes:
        ids: (all tokens,) int32
        starts: (N + 1,) int64
        first_lengths: (N,) int32, tokens of the first segment.
        targets: (N,) int64 label ids or float32 scores, or None.
    """

    ids: np.ndarray
    starts: np.ndarray
    first_lengths: np.ndarray
    targets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.first_lengths)

    @property
    def lengths(self) -> np.ndarray:
        """(N,) int64: tokens of each row."""
        return np.diff(self.starts)


def subset(features: Features, rows: np.ndarray) -> Features:
    """Some of the rows, in the order in which they are named."""
    lengths = features.lengths[rows]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.repeat(features.starts[rows] - starts[:-1], lengths) + np.arange(starts[-1])
    targets = None if features.targets is None else features.targets[rows]
    return Features(features.ids[tokens], starts, features.first_lengths[rows], targets)


@dataclass(frozen=True)
class Batch:
    """A padded batch.

    Attributes:
        ids, token_types: (B, T) int64
        mask: (B, T) float32, 1 at real tokens and 0 at padding; None where nothing is padded.
        targets: (B,) or None
        rows: (B,) the rows' numbers in the features.
    """

    ids: np.ndarray
    token_types: np.ndarray
    mask: np.ndarray | None
    targets: np.ndarray | None
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def pack(encoded: Sequence[tuple[list[int], int]], targets: np.ndarray | None = None) -> Features:
    """Features of what ``Tokenizer.encode`` returns."""
    lengths = np.array([len(ids) for ids, _ in encoded], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flat = np.fromiter((piece for ids, _ in encoded for piece in ids), dtype=np.int32, count=int(starts[-1]))
    return Features(flat, starts, np.array([first for _, first in encoded], dtype=np.int32), targets)


def pad(features: Features, rows: np.ndarray, pad_id: int = 0) -> Batch:
    """The batch of the given rows, padded to the longest of them."""
    starts, lengths = features.starts[rows], features.lengths[rows]
    width = int(lengths.max())
    columns = np.arange(width)
    real = columns < lengths[:, None]  # (B, T)
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    ids[real] = features.ids[(starts[:, None] + columns)[real]]
    token_types = (real & (columns >= features.first_lengths[rows][:, None])).astype(np.int64)
    mask = None if real.all() else real.astype(np.float32)
    return Batch(ids, token_types, mask, None if features.targets is None else features.targets[rows], rows)


def training_order(
    lengths: np.ndarray, batch_size: int, seed: int, epoch: int, pool: int = 1
) -> list[np.ndarray]:
    """Row numbers of an epoch's batches: a function of seed and epoch alone, each row once.

    Rows are shuffled, sorted by length within pools of ``pool`` batches, and the batches shuffled. With a
    pool of 1 the batches are plain random ones.
    """
    draw = np.random.default_rng([seed, epoch])
    order = draw.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), batch_size * pool):
        rows = order[start : start + batch_size * pool]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return [batches[i] for i in draw.permutation(len(batches))]


def parts(lengths: np.ndarray, part_cost: float) -> list[slice]:
    """Cut a batch where that costs least: padded tokens + part_cost a part.

    Args:
        lengths: (B,) ascending.
        part_cost: In tokens.

    Returns:
        Slices of the batch, which together are all of it.

    The network gives a row the same in any batch and a step's loss is a sum over rows, so the parts of a
    batch, their gradients added, are one step on the whole batch, with less padding.
    """
    count = len(lengths)
    cost = np.zeros(count + 1)
    begin = np.zeros(count + 1, dtype=int)
    for end in range(1, count + 1):
        choices = cost[:end] + (end - np.arange(end)) * lengths[end - 1] + part_cost
        begin[end] = choices.argmin()
        cost[end] = choices[begin[end]]
    cuts = [count]
    while cuts[-1]:
        cuts.append(int(begin[cuts[-1]]))
    return [slice(a, b) for a, b in itertools.pairwise(reversed(cuts))]


class EpochBatches:
    """An epoch's batches in training order. A slice gives the batches in it, each padded when asked for.

    Args:
        features: All rows.
        order: The row numbers of each batch.
        pad_id: What padding is filled with.
        part_cost: Cut every batch into ``parts`` of this cost; infinite: leave it whole.
    """

    def __init__(
        self, features: Features, order: Sequence[np.ndarray], pad_id: int = 0, part_cost: float = math.inf
    ) -> None:
        self._features, self._order, self._pad_id, self._part_cost = features, order, pad_id, part_cost

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, numbers: slice) -> list[Batch]:
        batches = []
        for rows in self._order[numbers]:
            if not len(rows):  # more processes than rows
                continue
            lengths = self._features.lengths[rows]
            cuts = [slice(None)] if math.isinf(self._part_cost) else parts(lengths, self._part_cost)
            batches += [pad(self._features, rows[cut], self._pad_id) for cut in cuts]
        return batches


def prediction_order(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Row numbers of the batches to predict, longest first, so that memory runs out at once or never.

    The first has batch_size rows; a later one has as many, or more where they are so short that with their
    padding they take no more than the first's tokens: a product of few tokens wastes most of a processor.
    """
    order = np.argsort(-lengths, kind="stable")
    most = int(lengths[order[:batch_size]].sum())
    batches: list[np.ndarray] = []
    start = 0
    while start < len(order):
        rows = max(batch_size, most // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def by_length(features: Features, batch_size: int, pad_id: int = 0) -> Iterator[Batch]:
    """All rows once, in the batches of ``prediction_order``."""
    for rows in prediction_order(features.lengths, batch_size):
        yield pad(features, rows, pad_id)
