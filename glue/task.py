"""Split and Task: the form of a row of the task table (``glue/tasks.py``), or of a task of the user's own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from common.dispatch import dispatch
from common.errors import InputError

if TYPE_CHECKING:
    import numpy as np


def letters(name: str) -> str:
    """A name without case and punctuation, by which spellings are compared."""
    return re.sub(r"[\W_]", "", name.casefold())


@dataclass(frozen=True)
class Split:
    """One file of a task.

    kind: ``train``, ``dev`` or ``test``. file: path below the data folder. rows: official count.
    part: tells two files of one kind apart (MNLI's ``matched``), else empty.
    submission_file: the leaderboard file its predictions go to (dev files: the same form, for scoring).
    headless: the column names of a file that has no header line.
    other_files: other places where redistributions put the same file.
    skips_defects: the one file whose known bad rows are skipped and reported, not refused.
    path: where a file of a task of the user's own lies; empty: below the data folder.
    """

    kind: str
    file: str
    rows: int
    part: str = ""
    submission_file: str = ""
    headless: tuple[str, ...] = ()
    other_files: tuple[str, ...] = ()
    skips_defects: bool = False
    path: str = ""

    @property
    def name(self) -> str:
        """What signatures call it: ``dev``, or ``dev_matched`` where there are two."""
        return f"{self.kind}_{self.part}" if self.part else self.kind


@dataclass(frozen=True)
class Task:
    """One row of the benchmark.

    labels: in id order; empty for regression. metrics: names of functions in ``metrics.scores``.
    paper_score: the score that the ConvBERT paper's eight-task average counts; empty if it counts none.
    has_quoted_texts: whether the official files have texts in CSV's quotes.
    is_symmetric: whether the order of a pair's texts has no meaning.
    other_names: what else the task is called, besides other case and punctuation. label_names: of each label,
    in id order, what else it is called.
    majority: the most frequent training label, any where they balance (STS-B: about the mean score), what
    ``submission.pack --fill_missing majority`` writes. target_range: of a regression's scores.
    has_given_range: false where that is only the range of the training labels, which others may leave.
    presets: what a recipe preset (glue/config.py) does differently for this task.
    """

    name: str
    folder: str
    text_columns: tuple[str, ...]
    label_column: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    splits: tuple[Split, ...]
    paper_score: str
    majority: str
    target_range: tuple[float, float] | None = None
    has_given_range: bool = True
    presets: dict[str, dict[str, Any]] = field(default_factory=dict)
    has_quoted_texts: bool = False
    is_symmetric: bool = False
    other_names: tuple[str, ...] = ()
    label_names: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def from_files(
        cls,
        name: str,
        *,
        text: str | Sequence[str],
        label: str = "label",
        train: str | PathLike[str] | None = None,
        dev: str | PathLike[str] | None = None,
        test: str | PathLike[str] | None = None,
        labels: Sequence[str] = (),
        scores: str | Sequence[str] = (),
        regression: bool = False,
        target_range: Sequence[float] = (),
    ) -> "Task":
        """Make a task of your own, as ``--task_file`` does (``glue/task_file.py`` describes that).

        Args:
            name: Its name, none of the benchmark's.
            text: The column of the texts, or both columns of pairs.
            label: The column of the labels, or of the numbers of a regression.
            train: CSV, TSV, JSON lines (.jsonl) or Parquet; so are the others.
            dev: What a training is scored on.
            test: What is predicted; it needs no labels.
            labels: In id order; empty: those in the training file, sorted.
            scores: Of accuracy, f1 and matthews, or of pearson and spearman; empty: accuracy, or both.
            regression: Whether the labels are numbers.
            target_range: Their lowest and highest, within which predictions are kept; empty: those in the
                training file.

        Raises:
            InputError: With file and line, what is wrong.

        >>> import glue
        >>> task = glue.Task.from_files("reviews", text="review", train="reviews.csv", dev="reviews.csv")
        >>> task.labels
        ('bad', 'good')
        >>> glue.fine_tune(task, "convbert-mini", output_dir="runs/reviews", max_steps=2).metric
        'accuracy'
        """
        return dispatch(
            "glue.task_file:make_task", name, text, label, train, dev, test, labels, scores, regression,
            target_range,
        )  # fmt: skip

    @property
    def is_own(self) -> bool:
        """Whether it is a task of the user's own, and none of the benchmark."""
        return any(split.path for split in self.splits)

    @property
    def is_regression(self) -> bool:
        return not self.labels

    @property
    def is_pair(self) -> bool:
        return len(self.text_columns) == 2

    @property
    def num_outputs(self) -> int:
        """Columns of the logits: one per label, one for a regression."""
        return len(self.labels) or 1

    def scored_on_test(self) -> "Task":
        """The same with its test file in place of its dev file; InputError where its labels are withheld."""
        if not self.is_own:
            message = (
                f"--split test: the test labels of {self.name} are withheld; gluebenchmark.com scores them"
            )
            raise InputError(message)
        tests = tuple(replace(split, kind="dev") for split in self.of_kind("test"))
        return replace(self, splits=(*(split for split in self.splits if split.kind == "train"), *tests))

    def of_kind(self, kind: str) -> tuple[Split, ...]:
        """The task's files of one kind, in order; never empty."""
        splits = tuple(split for split in self.splits if split.kind == kind)
        if not splits:
            raise InputError(f"{self.name} has no {kind} split")
        return splits

    def label_meant(self, name: str) -> str | None:
        """The label that a name means, in any case and punctuation; None if it means none of the task's.

        A name without a letter must be a label exactly: -1 is not 1.
        """
        key = letters(name)
        if name in self.labels or not re.search("[a-z]", key):
            return name if name in self.labels else None
        for number, label in enumerate(self.labels):
            names = (label, *(self.label_names[number] if self.label_names else ()))
            if key in map(letters, names):
                return label
        return None

    def labels_meant(self, names: Sequence[str]) -> list[str] | None:
        """The labels that names mean, in the order of the names; None unless each label is meant once."""
        labels = [self.label_meant(name) for name in names]
        known = [label for label in labels if label is not None]
        return known if len(known) == len(labels) and sorted(known) == sorted(self.labels) else None

    def values_of(self, predictions: Sequence[str]) -> "np.ndarray":
        """(N,) label ids in the table's order, or numbers, of predictions as a file has them."""
        import numpy as np

        if self.is_regression:
            return np.array(predictions, dtype=np.float64)
        ids = {label: number for number, label in enumerate(self.labels)}
        return np.array([ids[label] for label in predictions])

    @property
    def score_keys(self) -> tuple[str, ...]:
        """Keys of the dev scores: ``f1``, ``accuracy``; with several dev files ``accuracy_matched`` …"""
        return tuple(
            f"{metric}_{split.part}" if split.part else metric
            for split in self.of_kind("dev")
            for metric in self.metrics
        )

    @property
    def main(self) -> str:
        """Name of the score the leaderboard counts: the only score, or the mean of both."""
        keys = self.score_keys
        return keys[0] if len(keys) == 1 else "_".join(keys) + "_mean"
