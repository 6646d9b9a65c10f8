"""Scores of labels from confusion matrices: the same as in ``metrics.scores``, of many matrices at once.

A confusion matrix counts the rows by (gold, predicted) label id. What scores thousands of resamples or
choices needs no more than that; scikit-learn takes longer to check the arrays of one.
"""

import numpy as np

from metrics.scores import POSITIVE_ID, Array


def confusion_matrix(gold: Array, predicted: Array) -> Array:
    """Count (gold, predicted) label ids, each (N,); at least the two labels of F1 have a row and a column."""
    labels = int(max(gold.max(), predicted.max(), POSITIVE_ID)) + 1
    cells = gold.astype(np.int64) * labels + predicted.astype(np.int64)
    return np.bincount(cells, minlength=labels**2).reshape(labels, labels)


def _accuracy(confusions: Array) -> Array:
    right = confusions.trace(axis1=-2, axis2=-1)
    return right / confusions.sum(axis=(-2, -1))


def _f1(confusions: Array) -> Array:
    hits = confusions[..., POSITIVE_ID, POSITIVE_ID]
    positives = confusions[..., POSITIVE_ID, :].sum(axis=-1) + confusions[..., :, POSITIVE_ID].sum(axis=-1)
    return ratio(2 * hits, positives)


def _matthews(confusions: Array) -> Array:
    """Gorodkin's R_K, which scikit-learn computes too; for two labels it is Matthews' coefficient."""
    counts = confusions.astype(np.float64)
    total = counts.sum(axis=(-2, -1))
    golds, predictions = counts.sum(axis=-1), counts.sum(axis=-2)
    covariance = counts.trace(axis1=-2, axis2=-1) * total - (golds * predictions).sum(axis=-1)
    spread_gold = total**2 - (golds**2).sum(axis=-1)
    spread_predicted = total**2 - (predictions**2).sum(axis=-1)
    return ratio(covariance, np.sqrt(spread_gold * spread_predicted))


def ratio(above: Array, below: Array) -> Array:
    """above / below, and 0 where below is 0: the score is undefined there."""
    return np.divide(above, below, out=np.zeros(np.shape(below)), where=below != 0)


# Each takes (…, gold, predicted) counts and returns (…) scores; an undefined one is 0.
FROM_CONFUSION = {"accuracy": _accuracy, "f1": _f1, "matthews": _matthews}
