"""The task table against the facts of the benchmark, typed out here a second time by hand."""

import pytest

from common.errors import InputError
from glue.tasks import TASKS, find_task, submission_files, task_named

# name: folder, (train, dev, test rows), text columns, label column, labels, score keys, main score
# fmt: off
BENCHMARK = {
    "cola": ("CoLA", (8551, 1043, 1063), ["sentence"], "label", ["0", "1"], ["matthews"], "matthews"),
    "sst-2": ("SST-2", (67349, 872, 1821), ["sentence"], "label", ["0", "1"], ["accuracy"], "accuracy"),
    "mrpc": ("MRPC", (3668, 408, 1725), ["#1 String", "#2 String"], "Quality", ["0", "1"],
             ["f1", "accuracy"], "f1_accuracy_mean"),
    "sts-b": ("STS-B", (5749, 1500, 1379), ["sentence1", "sentence2"], "score", [],
              ["pearson", "spearman"], "pearson_spearman_mean"),
    "qqp": ("QQP", (363846, 40430, 390965), ["question1", "question2"], "is_duplicate", ["0", "1"],
            ["f1", "accuracy"], "f1_accuracy_mean"),
    "mnli": ("MNLI", (392702, 9815 + 9832, 9796 + 9847 + 1104), ["sentence1", "sentence2"], "gold_label",
             ["contradiction", "entailment", "neutral"], ["accuracy_matched", "accuracy_mismatched"],
             "accuracy_matched_accuracy_mismatched_mean"),
    "qnli": ("QNLI", (104743, 5463, 5463), ["question", "sentence"], "label",
             ["entailment", "not_entailment"], ["accuracy"], "accuracy"),
    "rte": ("RTE", (2490, 277, 3000), ["sentence1", "sentence2"], "label",
            ["entailment", "not_entailment"], ["accuracy"], "accuracy"),
    "wnli": ("WNLI", (635, 71, 146), ["sentence1", "sentence2"], "label", ["0", "1"],
             ["accuracy"], "accuracy"),
}
# submission file: the official test file it answers, its rows
SUBMISSION_FILES = {
    "CoLA.tsv": ("CoLA/test.tsv", 1063), "SST-2.tsv": ("SST-2/test.tsv", 1821),
    "MRPC.tsv": ("MRPC/test.tsv", 1725), "STS-B.tsv": ("STS-B/test.tsv", 1379),
    "QQP.tsv": ("QQP/test.tsv", 390965), "MNLI-m.tsv": ("MNLI/test_matched.tsv", 9796),
    "MNLI-mm.tsv": ("MNLI/test_mismatched.tsv", 9847), "AX.tsv": ("diagnostic/diagnostic.tsv", 1104),
    "QNLI.tsv": ("QNLI/test.tsv", 5463), "RTE.tsv": ("RTE/test.tsv", 3000),
    "WNLI.tsv": ("WNLI/test.tsv", 146),
}
# fmt: on


def test_the_nine_tasks_and_no_other():
    assert list(TASKS) == list(BENCHMARK)


@pytest.mark.parametrize("name", BENCHMARK)
def test_a_row_of_the_table(name):
    task = TASKS[name]
    rows = tuple(sum(split.rows for split in task.of_kind(kind)) for kind in ("train", "dev", "test"))
    result = (
        task.folder,
        rows,
        list(task.text_columns),
        task.label_column,
        list(task.labels),
        list(task.score_keys),
        task.main,
    )
    assert result == BENCHMARK[name]
    assert task.name == name


def test_rows_of_each_mnli_file():
    rows = {split.file: split.rows for split in TASKS["mnli"].splits}
    assert rows == {
        "MNLI/train.tsv": 392702,
        "MNLI/dev_matched.tsv": 9815,
        "MNLI/dev_mismatched.tsv": 9832,
        "MNLI/test_matched.tsv": 9796,
        "MNLI/test_mismatched.tsv": 9847,
        "diagnostic/diagnostic.tsv": 1104,
    }


def test_the_submission_is_the_eleven_official_files():
    result = {split.submission_file: (split.file, split.rows) for _, split in submission_files()}
    assert result == SUBMISSION_FILES
    assert len(list(submission_files())) == 11  # no name twice


def test_ax_is_predicted_by_the_mnli_model():
    assert [task.name for task, split in submission_files() if split.submission_file == "AX.tsv"] == ["mnli"]


def test_only_sts_b_is_a_regression_from_0_to_5():
    assert {task.name: task.target_range for task in TASKS.values() if task.is_regression} == {
        "sts-b": (0.0, 5.0)
    }
    assert {task.name: task.num_outputs for task in TASKS.values()} == {
        **dict.fromkeys(TASKS, 2),
        "sts-b": 1,
        "mnli": 3,
    }


def test_the_papers_eight_tasks():
    # FACTS of the paper's "86.4": no WNLI, accuracy for MRPC and QQP, Spearman for STS-B, MNLI-m.
    assert {task.name: task.paper_score for task in TASKS.values()} == {
        "cola": "matthews",
        "sst-2": "accuracy",
        "mrpc": "accuracy",
        "sts-b": "spearman",
        "qqp": "accuracy",
        "mnli": "accuracy_matched",
        "qnli": "accuracy",
        "rte": "accuracy",
        "wnli": "",
    }


def test_only_cola_train_and_dev_have_no_header_and_only_qqp_train_skips_rows():
    headless = {split.file: len(split.headless) for task in TASKS.values() for split in task.splits}
    assert {file: columns for file, columns in headless.items() if columns} == {
        "CoLA/train.tsv": 4,
        "CoLA/dev.tsv": 4,
    }
    skipping = [split.file for task in TASKS.values() for split in task.splits if split.skips_defects]
    assert skipping == ["QQP/train.tsv"]


# What a task is called by the leaderboard, transformers and datasets, PaddleNLP, jiant, ELECTRA's code.
SPELLINGS = {
    "cola": ["CoLA", "COLA", "glue/cola", "glue_cola"],
    "sst-2": ["SST-2", "sst2", "SST2", "sst_2", "sst", "Sst 2", "glue/sst2", "glue-sst2"],
    "mrpc": ["MRPC", "Mrpc", "msrp"],
    "sts-b": ["STS-B", "stsb", "STS_B", "sts", "StsB", "sts-benchmark", "glue:stsb"],
    "qqp": ["QQP", "QQP-clean", "quora"],
    "mnli": [
        "MNLI",
        "mnli-m",
        "mnli_mm",
        "MNLI-mm",
        "mnli_matched",
        "mnli-mismatched",
        "MultiNLI",
        "multi_nli",
    ],
    "qnli": ["QNLI", "QNLIv2", "qnli_v2"],
    "rte": ["RTE", "Rte", "glue.rte"],
    "wnli": ["WNLI", "wnli "],
}


@pytest.mark.parametrize(
    ("name", "given"), [(name, given) for name in SPELLINGS for given in SPELLINGS[name]]
)
def test_all_usual_spellings_are_one_task(name, given):
    assert task_named(given).name == name
    assert find_task(given) is TASKS[name]


@pytest.mark.parametrize(
    "given", ["", "glue", "squad", "sst-5", "snli", "ax", "boolq", "2", "-", "text-classification"]
)
def test_what_is_no_task(given):
    assert find_task(given) is None


def test_an_unknown_name_lists_the_known_ones_and_the_nearest():
    with pytest.raises(InputError) as caught:
        task_named("squad")
    assert str(caught.value) == (
        "unknown task 'squad': choose from cola, sst-2, mrpc, sts-b, qqp, mnli, qnli, rte, wnli"
    )
    for given, meant in {
        "mrcp": "mrpc",
        "sst-3": "sst-2",
        "STB": "sts-b",
        "qnil": "qnli",
        "mnly": "mnli",
    }.items():
        with pytest.raises(InputError, match=f"did you mean {meant}"):
            task_named(given)
    with pytest.raises(InputError, match="name the task mnli"):
        task_named("AX")


# Labels of published checkpoints and of the datasets library, each in the order in which they stand there.
LABELS = {
    "cola": (["unacceptable", "acceptable"], ["0", "1"]),
    "sst-2": (["negative", "positive"], ["0", "1"]),
    "mrpc": (["not_equivalent", "equivalent"], ["0", "1"]),
    "qqp": (["not_duplicate", "duplicate"], ["0", "1"]),
    "mnli": (["entailment", "neutral", "contradiction"], ["entailment", "neutral", "contradiction"]),
    "qnli": (["entailment", "not_entailment"], ["entailment", "not_entailment"]),
    "rte": (["entailment", "not_entailment"], ["entailment", "not_entailment"]),
    "wnli": (["not_entailment", "entailment"], ["0", "1"]),
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title, lambda text: text.replace("_", " ")])
def test_labels_that_mean_the_same(name, spell):
    names, meant = LABELS[name]
    assert TASKS[name].labels_meant([spell(text) for text in names]) == meant
    assert TASKS[name].labels_meant([spell(text) for text in names[::-1]]) == meant[::-1]


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("mnli", ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ("mnli", ["0", "1", "2"]),
        ("mnli", ["entailment", "not_entailment"]),
        ("rte", ["0", "1"]),
        ("rte", ["LABEL_0", "LABEL_1"]),
        ("rte", ["entailment", "neutral"]),
        ("sst-2", ["LABEL_0", "LABEL_1"]),
        ("sst-2", ["-1", "1"]),
        ("sst-2", ["0.0", "1.0"]),
        ("sst-2", ["negative", "neg"]),
        ("sst-2", ["negative", "neutral", "positive"]),
        ("sst-2", ["duplicate", "not_duplicate"]),
        ("qqp", ["equivalent", "not_equivalent"]),
        ("sts-b", ["score"]),
        ("cola", []),
    ],
)
def test_what_names_alone_do_not_say_is_not_guessed(name, names):
    assert TASKS[name].labels_meant(names) is None


def test_the_tables_names_are_of_one_task_and_one_label():
    assert all(find_task(name) is task for task in TASKS.values() for name in (task.name, *task.other_names))
    for task in TASKS.values():
        for label, names in zip(task.labels, task.label_names or [()] * len(task.labels), strict=True):
            assert {task.label_meant(name) for name in (label, *names)} == {label}


def test_a_kind_that_is_not_there():
    with pytest.raises(InputError, match="rte has no gold split"):
        TASKS["rte"].of_kind("gold")
