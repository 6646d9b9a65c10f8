"""A network in bfloat16 on a CPU with float32's labels: where rounding could decide, it computes again."""

from threading import RLock

import numpy as np

from encoders.batching import Batch, Features, subset
from encoders.cpu.bfloat16 import Bfloat16
from encoders.heads import SentenceClassifier
from inference.engine import Engine, Outputs, predict_logits
from inference.network_engine import NetworkEngine

# How far the two best logits must be apart, in the largest error seen (docs/performance.md has measurements).
MARGIN = 5.0
MIN_MEASURED = 256  # rows at least, of all lengths, that the error is measured on
MEASURED_SHARE = 1 / 256  # of all rows, where that is more


class Bfloat16Engine(Engine):
    """Runs a sentence classifier of two labels or more in bfloat16, and where it matters in float32.

    Several threads may call it; they compute in turn.
    """

    def __init__(self, model: SentenceClassifier) -> None:
        self._network, self._bfloat16 = NetworkEngine(model), Bfloat16(trains=False)
        self.config, self.head = model.config, self._network.head
        self._lock = RLock()
        self._largest_error, self._rows_seen, self._rows_measured = 0.0, 0, 0

    def __call__(self, batch: Batch) -> Outputs:
        with self._lock, self._bfloat16.in_force():
            return self._network(batch)

    def confirmed(self, logits: np.ndarray, features: Features, batch_size: int) -> np.ndarray:
        """The logits with those in float32 for rows whose label rounding could have decided.

        The error of a row is by how much the distance of any two of its logits differs from float32's. It is
        measured on rows of all lengths, and on every row that is computed again, until the two best logits of
        each other row are MARGIN times the largest error of any call apart.
        """
        with self._lock:
            exact, is_exact = logits.copy(), np.zeros(len(logits), dtype=bool)
            second, best = np.partition(logits, -2, axis=1)[:, -2:].T
            rows = self._rows_to_measure(features)
            while True:
                if len(rows):
                    exact[rows] = predict_logits(self._network, subset(features, rows), batch_size)
                    is_exact[rows] = True
                    errors = np.ptp(
                        logits[rows] - exact[rows], axis=1
                    )  # of a row that is no number: no number
                    self._largest_error = float(
                        errors.max(initial=self._largest_error, where=np.isfinite(errors))
                    )
                is_clear = best - second > MARGIN * self._largest_error  # what is no number is not
                rows = np.flatnonzero(~is_exact & ~is_clear)
                if not len(rows):
                    return exact

    def _rows_to_measure(self, features: Features) -> np.ndarray:
        self._rows_seen += len(features)
        wanted = max(MIN_MEASURED, int(self._rows_seen * MEASURED_SHARE)) - self._rows_measured
        rows = _rows_of_all_lengths(features, min(max(0, wanted), len(features)))
        self._rows_measured += len(rows)
        return rows


def _rows_of_all_lengths(features: Features, count: int) -> np.ndarray:
    by_length = np.argsort(features.lengths, kind="stable")
    return np.asarray(
        by_length[np.linspace(0, len(features) - 1, count).astype(int)] if count else by_length[:0]
    )
