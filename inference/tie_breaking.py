"""Labels that do not depend on the engine: where the two best logits nearly tie, the network decides."""

from collections.abc import Callable
from threading import Lock

import numpy as np

from encoders.batching import Batch
from inference.engine import Engine, Outputs
from inference.limits import NEAR_TIE


def tie_margin(size: np.ndarray) -> np.ndarray:
    """The distance below which two numbers are nearly tied. size: the largest number among them."""
    return np.asarray(NEAR_TIE * np.maximum(1.0, size))


def near_tie(logits: np.ndarray) -> np.ndarray:
    """Which rows of logits (N, L) have two best that are nearly tied: (N,) bool. A regression has none."""
    if logits.shape[1] < 2:
        return np.zeros(len(logits), dtype=bool)
    second, best = np.partition(logits, -2, axis=1)[:, -2:].T
    return np.asarray(best - second < tie_margin(np.abs(logits).max(axis=1)))


class TieBreakingEngine(Engine):
    """A sentence engine whose nearly tied rows get the network's own logits.

    The network is opened at the first such row. Where there is none (None), they keep the engine's logits,
    and are counted in ``unresolved``.
    """

    def __init__(self, engine: Engine, open_network: Callable[[], Engine] | None) -> None:
        self.config, self.head, self.concurrency = engine.config, engine.head, engine.concurrency
        self.unresolved = 0
        self._engine, self._open_network = engine, open_network
        self._network: Engine | None = None
        self._lock = Lock()  # of the network, and of the count

    def __call__(self, batch: Batch) -> Outputs:
        return self._break_ties(batch, self._engine(batch)["logits"])

    def run_beside_others(self, batch: Batch) -> Outputs:
        return self._break_ties(batch, self._engine.run_beside_others(batch)["logits"])

    def _break_ties(self, batch: Batch, logits: np.ndarray) -> Outputs:
        rows = np.flatnonzero(near_tie(logits))
        if not len(rows):
            return {"logits": logits}
        with self._lock:
            if self._open_network is None:
                self.unresolved += len(rows)
            else:
                self._network = self._network or self._open_network()
                mask, targets = (None if part is None else part[rows] for part in (batch.mask, batch.targets))
                tied = Batch(batch.ids[rows], batch.token_types[rows], mask, targets, batch.rows[rows])
                logits = logits.copy()
                logits[rows] = self._network(tied)["logits"]
        return {"logits": logits}
