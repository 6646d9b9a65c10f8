"""What all engines have in common: a batch in, the head's answers out; many rows through one. No Paddle."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from common.progress import progress_bar
from encoders.batching import Batch, Features, pad, parts, prediction_order
from encoders.config import EncoderConfig

Outputs = dict[str, np.ndarray]
A = TypeVar("A")
B = TypeVar("B")

_CALL_COST = 16.0  # tokens: what a call of an engine costs besides the tokens of its batch


class Engine(ABC):
    """Runs a trained network on padded batches."""

    config: EncoderConfig
    head: str  # one of ``inference.exported.HEADS``, which names the outputs
    concurrency: int = 1  # how many calls of ``run_beside_others`` are faster together than in turn

    @abstractmethod
    def __call__(self, batch: Batch) -> Outputs:
        """Run one batch on all cores; returns output name → array, as ``inference.exported.HEADS`` says."""

    def run_beside_others(self, batch: Batch) -> Outputs:
        """Run one batch on a share of the cores."""
        return self(batch)

    def confirmed(self, logits: np.ndarray, features: Features, batch_size: int) -> np.ndarray:
        """The logits (N, L) of all rows, after whatever can only be done when all are there."""
        return logits


def run_batches(
    engine: Engine, features: Features, batch_size: int, progress: str = ""
) -> Iterator[tuple[Batch, Outputs]]:
    """Run every row once, in batches of similar length, the longest first.

    Args:
        engine: Runs the batches.
        features: The rows.
        batch_size: Rows of the first batch; batches of shorter rows may have more.
        progress: Title of the progress bar, or of a line where stderr is no terminal; empty: neither.
    """

    def answer(rows: np.ndarray) -> tuple[Batch, Outputs]:
        batch = pad(features, rows, engine.config.pad_token_id)
        return batch, compute(batch)

    size = min(batch_size, max(1, -(-len(features) // engine.concurrency)))
    batches: list[np.ndarray] = []
    for order in prediction_order(features.lengths, size):
        rows = order[::-1]
        batches += [rows[part] for part in reversed(parts(features.lengths[rows], _CALL_COST))]
    compute = engine.run_beside_others if min(engine.concurrency, len(batches)) > 1 else engine
    with progress_bar(len(features), progress) as bar:
        for batch, outputs in _threaded_map(answer, batches, engine.concurrency):
            yield batch, outputs
            bar.update(len(batch))


def _threaded_map(function: Callable[[A], B], values: Sequence[A], threads: int) -> Iterator[B]:
    """``map`` on several threads, which run no further ahead than there are of them."""
    if min(threads, len(values)) < 2:
        yield from map(function, values)
        return
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[B]] = deque()
        for value in values:
            running.append(pool.submit(function, value))
            if len(running) > threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def predict_logits(engine: Engine, features: Features, batch_size: int, progress: str = "") -> np.ndarray:
    """Run a sentence head; arguments as in ``run_batches``.

    Returns:
        (N, L) float32 logits in the order of the features.
    """
    logits = np.zeros((len(features), max(1, len(engine.config.id2label))), dtype=np.float32)
    for batch, outputs in run_batches(engine, features, batch_size, progress):
        logits[batch.rows] = outputs["logits"]
    return engine.confirmed(logits, features, batch_size)


def dense_mask(batch: Batch) -> np.ndarray:
    """(B, T) float32: the batch's mask, or ones if nothing is padded; graphs always take one."""
    return np.ones(batch.ids.shape, dtype=np.float32) if batch.mask is None else batch.mask
