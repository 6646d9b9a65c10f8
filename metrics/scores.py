"""The benchmark's scores, from arrays of gold and predicted values.

Every function takes ``gold`` and ``predicted``, one-dimensional and of equal length: label ids for
classification, numbers for regression. More is better for all of them. Where a score is undefined
(most often because every prediction is the same) it is 0.0, with one warning, and never NaN.
Errors: InputError for empty arrays, unequal lengths, values that are not finite, labels that are no
whole numbers. Source: the GLUE paper (arXiv:1804.07461, table 1) for which score goes with which task;
scikit-learn and SciPy for the numbers.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from common.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]
POSITIVE_ID = 1


class UndefinedScoreWarning(UserWarning):
    """A score counts as 0.0 because it is undefined; the libraries' own warnings of that never show."""


# A spread below it, relative to the size of the numbers, is noise: a little above every limit that SciPy
# has had for its NearConstantInputWarning, which compares the square root of the sum of squares.
_NEARLY_CONSTANT = 3e-12


def accuracy(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Share of rows whose predicted label is the gold one, 0 to 1. Always defined.

    >>> accuracy([0, 1, 2, 2], [0, 1, 2, 0])
    0.75
    """
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(*_labels(gold, predicted)))


def f1(gold: ArrayLike, predicted: ArrayLike) -> float:
    """F1 of the second label (id 1), 0 to 1: the harmonic mean of its precision and recall.

    Undefined, hence 0.0 with a warning, only if neither array holds a single 1. Always predicting 1
    is defined and, where most rows are positive, high.

    >>> f1([1, 1, 0, 0], [1, 1, 1, 0])
    0.8
    """
    from sklearn.metrics import f1_score

    golds, predictions = _labels(gold, predicted)
    is_gold, is_predicted = golds == POSITIVE_ID, predictions == POSITIVE_ID
    if not is_gold.any() and not is_predicted.any():
        return _undefined("f1", "neither the gold labels nor the predictions hold the positive label")
    return float(f1_score(is_gold, is_predicted))


def matthews(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Matthews correlation of two labellings, −1 to 1; 0 is what guessing gives.

    >>> round(matthews([1, 1, 0, 0], [1, 0, 0, 0]), 4)
    0.5774
    """
    from sklearn.metrics import matthews_corrcoef

    golds, predictions = _labels(gold, predicted)
    if constant := _which_is_constant(golds, predictions):
        return _undefined("matthews", constant)
    return float(matthews_corrcoef(golds, predictions))


def pearson(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Pearson's linear correlation, −1 to 1.

    >>> round(pearson([0.0, 1.0, 2.0], [0.0, 1.0, 4.0]), 4)
    0.9608
    """
    from scipy.stats import pearsonr

    golds, predictions = _numbers(gold, predicted)
    if constant := _which_is_constant(golds, predictions, _NEARLY_CONSTANT):
        return _undefined("pearson", constant)
    return float(pearsonr(_scaled(golds), _scaled(predictions))[0])


def spearman(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Spearman's rank correlation, −1 to 1; tied values share the mean of their ranks.

    >>> spearman([0.0, 1.0, 2.0], [0.0, 1.0, 4.0])
    1.0
    """
    from scipy.stats import spearmanr

    golds, predictions = _numbers(gold, predicted)
    if constant := _which_is_constant(golds, predictions):
        return _undefined("spearman", constant)
    return float(spearmanr(golds, predictions)[0])


METRICS: dict[str, Callable[[Any, Any], float]] = {
    function.__name__: function for function in (accuracy, f1, matthews, pearson, spearman)
}


def _which_is_constant(golds: Array, predictions: Array, limit: float = 0.0) -> str:
    """Say which array has no spread (relative to its size at most ``limit``), or nothing."""
    for name, values in (("every prediction", predictions), ("every gold value", golds)):
        scaled = _scaled(values)
        if values.min() == values.max() or scaled.max() - scaled.min() <= limit * abs(scaled).max():
            return f"{name} is {values[0]:g}"
    return ""


def _scaled(values: Array) -> Array:
    """Times the power of two that brings the largest below 1: exact, and nothing overflows after it."""
    _, exponent = np.frexp(abs(values).max())
    return np.ldexp(values, -exponent)


def _undefined(score: str, reason: str) -> float:
    message = f"{score} is undefined here: {reason}; it counts as 0.0"
    warnings.warn(message, UndefinedScoreWarning, stacklevel=3)
    return 0.0


def _numbers(gold: ArrayLike, predicted: ArrayLike) -> tuple[Array, Array]:
    """Both arrays as float64, checked."""
    golds, predictions = np.asarray(gold), np.asarray(predicted)
    for name, values in (("gold", golds), ("predicted", predictions)):
        if values.ndim != 1:
            raise InputError(f"the {name} values have shape {values.shape}; a score takes one value a row")
    if len(golds) != len(predictions):
        raise InputError(f"{len(golds)} gold values but {len(predictions)} predictions; give one a row each")
    if not len(golds):
        raise InputError("no rows to score; give at least one gold value and its prediction")
    for name, values in (("gold", golds), ("predicted", predictions)):
        if values.dtype.kind not in "biuf":
            raise InputError(f"the {name} values are of type {values.dtype}; give numbers (label ids)")
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            message = f"the {name} value of row {row} is {values[row]}; only finite numbers have a score"
            raise InputError(message)
    return golds.astype(np.float64), predictions.astype(np.float64)


def _labels(gold: ArrayLike, predicted: ArrayLike) -> tuple[Array, Array]:
    """Both arrays as int64, checked to be label ids."""
    golds, predictions = _numbers(gold, predicted)
    for name, values in (("gold", golds), ("predicted", predictions)):
        if (values != np.floor(values)).any():
            row = int(np.flatnonzero(values != np.floor(values))[0])
            raise InputError(f"the {name} label of row {row} is {values[row]}; give label ids (0, 1, …)")
    return golds.astype(np.int64), predictions.astype(np.int64)
