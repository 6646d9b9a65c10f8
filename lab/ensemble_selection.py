"""Which runs to join, and how: chosen on the dev rows, scored on dev rows that had no say in it.

Of many runs the one that is best on a few hundred dev rows is partly the luckiest, and so is the best of many
ways to join them. So every option, the k best runs by mean logits or by votes, with or without a learned
threshold, is cross-validated: on each fold's other rows the runs are ranked and the threshold is learned, and
the k best of them answer the fold's own rows. The option with
the best score over all folds is taken, a single run unless joining beats it there. What the whole
procedure is worth is measured by a cross-validation around it (Varma & Simon 2006, Bias in error
estimation when using cross-validation for model selection): that is ``expected``, the score on the dev
files is not.
"""

import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

from glue.predictions import SplitPredictions
from glue.tasks import Task
from lab.plan import NETWORK_METHODS
from lab.thresholds import add_offset, has_threshold, learn_offset
from metrics.confusions import FROM_CONFUSION, confusion_matrix
from metrics.scores import UndefinedScoreWarning
from metrics.task_scores import score_task

NetworkLogits = Callable[[str, Sequence[int]], list[np.ndarray]]
_FOLDS, _REPEATS, _SEED = 5, 2, 42


@dataclass(frozen=True)
class Option:
    """The ``size`` best runs, joined by a method; their threshold learned, or not.

    ``mean`` of the logits, ``vote``, ``orders``: the mean, each run reading pairs in both orders; ``saves``:
    the mean, each run with the mean weights of its last saves; ``soup``: one network of the mean weights of
    those among them that do not lower its score.
    """

    size: int
    method: str
    threshold: bool = False


SINGLE = Option(1, "mean")


@dataclass(frozen=True)
class Choice:
    """Which runs were chosen, and what they are worth."""

    option: Option
    members: tuple[int, ...]  # the runs by number, the best first
    dev: dict[str, float]  # scores on the dev files that chose, which flatter
    expected: dict[str, float]  # scores of the whole procedure, cross-validated
    gain: float  # the procedure's expected main score minus that of the best single run, on other rows
    offset: float = 0.0  # what the threshold adds to the logits of the second label


@dataclass(frozen=True)
class _Fitted:
    """An option with all that rows decide."""

    members: tuple[int, ...]
    method: str
    offset: float = 0.0


def options_for(task: Task, runs: int, size: int, methods: Sequence[str]) -> list[Option]:
    """All options, the simplest first: of equal ones the first is taken. Votes need labels, and three; a soup
    has so many runs at most."""
    options = [SINGLE]
    for number in range(2, min(size, runs) + 1):
        options += [Option(number, "mean")] if "mean" in methods else []
        options += [Option(number, "vote")] if "vote" in methods and number >= 3 and task.labels else []
    if "threshold" in methods and has_threshold(task):
        options += [replace(option, threshold=True) for option in options if option.method == "mean"]
    if "orders" in methods and task.is_symmetric:
        options += [Option(number, "orders") for number in range(1, min(size, runs) + 1)]
    if "saves" in methods:
        options += [Option(number, "saves") for number in range(1, min(size, runs) + 1)]
    if "soup" in methods and runs > 1 and size > 1:
        options.append(Option(min(size, runs), "soup"))
    return options


def stack_logits(task: Task, parts: Sequence[SplitPredictions]) -> np.ndarray:
    """(runs, N, L), columns in the table's order of labels."""
    if task.is_regression:
        return np.stack([part.logits for part in parts])
    return np.stack([part.logits[:, [part.labels.index(name) for name in task.labels]] for part in parts])


def combine(logits: np.ndarray, method: str) -> np.ndarray:
    """(runs, N, L) → (N, L): the mean; or the votes for each label, ties broken by the mean logits.

    Votes are whole numbers; the softmax of the mean, halved, comes on top and never outweighs one.
    """
    mean: np.ndarray = logits.mean(axis=0, dtype=np.float64)
    if method != "vote" or len(logits) == 1:
        return mean.astype(np.float32)
    votes = (logits.argmax(axis=2)[:, :, None] == np.arange(logits.shape[2])).sum(axis=0)
    tie_break: np.ndarray = 0.5 * softmax(mean, axis=1)
    return (votes + tie_break).astype(np.float32)


class EnsembleSelector:
    """Chooses among the runs of a task by their dev predictions. Rows are counted over all dev files.

    Args:
        task: The task.
        golds: Of each dev file (N,) label ids in the table's order, or numbers.
        logits: Of each dev file (runs, N, L), columns in the table's order of labels.
        network_logits: For ``orders``, ``saves`` and ``soup``, method and runs → of each dev file (N, L).
        groups: Of each run what it began with; runs of one group can be averaged.
    """

    def __init__(
        self,
        task: Task,
        golds: Sequence[np.ndarray],
        logits: Sequence[np.ndarray],
        network_logits: NetworkLogits | None = None,
        groups: Sequence[Hashable] = (),
    ) -> None:
        self._network_logits, self._groups = network_logits, groups
        self.task, self.golds, self.logits = task, np.concatenate(golds), np.concatenate(logits, axis=1)
        self.all_rows = np.arange(len(self.golds))
        self._files = np.split(self.all_rows, np.cumsum([len(gold) for gold in golds])[:-1])
        self._answers = predicted_values(task, self.logits)  # (runs, N)
        self._generator = np.random.default_rng(_SEED)

    def choose(self, options: Sequence[Option]) -> Choice:
        """Find the best option by cross-validation, and what is to be expected of it.

        Of a single run the same is expected whatever else was tried: what the best run of a part of the rows
        scores on the others.
        """
        option = self._best(options, self.all_rows)
        fitted = self._fit(self.ranked(self.all_rows), option, self.all_rows)
        answers = self._answer(fitted, self.all_rows)
        expected, single = np.zeros(len(self.golds)), np.zeros(len(self.golds))
        for others, fold in self._folds(self.all_rows):
            best = self._best(options, others) if len(options) > 1 else options[0]
            order = self.ranked(others)
            expected[fold] = self._answer(self._fit(order, best, others), fold)
            single[fold] = self._answer(self._fit(order, SINGLE, others), fold)
        dev, whole, one = (self._scores(each, self.all_rows) for each in (answers, expected, single))
        gain, is_single = whole["main"] - one["main"], option == SINGLE
        return Choice(option, fitted.members, dev, one if is_single else whole, gain, fitted.offset)

    def ranked(self, rows: np.ndarray) -> list[int]:
        """The runs, best first by their main score on some rows; of equal ones the first."""
        mains = [self._main_score(answers, rows) for answers in self._answers]
        return sorted(range(len(mains)), key=lambda run: -mains[run])

    def _best(self, options: Sequence[Option], rows: np.ndarray) -> Option:
        """The option with the best main score over folds of some rows, the mean of several ways to fold; the
        first of equal ones."""
        totals = dict.fromkeys(options, 0.0)
        for _ in range(_REPEATS):
            pooled = {option: np.zeros(len(self.golds)) for option in options}
            for others, fold in self._folds(rows):
                order = self.ranked(others)
                for option in options:
                    pooled[option][fold] = self._answer(self._fit(order, option, others), fold)
            for option in options:
                totals[option] += self._main_score(pooled[option], rows) / _REPEATS
        return max(options, key=lambda option: totals[option])

    def _folds(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(the other rows, the fold's) of every fold, each file split anew at every call."""
        cut = [np.array_split(self._generator.permutation(file), _FOLDS) for file in self._by_file(rows)]
        for parts in zip(*cut, strict=True):
            fold = np.concatenate(parts)
            yield np.setdiff1d(rows, fold), fold

    def _fit(self, order: Sequence[int], option: Option, rows: np.ndarray) -> "_Fitted":
        """What an option is by what some rows say: which runs, best first by them, and what is added to the
        logits of the second label."""
        members = tuple(order[: option.size])
        if option.method == "soup":
            return _Fitted(self._greedy_soup(order, option.size, rows), option.method)
        if not option.threshold:
            return _Fitted(members, option.method)
        joined = self._joined(members, option.method, rows)
        return _Fitted(members, option.method, learn_offset(self.task, joined, self.golds[rows]))

    def _answer(self, fitted: "_Fitted", rows: np.ndarray) -> np.ndarray:
        """What it answers to some rows."""
        joined = self._joined(fitted.members, fitted.method, rows)
        return predicted_values(self.task, add_offset(joined, fitted.offset))

    def _joined(self, members: Sequence[int], method: str, rows: np.ndarray) -> np.ndarray:
        """(N, L): what some runs say together of some rows."""
        if method not in NETWORK_METHODS or (method == "soup" and len(members) == 1):
            return combine(self.logits[list(members)][:, rows], method)
        assert self._network_logits is not None
        return np.concatenate(self._network_logits(method, members))[rows]

    def _greedy_soup(self, order: Sequence[int], size: int, rows: np.ndarray) -> tuple[int, ...]:
        """Of the runs that can be averaged with the best that has such, best first, those with which the soup
        scores no lower on some rows."""
        first = next((run for run in order if self._groups.count(self._groups[run]) > 1), order[0])
        soup: tuple[int, ...] = (first,)
        best = -np.inf
        for run in [run for run in order if self._groups[run] == self._groups[first]][:size]:
            candidate = (*soup, run) if run != first else soup
            answers = np.zeros(len(self.golds))
            answers[rows] = self._answer(_Fitted(candidate, "soup"), rows)
            if (score := self._main_score(answers, rows)) >= best:
                soup, best = candidate, score
        return soup

    def _scores(self, answers: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        """The scores on some rows of answers to all."""
        files = self._by_file(rows)
        golds, values = ([column[file] for file in files] for column in (self.golds, answers))
        return score_splits(self.task, golds, values)

    def _main_score(self, answers: np.ndarray, rows: np.ndarray) -> float:
        """The main score on some rows of answers to all. Cross-validation asks for it a thousand times."""
        if not set(self.task.metrics) <= set(FROM_CONFUSION):
            return self._scores(answers, rows)["main"]
        counts = [confusion_matrix(self.golds[file], answers[file]) for file in self._by_file(rows)]
        values = [float(FROM_CONFUSION[metric](each)) for each in counts for metric in self.task.metrics]
        return sum(values) / len(values)

    def _by_file(self, rows: np.ndarray) -> list[np.ndarray]:
        return [np.intersect1d(file, rows, assume_unique=True) for file in self._files]


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
