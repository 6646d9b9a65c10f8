"""Which runs to join, and how: chosen on the dev rows, scored on dev rows that had no say in it.

Of many runs the one that is best on a few hundred dev rows is partly the luckiest, and so is the best of many
ways to join them. So every option, the k best runs by mean logits or by votes, is cross-validated: on
each fold's other rows the runs are ranked, and the k best of them answer the fold's own rows. The option with
the best score over all folds is taken, a single run unless joining beats it there. What the whole
procedure is worth is measured by a cross-validation around it (Varma & Simon 2006, Bias in error
estimation when using cross-validation for model selection): that is ``expected``, the score on the dev
files is not.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glue.tasks import Task
from metrics.scores import UndefinedScoreWarning
from metrics.task_scores import score_task

_FOLDS, _REPEATS, _SEED = 5, 2, 42

Rows = list[np.ndarray]  # of each dev file, numbers of rows


@dataclass(frozen=True)
class Option:
    """The ``size`` best runs, joined by ``mean`` logits or by ``vote``."""

    size: int
    method: str


@dataclass(frozen=True)
class Choice:
    """Which runs were chosen, and what they are worth."""

    option: Option
    members: tuple[int, ...]  # the runs by number, the best first
    dev: dict[str, float]  # scores on the dev files that chose, which flatter
    expected: dict[str, float]  # scores of the whole procedure, cross-validated
    gain: float  # the expected main score minus that of the best single run, on rows that chose neither


def options_for(task: Task, runs: int, size: int, methods: Sequence[str]) -> list[Option]:
    """All options, the simplest first: of equal ones the first is taken. Votes need labels, and three."""
    options = [Option(1, "mean")]
    for number in range(2, min(size, runs) + 1):
        options += [Option(number, "mean")] if "mean" in methods else []
        options += [Option(number, "vote")] if "vote" in methods and number >= 3 and task.labels else []
    return options


def combine(logits: np.ndarray, method: str) -> np.ndarray:
    """(runs, N, L) → (N, L): the mean; or the votes for each label, ties broken by the mean logits.

    Votes are whole numbers; the softmax of the mean, halved, comes on top and never outweighs one.
    """
    mean: np.ndarray = logits.mean(axis=0, dtype=np.float64)
    if method == "mean" or len(logits) == 1:
        return mean.astype(np.float32)
    votes = (logits.argmax(axis=2)[:, :, None] == np.arange(logits.shape[2])).sum(axis=0)
    likely = np.exp(mean - mean.max(axis=1, keepdims=True))
    tie_break: np.ndarray = 0.5 * likely / likely.sum(axis=1, keepdims=True)
    return (votes + tie_break).astype(np.float32)


class EnsembleSelector:
    """Chooses among the runs of a task by their dev predictions.

    Golds and logits have an array for each dev file.

    Args:
        task: The task.
        golds: (N,) label ids in the table's order, or numbers.
        logits: (runs, N, L), columns in the table's order of labels.
    """

    def __init__(self, task: Task, golds: Sequence[np.ndarray], logits: Sequence[np.ndarray]) -> None:
        self.task, self.golds, self.logits = task, list(golds), list(logits)
        self.all_rows = [np.arange(len(gold)) for gold in self.golds]
        self._answers = [predicted_values(task, part) for part in self.logits]  # (runs, N)
        self._generator = np.random.default_rng(_SEED)

    def choose(self, options: Sequence[Option]) -> Choice:
        """Find the best option by cross-validation, and what is to be expected of it."""
        option = self._best(options, self.all_rows)
        members = self.ranked(self.all_rows)[: option.size]
        answers = self._answer(members, option, self.all_rows)
        expected, single = self._expected(options)
        dev = self._scores(answers, self.all_rows)
        return Choice(option, tuple(members), dev, expected, gain=expected["main"] - single["main"])

    def ranked(self, rows: Rows) -> list[int]:
        """The runs, best first by their main score on some rows; of equal ones the first."""
        runs = range(len(self.logits[0]))
        mains = [
            self._scores(_take([part[run] for part in self._answers], rows), rows)["main"] for run in runs
        ]
        return sorted(runs, key=lambda run: -mains[run])

    def _best(self, options: Sequence[Option], rows: Rows) -> Option:
        """The option with the best main score over folds of ``rows``, the mean of several ways to fold.

        The first of equal ones.
        """
        totals = dict.fromkeys(options, 0.0)
        for _ in range(_REPEATS):
            pooled = {option: self._empty() for option in options}
            for others, fold in self._folds(rows):
                order = self.ranked(others)
                for option in options:
                    _put(pooled[option], fold, self._answer(order, option, fold))
            for option in options:
                totals[option] += self._scores(_take(pooled[option], rows), rows)["main"] / _REPEATS
        return max(options, key=lambda option: totals[option])

    def _expected(self, options: Sequence[Option]) -> tuple[dict[str, float], dict[str, float]]:
        """Scores of the whole procedure, and of just taking the best run, on rows that had no part in it."""
        pooled, single = self._empty(), self._empty()
        for others, fold in self._folds(self.all_rows):
            option = self._best(options, others) if len(options) > 1 else options[0]
            order = self.ranked(others)
            _put(pooled, fold, self._answer(order, option, fold))
            _put(single, fold, self._answer(order, options[0], fold))
        return self._scores(pooled, self.all_rows), self._scores(single, self.all_rows)

    def _folds(self, rows: Rows) -> list[tuple[Rows, Rows]]:
        """(the other rows, the fold's) of every fold, split anew at every call."""
        cut = [np.array_split(self._generator.permutation(part), _FOLDS) for part in rows]
        return [
            (
                [np.sort(np.concatenate(part[:fold] + part[fold + 1 :])) for part in cut],
                [part[fold] for part in cut],
            )
            for fold in range(_FOLDS)
        ]

    def _empty(self) -> list[np.ndarray]:
        return [np.zeros(len(gold)) for gold in self.golds]

    def _answer(self, order: Sequence[int], option: Option, rows: Rows) -> list[np.ndarray]:
        """What the first runs of an order answer together to some rows."""
        members = list(order[: option.size])
        return [
            predicted_values(self.task, combine(logits[members][:, chosen], option.method))
            for logits, chosen in zip(self.logits, rows, strict=True)
        ]

    def _scores(self, answers: Sequence[np.ndarray], rows: Rows) -> dict[str, float]:
        return score_splits(self.task, _take(self.golds, rows), answers)


def _take(parts: Sequence[np.ndarray], rows: Rows) -> list[np.ndarray]:
    return [part[chosen] for part, chosen in zip(parts, rows, strict=True)]


def _put(parts: Sequence[np.ndarray], rows: Rows, values: Sequence[np.ndarray]) -> None:
    for part, chosen, new in zip(parts, rows, values, strict=True):
        part[chosen] = new


def score_splits(task: Task, golds: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> dict[str, float]:
    """The scores of predicted label ids or numbers, an array for each dev file; an undefined one, as of
    constant answers, is 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedScoreWarning)
        return score_task(task, list(zip(golds, values, strict=True)))


def predicted_values(task: Task, logits: np.ndarray) -> np.ndarray:
    """(…, N, L) logits → (…, N) label ids, or numbers as a submission file has them."""
    if task.target_range is None:
        return np.asarray(logits.argmax(axis=-1))
    return np.asarray(np.clip(logits[..., 0].astype(np.float64), *task.target_range).round(5))
