"""Where to cut between two labels: for Matthews correlation and F1 the middle is rarely the best place.

The cut is learned on labelled rows, as what is added to the logit of the second label (Lipton et al. 2014,
Optimal thresholding of classifiers to maximize F1 measure). On few rows it fits noise, so that only
cross-validation (lab/ensemble_selection.py) may say that it helps.
"""

from typing import Any

import numpy as np

from glue.tasks import Task

_Counts = np.ndarray[Any, np.dtype[Any]]


def has_threshold(task: Task) -> bool:
    """Whether a task has two labels and a score that another cut can raise."""
    return len(task.labels) == 2 and bool({"f1", "matthews"} & set(task.metrics))


def add_offset(logits: np.ndarray, offset: float) -> np.ndarray:
    """(N, 2) logits with a number added to those of the second label."""
    return logits if not offset else (logits + np.array([0.0, offset])).astype(np.float32)


def learn_offset(task: Task, logits: np.ndarray, gold: np.ndarray) -> float:
    """The offset with the best main score on some rows; of equal ones the nearest to 0.

    Args:
        task: A task that ``has_threshold``.
        logits: (N, 2), columns in the table's order of labels.
        gold: (N,) label ids.
    """
    margins = logits[:, 1].astype(np.float64) - logits[:, 0]
    order = np.argsort(margins, kind="stable")
    ranked, is_positive = margins[order], gold[order] == 1
    # Of cut number k the rows from k on are positive.
    hits = is_positive.sum() - np.concatenate([[0], np.cumsum(is_positive)])
    false_alarms = np.arange(len(gold), -1, -1) - hits
    misses = is_positive.sum() - hits
    scores = [_METRICS[name](hits, false_alarms, misses, len(gold)) for name in task.metrics]
    main = np.mean(scores, axis=0)
    edges = np.concatenate([[ranked[0] - 2], ranked, [ranked[-1] + 2]])
    cuts = (edges[:-1] + edges[1:]) / 2
    main[edges[:-1] == edges[1:]] = -np.inf  # no cut between equal margins
    if main[np.searchsorted(ranked, 0.0, side="right")] >= main.max() - 1e-12:
        return 0.0
    best = cuts[main >= main.max() - 1e-12]
    return -float(best[np.abs(best).argmin()])


def _accuracy(hits: _Counts, false_alarms: _Counts, misses: _Counts, rows: int) -> _Counts:
    return 1 - (false_alarms + misses) / rows


def _f1(hits: _Counts, false_alarms: _Counts, misses: _Counts, rows: int) -> _Counts:
    return 2 * hits / np.maximum(2 * hits + false_alarms + misses, 1)


def _matthews(hits: _Counts, false_alarms: _Counts, misses: _Counts, rows: int) -> _Counts:
    """0 where it is undefined."""
    rejections = rows - hits - false_alarms - misses
    sums = [hits + false_alarms, hits + misses, rejections + false_alarms, rejections + misses]
    root = np.sqrt(np.prod([part.astype(np.float64) for part in sums], axis=0))
    return np.asarray((hits * rejections - false_alarms * misses) / np.where(root > 0, root, np.inf))


_METRICS = {"accuracy": _accuracy, "f1": _f1, "matthews": _matthews}
