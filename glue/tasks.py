"""TASKS: the one table of the benchmark. A new task is one row here.

Everything else (flags, readers, scores, submission files, the results table, the tests) derives from it.
Row counts are those of the official files; sources: the GLUE paper (arXiv:1804.07461), the
leaderboard's submission rules, and the official files themselves.
"""

import argparse
import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.errors import InputError

if TYPE_CHECKING:
    import numpy as np

NLI = ("contradiction", "entailment", "neutral")
PAIRED = ("entailment", "not_entailment")
BINARY = ("0", "1")

# What else the labels are called, in id order: in model folders of other toolkits, and in other copies of the
# data. Names alone are read, never an order: LABEL_0 is another label in every toolkit.
_ENTAILMENT = ("entailment", "entailed", "entails", "entail")
_NOT_ENTAILMENT = tuple(f"{no}_{name}" for no in ("not", "non", "no") for name in _ENTAILMENT)
_PARAPHRASE = ("paraphrase", "paraphrases")
_NOT_PARAPHRASE = ("not_paraphrase", "not_paraphrases", "non_paraphrase", "no_paraphrase")
_NLI_NAMES = (("contradictory", "contradicts", "contradict"), _ENTAILMENT[1:], ("neutrality",))
_PAIRED_NAMES = (_ENTAILMENT[1:], _NOT_ENTAILMENT)
_DIAGNOSTIC = ("ax", "axb", "gluediagnostic", "gluediagnostics", "diagnostic", "diagnostics")


@dataclass(frozen=True)
class Split:
    """One file of a task.

    kind: ``train``, ``dev`` or ``test``. file: path below the data folder. rows: official count.
    part: tells two files of one kind apart (MNLI's ``matched``), else empty.
    submission_file: the leaderboard file its predictions go to (dev files: the same form, for scoring).
    headless: the column names of a file that has no header line.
    other_files: other places where redistributions put the same file.
    skips_defects: the one file whose known bad rows are skipped and reported, not refused.
    """

    kind: str
    file: str
    rows: int
    part: str = ""
    submission_file: str = ""
    headless: tuple[str, ...] = ()
    other_files: tuple[str, ...] = ()
    skips_defects: bool = False


@dataclass(frozen=True)
class Task:
    """One row of the benchmark.

    labels: in id order; empty for regression. metrics: names of functions in ``metrics.scores``.
    paper_score: the score that the ConvBERT paper's eight-task average counts; empty if it counts none.
    has_quoted_texts: whether the official files have texts in CSV's quotes.
    other_names: what else the task is called, besides other case and punctuation. label_names: of each label,
    in id order, what else it is called.
    majority: the most frequent training label, any where they balance (STS-B: about the mean score), what
    ``submission.pack --fill_missing majority`` writes. target_range: of a regression's scores.
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
    presets: dict[str, dict[str, Any]] = field(default_factory=dict)
    has_quoted_texts: bool = False
    other_names: tuple[str, ...] = ()
    label_names: tuple[tuple[str, ...], ...] = ()

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
        splits = tuple(split for split in self.splits if split.kind == kind)
        if not splits:
            raise InputError(f"{self.name} has no {kind} split")
        return splits

    def label_meant(self, name: str) -> str | None:
        """The label that a name means, in any case and punctuation; None if it means none of the task's.

        A name without a letter must be a label exactly: -1 is not 1.
        """
        key = _letters(name)
        if name in self.labels or not re.search("[a-z]", key):
            return name if name in self.labels else None
        for number, label in enumerate(self.labels):
            names = (label, *(self.label_names[number] if self.label_names else ()))
            if key in map(_letters, names):
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


def _files(
    folder: str, train: int, dev: int, test: int, submission_file: str, skips_defects: bool = False
) -> tuple[Split, ...]:
    return (
        Split("train", f"{folder}/train.tsv", train, skips_defects=skips_defects),
        Split("dev", f"{folder}/dev.tsv", dev, submission_file=submission_file),
        Split("test", f"{folder}/test.tsv", test, submission_file=submission_file),
    )


_COLA_COLUMNS = ("source", "label", "mark", "sentence")
_PAIR = ("sentence1", "sentence2")

_ROWS = (
    Task(
        "cola", "CoLA", ("sentence",), "label", BINARY, ("matthews",),
        (
            Split("train", "CoLA/train.tsv", 8551, headless=_COLA_COLUMNS),
            Split("dev", "CoLA/dev.tsv", 1043, submission_file="CoLA.tsv", headless=_COLA_COLUMNS),
            Split("test", "CoLA/test.tsv", 1063, submission_file="CoLA.tsv"),
        ),
        "matthews", "1",
        presets={"reference": {"save_steps": 40, "seed": 6666}},
        label_names=(
            ("unacceptable", "not_acceptable", "ungrammatical", "not_grammatical"),
            ("acceptable", "grammatical"),
        ),
    ),
    Task(
        "sst-2", "SST-2", ("sentence",), "label", BINARY, ("accuracy",),
        _files("SST-2", 67349, 872, 1821, "SST-2.tsv"), "accuracy", "1",
        presets={"reference": {"save_steps": 400}},
        other_names=("sst", "stanford_sentiment_treebank"),
        label_names=(("negative", "neg"), ("positive", "pos")),
    ),
    Task(
        "mrpc", "MRPC", ("#1 String", "#2 String"), "Quality", BINARY, ("f1", "accuracy"),
        _files("MRPC", 3668, 408, 1725, "MRPC.tsv"), "accuracy", "1",
        presets={"authors": {"both_orders": True}, "reference": {"save_steps": 40}},
        other_names=("msrp", "msr_paraphrase", "microsoft_research_paraphrase_corpus"),
        label_names=(
            ("not_equivalent", "non_equivalent", "inequivalent", *_NOT_PARAPHRASE),
            ("equivalent", *_PARAPHRASE),
        ),
    ),
    Task(
        "sts-b", "STS-B", _PAIR, "score", (), ("pearson", "spearman"),
        _files("STS-B", 5749, 1500, 1379, "STS-B.tsv"), "spearman", "2.7", (0.0, 5.0),
        presets={
            "authors": {"both_orders": True, "scale_targets": True, "num_train_epochs": 10.0},
            "reference": {"num_train_epochs": 10.0, "save_steps": 100},
        },
        other_names=("sts", "sts_benchmark", "stsbenchmark", "semantic_textual_similarity_benchmark"),
    ),
    Task(
        "qqp", "QQP", ("question1", "question2"), "is_duplicate", BINARY, ("f1", "accuracy"),
        _files("QQP", 363846, 40430, 390965, "QQP.tsv", skips_defects=True), "accuracy", "0",
        presets={"reference": {"save_steps": 1000}},
        has_quoted_texts=True,
        other_names=("qqp_clean", "quora", "quora_question_pairs"),
        label_names=(
            ("not_duplicate", "non_duplicate", "not_duplicates", *_NOT_PARAPHRASE),
            ("duplicate", "duplicates", *_PARAPHRASE),
        ),
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
                other_files=(
                    "diagnostic/AX.tsv", "AX/AX.tsv", "AX.tsv", "MNLI/diagnostic.tsv", "MNLI/AX.tsv",
                ),
            ),
        ),
        "accuracy_matched", "contradiction",
        presets={"reference": {"save_steps": 1000}},
        other_names=("mnli_m", "mnli_mm", "mnli_matched", "mnli_mismatched", "multinli", "multi_genre_nli"),
        label_names=_NLI_NAMES,
    ),
    Task(
        "qnli", "QNLI", ("question", "sentence"), "label", PAIRED, ("accuracy",),
        _files("QNLI", 104743, 5463, 5463, "QNLI.tsv"), "accuracy", "not_entailment",
        presets={"reference": {"scheduler_type": "cosine", "save_steps": 100}},
        other_names=("qnli_v2", "question_nli"),
        label_names=_PAIRED_NAMES,
    ),
    Task(
        "rte", "RTE", _PAIR, "label", PAIRED, ("accuracy",),
        _files("RTE", 2490, 277, 3000, "RTE.tsv"), "accuracy", "entailment",
        presets={
            "authors": {"num_train_epochs": 10.0},
            "reference": {"num_train_epochs": 10.0, "save_steps": 40},
        },
        other_names=("recognizing_textual_entailment",),
        label_names=_PAIRED_NAMES,
    ),
    Task(
        "wnli", "WNLI", _PAIR, "label", BINARY, ("accuracy",),
        _files("WNLI", 635, 71, 146, "WNLI.tsv"), "", "0",
        presets={"reference": {"num_train_epochs": 10.0, "save_steps": 20}},
        other_names=("winograd_nli",),
        label_names=(_NOT_ENTAILMENT, _ENTAILMENT),
    ),
)  # fmt: skip

TASKS: dict[str, Task] = {task.name: task for task in _ROWS}


def _letters(name: str) -> str:
    """A name without case and punctuation, by which spellings are compared."""
    return re.sub(r"[\W_]", "", name.casefold())


_SPELLINGS = {_letters(name): task for task in _ROWS for name in (task.name, *task.other_names)}


def find_task(name: str) -> Task | None:
    """The task of that name in any usual spelling: ``sst2``, ``glue/SST-2``, ``stsb``, ``mnli-mm`` …"""
    key = _letters(name)
    return _SPELLINGS.get(key) or _SPELLINGS.get(key.removeprefix("glue"))


def task_named(name: str) -> Task:
    """The same; an unknown name is an InputError that lists the known ones, and the nearest."""
    task = find_task(name)
    if task is None:
        raise InputError(f"unknown task {name!r}: choose from {known_tasks(name)}")
    return task


def task_of(split: Split) -> Task:
    """The task that a split of the table belongs to."""
    return next(task for task in _ROWS if split in task.splits)


def folder_means(name: str, split: Split) -> bool:
    """Whether a folder of that name, in any usual spelling, is the one of a split."""
    if split.part == "diagnostic":
        return _letters(name) in _DIAGNOSTIC
    return find_task(name) is task_of(split)


def known_tasks(name: str) -> str:
    """The names there are, and the one that was probably meant by a name that is no task's."""
    key = _letters(name)
    nearest = difflib.get_close_matches(key, _SPELLINGS, n=1, cutoff=0.7)
    meant = f"; did you mean {_SPELLINGS[nearest[0]].name}?" if nearest else ""
    if key in _DIAGNOSTIC:
        meant = "; the diagnostic set is predicted by the MNLI model: name the task mnli"
    return ", ".join(TASKS) + meant


def task_name(text: str) -> str:
    """Read a flag's task in any usual spelling as its name here; an unknown one is a usage error."""
    try:
        return task_named(text).name
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def submission_files() -> Iterator[tuple[Task, Split]]:
    """Every file of the leaderboard's zip, in the table's order: its task and its test split."""
    for task in TASKS.values():
        for split in task.of_kind("test"):
            yield task, split
