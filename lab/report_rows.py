"""Dev rows of a run, for the report page: confusions, the worst errors, length against score."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite
from pathlib import Path

import numpy as np
from pandas import DataFrame
from scipy.special import softmax

from common.errors import InputError
from common.files import MANIFEST, sha256_of
from common.provenance import Provenance, difference, recorded_digest
from glue.data import Example, find_file, read_split
from glue.predictions import SplitPredictions, npz_path
from glue.tasks import Task

_WORST = 6
_BINS = 5
_MOST_STEPS = 9  # that a regression's numbers are counted in


@dataclass(frozen=True)
class RowError:
    """A row that was answered wrongly."""

    row: int
    texts: tuple[str, ...]
    gold: str
    answer: str
    certainty: float | None  # probability of the answer given, None in a regression


@dataclass(frozen=True)
class LengthBin:
    """Rows of like length. low, high: words of a row's texts; score: accuracy, or mean absolute error."""

    low: int
    high: int
    rows: int
    score: float


@dataclass(frozen=True)
class DevRows:
    """The answers to a dev file."""

    file: str  # the submission file of the same form
    run: str  # the run that answered
    labels: list[str]  # the classes; of a regression steps of its numbers
    counts: np.ndarray  # (L, L) rows by gold class and answered class
    errors: list[RowError]  # the worst
    wrong: int  # rows
    bins: list[LengthBin]
    is_regression: bool

    @property
    def majority(self) -> float:
        """The share of rows that have the most frequent gold class."""
        return float(self.counts.sum(axis=1).max() / max(1, self.counts.sum()))

    def share(self, row: int, column: int) -> float:
        """Of the rows with that gold class, the share with that answer; 0 without any."""
        return float(self.counts[row, column] / max(1, self.counts[row].sum()))


def dev_rows(task: Task, runs: DataFrame, data_dir: Path | None) -> list[DevRows] | str:
    """The dev rows as answered by the best of a task's runs that has dev predictions: an entry for each dev
    file; or, as text, what is missing."""
    if data_dir is None and not task.is_own:
        return "name the official files with --data_dir to see them"
    ranked = runs.sort_values("main", ascending=False, kind="stable")
    for name, run in zip(ranked["run"], ranked["folder"], strict=True):
        folder = run / "predictions" / "dev"
        if all(npz_path(folder, split).is_file() for split in task.of_kind("dev")):
            parts = [SplitPredictions.read(folder, task, split) for split in task.of_kind("dev")]
            data = data_dir or Path()  # files of the user's own lie anywhere
            if problem := _difference(parts, run / "best", data):
                return f"the dev predictions of {name} are {problem}: predict again"
            return [_count(part, name, data) for part in parts]
    named = "--task_file …" if task.is_own else f"--task_name {task.name}"
    return (
        f"no run has predictions of the dev rows: python -m glue.run_predict --split dev {named} "
        f"--ckpt_path {runs['run'].iloc[0]}/best"
    )


def _difference(parts: Sequence[SplitPredictions], best: Path, data_dir: Path) -> str:
    """What predictions were made from, if not from the run's ``best/`` and the files below data_dir."""
    model = recorded_digest(best) if (best / MANIFEST).is_file() else ""
    for part in parts:
        file = find_file(data_dir, part.split)
        data = Provenance(data={part.split.file: sha256_of(file)})
        if difference(Provenance(model), part.provenance):
            return "another checkpoint's than its best/"
        if difference(data, part.provenance, unknown_may_pass=True):
            return f"of another {part.split.file} than {file}"
    return ""


def _count(part: SplitPredictions, run: str, data_dir: Path) -> DevRows:
    task, answers = part.task, part.values
    examples = read_split(task, part.split, data_dir).examples
    if len(answers) != len(examples):
        path = npz_path(Path(run) / "predictions" / "dev", part.split)
        raise InputError(f"{len(answers)} rows, expected {len(examples)}; predict again", path=path)
    golds = [example.label for example in examples]
    if task.target_range is None:
        labels = list(task.labels)
        losses, certainty = _label_losses(part, [str(gold) for gold in golds])
        pairs = [[labels.index(str(label)) for label in column] for column in (golds, answers)]
    else:
        values = np.array([golds, answers], dtype=float)
        losses, certainty = np.abs(values[0] - values[1]), None
        labels, steps = _in_steps(values, task.target_range)
        pairs = steps.tolist()
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    np.add.at(counts, (pairs[0], pairs[1]), 1)
    wrong = np.flatnonzero(losses > 0)
    worst = wrong[np.argsort(-losses[wrong], kind="stable")][:_WORST]
    errors = [
        RowError(int(row), examples[row].texts, str(golds[row]), answers[row],
                 None if certainty is None else float(certainty[row]))
        for row in worst
    ]  # fmt: skip
    bins = _bins(examples, losses if task.is_regression else (losses == 0).astype(float))
    file = part.split.submission_file
    return DevRows(file, run, labels, counts, errors, len(wrong), bins, task.is_regression)


def _in_steps(values: np.ndarray, limits: tuple[float, float]) -> tuple[list[str], np.ndarray]:
    """A few equal steps that hold all numbers and the finite limits, and the step next to each number."""
    ends = [*values.ravel().tolist(), *filter(isfinite, limits)]
    low, high = min(ends), max(ends)
    widths = (digit * 10.0**power for power in range(-9, 300) for digit in (1, 2, 5))
    width = next(width for width in widths if (high - low) / width <= _MOST_STEPS)
    first, last = (floor(end / width + 0.5) for end in (low, high))
    steps = np.floor(values / width + 0.5).astype(np.int64) - first
    return [f"{number * width:g}" for number in range(first, last + 1)], steps


def _label_losses(part: SplitPredictions, golds: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) −log of the gold label's probability, 0 where the answer is right; (N,) the answer's own."""
    shares = softmax(part.logits.astype(np.float64), axis=1)
    rows, labels = np.arange(len(golds)), list(part.labels)
    gold_share, answer_share = (
        shares[rows, [labels.index(label) for label in column]] for column in (golds, part.values)
    )
    is_wrong = np.array([answer != gold for answer, gold in zip(part.values, golds, strict=True)])
    return np.where(is_wrong, -np.log(np.maximum(gold_share, 1e-300)), 0.0), answer_share


def _bins(examples: Sequence[Example], scores: np.ndarray) -> list[LengthBin]:
    """Mean score by the number of words, in fifths of the rows; fewer where many rows are equally long."""
    lengths = np.array([sum(len(text.split()) for text in example.texts) for example in examples])
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, _BINS + 1)[1:], method="higher"))
    bins = []
    for number in range(len(edges)):
        inside = np.searchsorted(edges, lengths) == number
        low, high = int(lengths[inside].min()), int(lengths[inside].max())
        bins.append(LengthBin(low, high, int(inside.sum()), float(scores[inside].mean())))
    return bins
