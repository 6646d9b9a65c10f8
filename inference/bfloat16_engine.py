"""A network in bfloat16 on a CPU with float32's labels: where rounding could decide, it computes again."""

import numpy as np

from encoders.batching import Batch, Features, subset
from encoders.cpu.bfloat16 import Bfloat16
from encoders.heads import SentenceClassifier
from inference.engine import Engine, Outputs, predict_logits
from inference.network_engine import NetworkEngine

# How far the two best logits must be apart, in the largest error seen (docs/performance.md has measurements).
MARGIN = 5.0
MIN_MEASURED = 256  # rows at least, of all lengths, that the error is measured on


class Bfloat16Engine(Engine):
    """Runs a sentence classifier of two labels or more in bfloat16, and where it matters in float32."""

    def __init__(self, model: SentenceClassifier) -> None:
        self._network, self._bfloat16 = NetworkEngine(model), Bfloat16(trains=False)
        self.config, self.head = model.config, self._network.head

    def __call__(self, batch: Batch) -> Outputs:
        with self._bfloat16.in_force():
            return self._network(batch)

    def confirmed(self, logits: np.ndarray, features: Features, batch_size: int) -> np.ndarray:
        """The logits with those in float32 for rows whose label rounding could have decided.

        The error of a row is by how much the distance of any two of its logits differs from float32's. It is
        measured on rows of all lengths, and on every row that is computed again, until the two best logits of
        each other row are MARGIN times the largest error apart.
        """
        exact, is_exact, largest = logits.copy(), np.zeros(len(logits), dtype=bool), 0.0
        second, best = np.partition(logits, -2, axis=1)[:, -2:].T
        rows = _rows_of_all_lengths(features)
        while len(rows):
            exact[rows] = predict_logits(self._network, subset(features, rows), batch_size)
            is_exact[rows] = True
            errors = np.ptp(logits[rows] - exact[rows], axis=1)  # of a row that is no number: no number
            largest = float(errors.max(initial=largest, where=np.isfinite(errors)))
            is_clear = best - second > MARGIN * largest  # what is no number is not
            rows = np.flatnonzero(~is_exact & ~is_clear)
        return exact


def _rows_of_all_lengths(features: Features) -> np.ndarray:
    count = min(len(features), max(MIN_MEASURED, len(features) // 256))
    by_length = np.argsort(features.lengths, kind="stable")
    return np.asarray(by_length[np.linspace(0, len(features) - 1, count).astype(int)] if count else by_length)
