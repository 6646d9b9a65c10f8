"""Paired bootstrap: what a score would be on other draws of the same rows, for two systems at once.

A resample draws n of n rows with replacement and scores both systems on the same rows; only how often
a row was drawn matters, so all resamples are computed together:

- Labels: rows with the same (gold, A, B) are interchangeable, so a resample is one multinomial draw
  over those few combinations, whatever the number of rows.
- Numbers: a correlation follows from weighted moments, the weight of a row being its number of draws;
  for Spearman the values are first replaced by their ranks within the resample, ties averaged.

The scores of a resample are those of ``metrics.scores``: undefined ones are 0.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.random import Generator
from tqdm import tqdm

from metrics.confusions import FROM_CONFUSION, ratio
from metrics.scores import POSITIVE_ID, Array

_SAME = 1e-12  # differences closer than rounding in the last digits count as equal
_CHUNK_VALUES = 4_000_000  # weights held at a time: 32 MB


def resampled_scores(
    metrics: tuple[str, ...], gold: Array, systems: tuple[Array, Array], resamples: int, generator: Generator
) -> dict[str, Array]:
    """Metric → array (resamples, 2): each resample's score of A and of B."""
    draw: Callable[..., dict[str, Array]]
    if set(metrics) <= set(FROM_CONFUSION):
        labels = int(max(gold.max(), systems[0].max(), systems[1].max(), POSITIVE_ID)) + 1
        draw, values = partial(_from_confusions, labels), labels**3
    elif set(metrics) <= set(_FROM_WEIGHTS):
        draw, values = _from_weights, len(gold)
    else:
        raise ValueError(f"no resampling for {', '.join(metrics)}")
    size = max(1, _CHUNK_VALUES // values)
    chunks = []
    with tqdm(total=resamples, desc="resampling", leave=False, disable=not sys.stderr.isatty()) as bar:
        for start in range(0, resamples, size):
            number = min(size, resamples - start)
            chunks.append(draw(metrics, gold, systems, number, generator))
            bar.update(number)
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in metrics}


def compare_scores(a: float, b: float, resampled: Array) -> dict[str, Any]:
    """Compare two scores by the resampled differences A - B.

    Returns:
        ``a``, ``b``, ``difference``; ``interval_95``, the 2.5th and 97.5th percentile of the resampled
        differences; ``p``, the share of resamples whose difference lies at least as far from A - B as A - B
        lies from 0, with one added above and below the fraction line (see ``glue/compare.py``).
    """
    difference = a - b
    away = np.abs(resampled - difference)
    as_far = int((away >= abs(difference) - _SAME).sum())
    low, high = np.quantile(resampled, [0.025, 0.975])
    p = (as_far + 1) / (len(resampled) + 1)
    return {"a": a, "b": b, "difference": difference, "interval_95": [float(low), float(high)], "p": p}


def _from_confusions(
    labels: int, metrics: tuple[str, ...], gold: Array, systems: tuple[Array, Array], resamples: int,
    generator: Generator,
) -> dict[str, Array]:  # fmt: skip
    """By the counts of the few combinations of labels."""
    a, b = (system.astype(np.int64) for system in systems)
    cells = np.bincount((gold.astype(np.int64) * labels + a) * labels + b, minlength=labels**3)
    draws = generator.multinomial(len(gold), cells / len(gold), size=resamples)
    draws = draws.reshape(resamples, labels, labels, labels)  # (R, gold, A, B)
    confusions = np.stack([draws.sum(axis=3), draws.sum(axis=2)], axis=1)  # (R, 2, gold, predicted)
    return {name: FROM_CONFUSION[name](confusions) for name in metrics}


def _from_weights(
    metrics: tuple[str, ...], gold: Array, systems: tuple[Array, Array], resamples: int, generator: Generator
) -> dict[str, Array]:
    """By how often each row was drawn."""
    weights = _draw_counts(len(gold), resamples, generator)
    return {
        name: np.stack([_FROM_WEIGHTS[name](weights, gold, system) for system in systems], axis=1)
        for name in metrics
    }


def _draw_counts(rows: int, resamples: int, generator: Generator) -> Array:
    """(resamples, rows) float64: how often each row was drawn."""
    draws = generator.integers(rows, size=(resamples, rows)) + np.arange(resamples)[:, None] * rows
    counts = np.bincount(draws.ravel(), minlength=resamples * rows)
    return counts.reshape(resamples, rows).astype(np.float64)


def _pearson(weights: Array, gold: Array, predicted: Array) -> Array:
    """Weighted correlation, per resample. gold, predicted: (rows,), or ranks (resamples, rows)."""
    total = weights.sum(axis=1)
    x = gold - (weights * gold).sum(axis=1, keepdims=True) / total[:, None]
    y = predicted - (weights * predicted).sum(axis=1, keepdims=True) / total[:, None]
    covariance = (weights * x * y).sum(axis=1)
    spread = np.sqrt((weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1))
    scale = np.abs(gold).max() * np.abs(predicted).max() * total
    return ratio(covariance, np.where(spread > 1e-12 * scale, spread, 0.0))


def _spearman(weights: Array, gold: Array, predicted: Array) -> Array:
    return _pearson(weights, _ranks(weights, gold), _ranks(weights, predicted))


def _ranks(weights: Array, values: Array) -> Array:
    """(resamples, rows): each row's mean rank among the drawn rows, ties averaged."""
    distinct, position = np.unique(values, return_inverse=True)
    order = np.argsort(position, kind="stable")
    starts = np.searchsorted(position[order], np.arange(len(distinct)))
    counts = np.add.reduceat(weights[:, order], starts, axis=1)  # (resamples, distinct)
    mean_rank = np.cumsum(counts, axis=1) - (counts - 1) / 2
    return mean_rank[:, position]


_FROM_WEIGHTS = {"pearson": _pearson, "spearman": _spearman}
