"""Scores from confusion matrices against scikit-learn's, of the rows that they count."""

import numpy as np
import pytest

from metrics.confusions import FROM_CONFUSION, confusion_matrix
from metrics.scores import METRICS


@pytest.mark.filterwarnings("ignore:.*undefined here")
@pytest.mark.parametrize("metric", ["accuracy", "f1", "matthews"])
@pytest.mark.parametrize("labels", [2, 3])
def test_confusion_counts_score_like_the_rows_they_stand_for(metric, labels):
    confusions = np.random.default_rng(7).integers(0, 4, size=(60, labels, labels))
    confusions[0] = 0
    confusions[0, 0, 0] = 5  # all one label: undefined, 0 for Matthews and F1
    confusions[1:, 1, 1] += 1  # no empty resample
    values = FROM_CONFUSION[metric](confusions)
    for value, counts in zip(values, confusions, strict=True):
        rows = [(g, p) for (g, p), n in np.ndenumerate(counts) for _ in range(n)]
        gold, predicted = zip(*rows, strict=True)
        assert value == pytest.approx(METRICS[metric](gold, predicted), abs=1e-12)
        matrix = confusion_matrix(np.array(gold), np.array(predicted))
        assert FROM_CONFUSION[metric](matrix) == value
