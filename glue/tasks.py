"""TASKS: the one table of the benchmark. A new task is one row here.

Everything else (flags, readers, scores, hand-in files, the results table, the tests) derives from it.
Row counts are those of the official files; sources: the GLUE paper (arXiv:1804.07461), the
leaderboard's hand-in rules, and the official files themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from commands.errors import InputError

NLI = ("contradiction", "entailment", "neutral")
PAIRED = ("entailment", "not_entailment")
BINARY = ("0", "1")


@dataclass(frozen=True)
class Split:
    """One file of a task.

    kind: ``train``, ``dev`` or ``test``. file: path below the data folder. rows: official count.
    part: tells two files of one kind apart (MNLI's ``matched``), else empty.
    hand_in: the leaderboard file its predictions go to (dev files: the same form, for scoring).
    headless: the column names of a file that has no header line.
    other_files: other places where redistributions put the same file.
    skips_defects: the one file whose known bad rows are skipped and reported, not refused.
    """

    kind: str
    file: str
    rows: int
    part: str = ""
    hand_in: str = ""
    headless: tuple[str, ...] = ()
    other_files: tuple[str, ...] = ()
    skips_defects: bool = False


@dataclass(frozen=True)
class Task:
    """One row of the benchmark.

    labels: in id order; empty for regression. metrics: names of functions in ``metrics.scores``.
    paper_score: the score that the ConvBERT paper's eight-task average counts; empty if it counts none.
    majority: the most frequent training label, any where they balance (STS-B: about the mean score), what
    ``submission.pack --fill_missing majority`` writes. target_range: of a regression's scores.
    presets: what a recipe preset (glue/presets.py) does differently for this task.
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
    presets: dict[str, dict[str, Any]] = field(default_factory=dict)

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

    def of_kind(self, kind: str) -> tuple[Split, ...]:
        """The task's files of one kind, in order; never empty."""
        found = tuple(split for split in self.splits if split.kind == kind)
        if not found:
            raise InputError(f"{self.name} has no {kind} split")
        return found

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


def _files(
    folder: str, train: int, dev: int, test: int, hand_in: str, skips_defects: bool = False
) -> tuple[Split, ...]:
    return (
        Split("train", f"{folder}/train.tsv", train, skips_defects=skips_defects),
        Split("dev", f"{folder}/dev.tsv", dev, hand_in=hand_in),
        Split("test", f"{folder}/test.tsv", test, hand_in=hand_in),
    )


_COLA_COLUMNS = ("source", "label", "mark", "sentence")
_PAIR = ("sentence1", "sentence2")

_ROWS = (
    Task(
        "cola", "CoLA", ("sentence",), "label", BINARY, ("matthews",),
        (
            Split("train", "CoLA/train.tsv", 8551, headless=_COLA_COLUMNS),
            Split("dev", "CoLA/dev.tsv", 1043, hand_in="CoLA.tsv", headless=_COLA_COLUMNS),
            Split("test", "CoLA/test.tsv", 1063, hand_in="CoLA.tsv"),
        ),
        "matthews", "1",
        presets={"reference": {"save_steps": 40, "seed": 6666}},
    ),
    Task(
        "sst-2", "SST-2", ("sentence",), "label", BINARY, ("accuracy",),
        _files("SST-2", 67349, 872, 1821, "SST-2.tsv"), "accuracy", "1",
        presets={"reference": {"save_steps": 400}},
    ),
    Task(
        "mrpc", "MRPC", ("#1 String", "#2 String"), "Quality", BINARY, ("f1", "accuracy"),
        _files("MRPC", 3668, 408, 1725, "MRPC.tsv"), "accuracy", "1",
        presets={"authors": {"both_orders": True}, "reference": {"save_steps": 40}},
    ),
    Task(
        "sts-b", "STS-B", _PAIR, "score", (), ("pearson", "spearman"),
        _files("STS-B", 5749, 1500, 1379, "STS-B.tsv"), "spearman", "2.7", (0.0, 5.0),
        presets={
            "authors": {"both_orders": True, "scale_targets": True, "num_train_epochs": 10.0},
            "reference": {"num_train_epochs": 10.0, "save_steps": 100},
        },
    ),
    Task(
        "qqp", "QQP", ("question1", "question2"), "is_duplicate", BINARY, ("f1", "accuracy"),
        _files("QQP", 363846, 40430, 390965, "QQP.tsv", skips_defects=True), "accuracy", "0",
        presets={"reference": {"save_steps": 1000}},
    ),
    Task(
        "mnli", "MNLI", _PAIR, "gold_label", NLI, ("accuracy",),
        (
            Split("train", "MNLI/train.tsv", 392702),
            Split("dev", "MNLI/dev_matched.tsv", 9815, "matched", "MNLI-m.tsv"),
            Split("dev", "MNLI/dev_mismatched.tsv", 9832, "mismatched", "MNLI-mm.tsv"),
            Split("test", "MNLI/test_matched.tsv", 9796, "matched", "MNLI-m.tsv"),
            Split("test", "MNLI/test_mismatched.tsv", 9847, "mismatched", "MNLI-mm.tsv"),
            Split(
                "test", "diagnostic/diagnostic.tsv", 1104, "diagnostic", "AX.tsv",
                other_files=("diagnostic/AX.tsv", "AX/AX.tsv", "AX.tsv"),
            ),
        ),
        "accuracy_matched", "contradiction",
        presets={"reference": {"save_steps": 1000}},
    ),
    Task(
        "qnli", "QNLI", ("question", "sentence"), "label", PAIRED, ("accuracy",),
        _files("QNLI", 104743, 5463, 5463, "QNLI.tsv"), "accuracy", "not_entailment",
        presets={"reference": {"scheduler_type": "cosine", "save_steps": 100}},
    ),
    Task(
        "rte", "RTE", _PAIR, "label", PAIRED, ("accuracy",),
        _files("RTE", 2490, 277, 3000, "RTE.tsv"), "accuracy", "entailment",
        presets={
            "authors": {"num_train_epochs": 10.0},
            "reference": {"num_train_epochs": 10.0, "save_steps": 40},
        },
    ),
    Task(
        "wnli", "WNLI", _PAIR, "label", BINARY, ("accuracy",),
        _files("WNLI", 635, 71, 146, "WNLI.tsv"), "", "0",
        presets={"reference": {"num_train_epochs": 10.0, "save_steps": 20}},
    ),
)  # fmt: skip

TASKS: dict[str, Task] = {task.name: task for task in _ROWS}


def task_named(name: str) -> Task:
    """The task of that name, in any case; an unknown name lists the known ones."""
    task = TASKS.get(name.lower())
    if task is None:
        raise InputError(f"unknown task {name!r}: choose from {', '.join(TASKS)}")
    return task


def hand_in_files() -> Iterator[tuple[Task, Split]]:
    """Every file of the leaderboard's zip, in the table's order: its task and its test split."""
    for task in TASKS.values():
        for split in task.of_kind("test"):
            yield task, split
