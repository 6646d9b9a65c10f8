"""Labels that do not depend on the engine: where the two best logits are close, the network decides."""

from collections.abc import Callable
from threading import Lock

import numpy as np

from encoders.batching import Batch
from inference.limits import NEAR_TIE
from inference.running import Engine, Outputs

DOUBT = NEAR_TIE


def in_doubt(logits: np.ndarray) -> np.ndarray:
    """(N, L) → (N,) bool: rows whose two best logits differ by less than DOUBT, or DOUBT of the row's largest
    logit where that is above 1. A regression has none."""
    if logits.shape[1] < 2:
        return np.zeros(len(logits), dtype=bool)
    second, best = np.partition(logits, -2, axis=1)[:, -2:].T
    return np.asarray(best - second < DOUBT * np.maximum(1.0, np.abs(logits).max(axis=1)))


class SettledEngine(Engine):
    """A sentence engine whose rows in doubt get the network's own logits.

    open_network: called at the first such row; None where there is no network to ask: then the rows keep
    the engine's logits, and undecided counts them.
    """

    def __init__(self, engine: Engine, open_network: Callable[[], Engine] | None) -> None:
        self.config, self.head, self.at_once = engine.config, engine.head, engine.at_once
        self.undecided = 0
        self._engine, self._open_network = engine, open_network
        self._network: Engine | None = None
        self._one_at_a_time = Lock()

    def __call__(self, batch: Batch) -> Outputs:
        return self._settle(batch, self._engine(batch)["logits"])

    def share(self, batch: Batch) -> Outputs:
        return self._settle(batch, self._engine.share(batch)["logits"])

    def _settle(self, batch: Batch, logits: np.ndarray) -> Outputs:
        rows = np.flatnonzero(in_doubt(logits))
        if not len(rows):
            return {"logits": logits}
        with self._one_at_a_time:
            if self._open_network is None:
                self.undecided += len(rows)
            else:
                self._network = self._network or self._open_network()
                logits = logits.copy()
                logits[rows] = self._network(_part(batch, rows))["logits"]
        return {"logits": logits}


def _part(batch: Batch, rows: np.ndarray) -> Batch:
    mask, targets = (None if part is None else part[rows] for part in (batch.mask, batch.targets))
    return Batch(batch.ids[rows], batch.token_types[rows], mask, targets, batch.rows[rows])
