"""What the report page says of a run's dev rows: confusions, the worst errors, length against score."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import MANIFEST, sha256_of
from common.provenance import Provenance, difference, recorded_digest
from glue.data import Example, find_file, read_split
from glue.predictions import SplitPredictions, npz_path
from glue.tasks import Split, Task
from lab.report_numbers import Number, percent, whole
from lab.report_runs import Run
from metrics.prediction_file import Form, read_predictions

_WORST = 6
_BINS = 5


@dataclass(frozen=True)
class Error:
    """A row that was answered wrongly. certainty: probability of the answer given, None in a regression."""

    row: Number
    texts: tuple[str, ...]
    gold: str
    answer: str
    certainty: Number | None


@dataclass(frozen=True)
class Bin:
    """Rows of like length. low, high: words of a row's texts; score: accuracy, or mean absolute error."""

    low: Number
    high: Number
    rows: Number
    score: Number


@dataclass(frozen=True)
class Panel:
    """A dev file's rows. labels, counts: gold by row, answer by column; of a regression rounded scores."""

    file: str
    run: str
    labels: list[str]
    counts: list[list[Number]]
    errors: list[Error]
    wrong: Number
    bins: list[Bin]
    is_regression: bool

    def share(self, row: int, column: int) -> float:
        """Of the row's gold label, the share with that answer; for the colour."""
        return self.counts[row][column].value / max(1, sum(number.value for number in self.counts[row]))


def panels(runs: Sequence[Run], data_dir: Path | None) -> list[Panel] | str:
    """The panels of the best of a task's runs that has its dev predictions; or what is missing, in words."""
    task = runs[0].task
    if data_dir is None:
        return "name the official files with --data_dir to see them"
    for run in sorted(runs, key=lambda run: -run.best["main"]):
        paths = [run.folder / "predictions" / "dev" / split.submission_file for split in task.of_kind("dev")]
        if all(path.is_file() and path.with_suffix(".npz").is_file() for path in paths):
            if reason := _of_another_checkpoint(run) or _of_other_rows(run, data_dir):
                return reason
            return [_panel(run, split, data_dir) for split in task.of_kind("dev")]
    return (
        "no run has predictions of the dev rows: python -m glue.run_predict --split dev "
        f"--task_name {task.name} --ckpt_path {runs[0].name}/best"
    )


def _of_another_checkpoint(run: Run) -> str:
    if not (run.folder / "best" / MANIFEST).is_file():
        return ""
    expected = Provenance(recorded_digest(run.folder / "best"))
    if not any(difference(expected, _predicted(run, split).provenance) for split in run.task.of_kind("dev")):
        return ""
    return f"the dev predictions of {run.name} are another checkpoint's than its best/: predict again"


def _of_other_rows(run: Run, data_dir: Path) -> str:
    for split in run.task.of_kind("dev"):
        file = find_file(data_dir, split)
        expected = Provenance(data={split.file: sha256_of(file)})
        if difference(expected, _predicted(run, split).provenance, unknown_may_pass=True):
            return f"the dev predictions of {run.name} are of another {split.file} than {file}: predict again"
    return ""


def _predicted(run: Run, split: Split) -> SplitPredictions:
    return SplitPredictions.read(run.folder / "predictions" / "dev", run.task, split)


def _panel(run: Run, split: Split, data_dir: Path) -> Panel:
    task, path = run.task, run.folder / "predictions" / "dev" / split.submission_file
    examples = read_split(task, split, data_dir).examples
    answers = read_predictions(path, Form(task.labels, task.target_range), len(examples))
    source = f"{run.name}/{split.submission_file}"
    labels, gold, given = _classes(task, examples, answers)
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    np.add.at(counts, (gold, given), 1)
    losses, certainty = _losses(run, split, examples, answers)
    wrong = np.flatnonzero(losses > 0)
    worst = wrong[np.argsort(-losses[wrong], kind="stable")][:_WORST]
    return Panel(
        file=split.submission_file,
        run=run.name,
        labels=labels,
        counts=[
            [whole(int(counts[i, j]), f"confusion:{source}#{a}/{b}") for j, b in enumerate(labels)]
            for i, a in enumerate(labels)
        ],
        errors=[
            Error(
                whole(int(row), f"row:{source}"),
                examples[row].texts,
                str(examples[row].label),
                answers[row],
                None if certainty is None else percent(certainty[row], f"certainty:{source}#{row}"),
            )
            for row in worst
        ],
        wrong=whole(len(wrong), f"wrong:{source}"),
        bins=_bins(task, examples, losses, source),
        is_regression=task.is_regression,
    )


def _classes(
    task: Task, examples: Sequence[Example], answers: Sequence[str]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the classes, and each row's gold and given one; of a regression the rounded scores."""
    if task.target_range is None:
        ids = {label: number for number, label in enumerate(task.labels)}
        return (
            list(task.labels),
            np.array([ids[str(e.label)] for e in examples]),
            np.array([ids[a] for a in answers]),
        )
    low, high = (round(end) for end in task.target_range)
    gold, given = _scores(examples), np.array([float(answer) for answer in answers])
    places = [np.floor(values + 0.5).astype(int) - low for values in (gold, given)]
    return [str(number) for number in range(low, high + 1)], places[0], places[1]


def _scores(examples: Sequence[Example]) -> np.ndarray:
    return np.array([float(example.label or 0.0) for example in examples])


def _losses(
    run: Run, split: Split, examples: Sequence[Example], answers: Sequence[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """How wrong each row is, 0 where it is right: −log of the gold label's probability, or the distance in
    a regression; and the probability of the answer given (None in a regression)."""
    if run.task.is_regression:
        return np.abs(_scores(examples) - np.array([float(answer) for answer in answers])), None
    stored = _predicted(run, split)
    if len(stored.logits) != len(examples):
        path = npz_path(run.folder / "predictions" / "dev", split)
        raise InputError(f"does not fit {split.submission_file}; predict again", path=path)
    logits = stored.logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows, column = np.arange(len(examples)), {label: place for place, label in enumerate(stored.labels)}
    gold = shares[rows, [column[str(example.label)] for example in examples]]
    given = shares[rows, [column[answer] for answer in answers]]
    is_wrong = np.array([answer != example.label for answer, example in zip(answers, examples, strict=True)])
    return np.where(is_wrong, -np.log(np.maximum(gold, 1e-300)), 0.0), given


def _bins(task: Task, examples: Sequence[Example], losses: np.ndarray, source: str) -> list[Bin]:
    """Rows by their number of words, in fifths; fewer where many rows are equally long."""
    words = np.array([sum(len(text.split()) for text in example.texts) for example in examples])
    edges = np.unique(np.quantile(words, np.linspace(0, 1, _BINS + 1)[1:], method="higher"))
    found = []
    for number, inside in enumerate(np.searchsorted(edges, words) == place for place in range(len(edges))):
        about = f"{source}#{number}"
        score = (
            Number(float(losses[inside].mean()), f"bin-error:{about}", ".3f")
            if task.is_regression
            else percent(float((losses[inside] == 0).mean()), f"bin-accuracy:{about}")
        )
        low, high = int(words[inside].min()), int(words[inside].max())
        found.append(
            Bin(whole(low, f"bin-low:{about}"), whole(high, f"bin-high:{about}"),
                whole(int(inside.sum()), f"bin-rows:{about}"), score)
        )  # fmt: skip
    return found
