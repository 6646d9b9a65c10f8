"""TASKS: the one table of the benchmark. A new task is one row here; one of the user's own is registered.

Everything else (flags, readers, scores, submission files, the results table, the tests) derives from it.
Row counts are those of the official files; sources: the GLUE paper (arXiv:1804.07461), the
leaderboard's submission rules, and the official files themselves.
"""

import argparse
from collections.abc import Iterator

from common.errors import InputError
from common.messages import did_you_mean
from glue.task import Split, Task, letters

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
        presets={
            "stable": {"num_train_epochs": 20.0}, "roberta": {"batch_size": 16},
            "reference": {"save_steps": 40, "seed": 6666},
        },
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
        presets={
            "authors": {"both_orders": True}, "stable": {"both_orders": True, "num_train_epochs": 10.0},
            "reference": {"save_steps": 40}, "roberta": {"batch_size": 16},
        },
        is_symmetric=True,
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
            "roberta": {"batch_size": 16, "learning_rate": 2e-05},
            "authors": {"both_orders": True, "scale_targets": True, "num_train_epochs": 10.0},
            "stable": {"both_orders": True, "scale_targets": True, "num_train_epochs": 10.0},
            "reference": {"num_train_epochs": 10.0, "save_steps": 100},
        },
        is_symmetric=True,
        other_names=("sts", "sts_benchmark", "stsbenchmark", "semantic_textual_similarity_benchmark"),
    ),
    Task(
        "qqp", "QQP", ("question1", "question2"), "is_duplicate", BINARY, ("f1", "accuracy"),
        _files("QQP", 363846, 40430, 390965, "QQP.tsv", skips_defects=True), "accuracy", "0",
        presets={"roberta": {"warmup_proportion": 0.25}, "reference": {"save_steps": 1000}},
        has_quoted_texts=True,
        is_symmetric=True,
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
            "roberta": {"batch_size": 16, "learning_rate": 2e-05},
            "authors": {"num_train_epochs": 10.0}, "stable": {"num_train_epochs": 20.0},
            "reference": {"num_train_epochs": 10.0, "save_steps": 40},
        },
        other_names=("recognizing_textual_entailment",),
        label_names=_PAIRED_NAMES,
    ),
    Task(
        "wnli", "WNLI", _PAIR, "label", BINARY, ("accuracy",),
        _files("WNLI", 635, 71, 146, "WNLI.tsv"), "", "0",
        presets={
            "stable": {"num_train_epochs": 20.0}, "reference": {"num_train_epochs": 10.0, "save_steps": 20},
        },
        other_names=("winograd_nli",),
        label_names=(_NOT_ENTAILMENT, _ENTAILMENT),
    ),
)  # fmt: skip

TASKS: dict[str, Task] = {task.name: task for task in _ROWS}


_SPELLINGS = {letters(name): task for task in _ROWS for name in (task.name, *task.other_names)}
_OWN: dict[str, Task] = {}


def register(task: Task) -> Task:
    """Let a task of the user's own be known by its name, in place of an earlier one of that name."""
    _OWN[task.name] = task
    return task


def position(name: str) -> tuple[int, str]:
    """Where a task comes in lists: in the table's order, then those of the user's own by name."""
    return (list(TASKS).index(name), "") if name in TASKS else (len(TASKS), name)


def is_reserved(name: str) -> bool:
    """Whether a name means a task of the benchmark, the diagnostic set or SQuAD."""
    key = letters(name)
    return not key or key in _DIAGNOSTIC or key.startswith("squad") or _official(name) is not None


def find_task(name: str) -> Task | None:
    """The task of that name in any usual spelling: ``sst2``, ``glue/SST-2``, ``stsb``, ``mnli-mm`` …; one of
    the user's own by the very name that it was registered with."""
    return _OWN.get(name) or _official(name)


def _official(name: str) -> Task | None:
    key = letters(name)
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
        return letters(name) in _DIAGNOSTIC
    return find_task(name) is task_of(split)


def known_tasks(name: str) -> str:
    """The names there are, and the one that was probably meant by a name that is no task's."""
    key = letters(name)
    nearest = did_you_mean(key, _SPELLINGS, "{}")
    meant = f"; did you mean {_SPELLINGS[nearest].name}?" if nearest else ""
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
