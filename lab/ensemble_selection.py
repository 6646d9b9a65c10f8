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
    """option: the one taken; members: runs by number, the best first. dev: scores on the dev files it was
    chosen on, which flatter; expected: of the whole procedure, cross-validated. gain: what its main score has
    over that of the best single run, on rows that had no part in choosing either."""

    option: Option
    members: tuple[int, ...]
    dev: dict[str, float]
    expected: dict[str, float]
    gain: float


def options_for(task: Task, runs: int, size: int, methods: Sequence[str]) -> list[Option]:
    """All options, the simplest first: of equal ones the first is taken. Votes need labels, and three."""
    found = [Option(1, "mean")]
    for number in range(2, min(size, runs) + 1):
        found += [Option(number, "mean")] if "mean" in methods else []
        found += [Option(number, "vote")] if "vote" in methods and number >= 3 and task.labels else []
    return found


def joined(logits: np.ndarray, method: str) -> np.ndarray:
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


class DevRuns:
    """The dev predictions of a task's runs. golds: of each dev file (N,) label ids in the table's order, or
    numbers. logits: of each dev file (runs, N, L), columns in the table's order."""

    def __init__(self, task: Task, golds: Sequence[np.ndarray], logits: Sequence[np.ndarray]) -> None:
        self.task, self.golds, self.logits = task, list(golds), list(logits)
        self._answers = [predicted_values(task, part) for part in self.logits]  # (runs, N)
        self._draw = np.random.default_rng(_SEED)

    @property
    def runs(self) -> int:
        return len(self.logits[0])

    @property
    def all_rows(self) -> Rows:
        return [np.arange(len(gold)) for gold in self.golds]

    def choose(self, options: Sequence[Option]) -> Choice:
        """The best option by cross-validation, with what is to be expected of it."""
        worth = self._worth(options, self.all_rows)
        option = self._best(options, worth)
        members = self.ranked(self.all_rows)[: option.size]
        answers = [predicted_values(self.task, self._joined(part, members, option)) for part in self.logits]
        expected, single = self._expected(options)
        return Choice(
            option=option,
            members=tuple(members),
            dev=self._scores(answers, self.all_rows),
            expected=expected,
            gain=expected["main"] - single["main"],
        )

    def ranked(self, rows: Rows) -> list[int]:
        """The runs, best first by their main score on some rows; of equal ones the first."""
        scores = [
            self._scores([part[run][of] for part, of in zip(self._answers, rows, strict=True)], rows)["main"]
            for run in range(self.runs)
        ]
        return sorted(range(self.runs), key=lambda run: -scores[run])

    def _worth(self, options: Sequence[Option], rows: Rows) -> dict[Option, float]:
        """Each option's main score over folds of ``rows``, the mean of several ways to fold."""
        totals = dict.fromkeys(options, 0.0)
        for _ in range(_REPEATS):
            pooled = {option: self._empty() for option in options}
            for others, own in self._folds(rows):
                order = self.ranked(others)
                for option in options:
                    self._answer(pooled[option], order, option, own)
            for option in options:
                answers = [part[of] for part, of in zip(pooled[option], rows, strict=True)]
                totals[option] += self._scores(answers, rows)["main"] / _REPEATS
        return totals

    def _expected(self, options: Sequence[Option]) -> tuple[dict[str, float], dict[str, float]]:
        """Scores of the whole procedure, and of just taking the best run, on rows that had no part in it."""
        pooled, single = self._empty(), self._empty()
        for others, own in self._folds(self.all_rows):
            option = self._best(options, self._worth(options, others)) if len(options) > 1 else options[0]
            order = self.ranked(others)
            self._answer(pooled, order, option, own)
            self._answer(single, order, options[0], own)
        return self._scores(pooled, self.all_rows), self._scores(single, self.all_rows)

    @staticmethod
    def _best(options: Sequence[Option], worth: dict[Option, float]) -> Option:
        return max(options, key=lambda option: worth[option])  # the first of equal ones

    def _folds(self, rows: Rows) -> list[tuple[Rows, Rows]]:
        """(the other rows, the fold's own) of every fold, drawn anew at every call."""
        cut = [np.array_split(self._draw.permutation(part), _FOLDS) for part in rows]
        return [
            (
                [np.sort(np.concatenate(part[:fold] + part[fold + 1 :])) for part in cut],
                [part[fold] for part in cut],
            )
            for fold in range(_FOLDS)
        ]

    def _empty(self) -> list[np.ndarray]:
        return [np.zeros(len(gold)) for gold in self.golds]

    def _answer(self, into: list[np.ndarray], order: Sequence[int], option: Option, rows: Rows) -> None:
        for target, logits, of in zip(into, self.logits, rows, strict=True):
            target[of] = predicted_values(
                self.task, self._joined(logits[:, of], order[: option.size], option)
            )

    @staticmethod
    def _joined(logits: np.ndarray, members: Sequence[int], option: Option) -> np.ndarray:
        return joined(logits[list(members)], option.method)

    def _scores(self, answers: Sequence[np.ndarray], rows: Rows) -> dict[str, float]:
        return scores_of(self.task, [gold[of] for gold, of in zip(self.golds, rows, strict=True)], answers)


def scores_of(task: Task, golds: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> dict[str, float]:
    """The scores of predicted label ids or numbers, an array for each dev file; an undefined one, as of
    constant answers, is 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedScoreWarning)
        return score_task(task, list(zip(golds, values, strict=True)))


def predicted_values(task: Task, logits: np.ndarray) -> np.ndarray:
    """(…, N, L) logits → (…, N) label ids, or numbers as a hand-in file has them."""
    if task.target_range is None:
        return np.asarray(logits.argmax(axis=-1))
    return np.asarray(np.clip(logits[..., 0].astype(np.float64), *task.target_range).round(5))
