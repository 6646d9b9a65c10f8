"""metrics.score and metrics.compare on small official-form files of every task."""

import json
import subprocess
import sys

import numpy as np
import pytest

from common.errors import InputError, UsageError
from glue import compare, file_scoring, score
from glue.tasks import TASKS
from metrics.scores import UndefinedScoreWarning

_ROWS = 12


def _labels(task, rows=_ROWS):
    if task.is_regression:
        return [f"{row % 6 * 0.8:.3f}" for row in range(rows)]
    return [task.labels[row * row % len(task.labels)] for row in range(rows)]


def write_gold(path, task, split, labels):
    columns = list(split.headless) or ["index", *task.text_columns, task.label_column]
    lines = [] if split.headless else ["\t".join(columns)]
    for row, label in enumerate(labels):
        cells = {"index": str(row), task.label_column: label}
        lines.append("\t".join(cells.get(column, f'say "{column}') for column in columns))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def write_predictions(path, labels):
    path.write_text(
        "index\tprediction\n" + "".join(f"{row}\t{label}\n" for row, label in enumerate(labels)),
        encoding="utf-8",
    )
    return str(path)


def _files(tmp_path, task):
    splits = task.of_kind("dev")
    golds = [write_gold(tmp_path / split.file, task, split, _labels(task)) for split in splits]
    return golds, [write_predictions(tmp_path / split.submission_file, _labels(task)) for split in splits]


def _run(command, capsys, *args):
    command.main([str(arg) for arg in args])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_gold_scored_against_itself_is_perfect(task, tmp_path, capsys):
    golds, predictions = _files(tmp_path, task)
    printed = _run(score, capsys, "--task_name", task.name, "--predictions", *predictions, "--gold", *golds)
    assert list(printed) == ["task", *task.score_keys, "main", "signature"]
    assert [printed[key] for key in (*task.score_keys, "main")] == pytest.approx([1.0] * (len(printed) - 2))
    assert printed["signature"].startswith(f"{task.name}|split:dev")


def test_labels_become_the_tables_ids(tmp_path, capsys):
    # TP 2, FP 1, FN 1, TN 0 for label 1: F1 4/6; read with the ids swapped it would be 0
    task = TASKS["mrpc"]
    gold = write_gold(tmp_path / "dev.tsv", task, task.of_kind("dev")[0], list("1110"))
    predictions = write_predictions(tmp_path / "p.tsv", list("1101"))
    printed = _run(score, capsys, "--task-name", "MRPC", "--predictions", predictions, "--gold", gold)
    assert (printed["f1"], printed["accuracy"]) == (pytest.approx(2 / 3), 0.5)


def _two_dev_files(tmp_path):
    task = TASKS["mnli"]
    matched, mismatched = task.of_kind("dev")
    gold_m = write_gold(tmp_path / "dev_matched.tsv", task, matched, ["neutral"] * 4)
    gold_mm = write_gold(tmp_path / "dev_mismatched.tsv", task, mismatched, ["entailment", "neutral"])
    pred_m = write_predictions(tmp_path / "m.tsv", ["neutral", "neutral", "neutral", "entailment"])
    pred_mm = write_predictions(tmp_path / "mm.tsv", ["entailment", "entailment"])
    return gold_m, gold_mm, pred_m, pred_mm


def test_two_dev_files_in_either_order(tmp_path, capsys):
    gold_m, gold_mm, pred_m, pred_mm = _two_dev_files(tmp_path)
    for predictions, golds in (
        ((pred_m, pred_mm), (gold_m, gold_mm)),
        ((pred_mm, pred_m), (gold_mm, gold_m)),
    ):
        printed = _run(score, capsys, "--task_name", "mnli", "--predictions", *predictions, "--gold", *golds)
        assert printed["accuracy_matched"] == 0.75
        assert printed["accuracy_mismatched"] == 0.5
        assert printed["main"] == 0.625
        assert "|rows:4+2|" in printed["signature"]


def test_one_of_two_dev_files_is_told_by_its_name(tmp_path, capsys):
    _, gold_mm, _, pred_mm = _two_dev_files(tmp_path)
    score.main(["--task_name", "mnli", "--predictions", pred_mm, "--gold", gold_mm])
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert list(printed) == ["task", "accuracy_mismatched", "signature"]
    assert "|split:dev_mismatched|" in printed["signature"]
    assert "|main:none|" in printed["signature"]
    assert "taken for the mismatched dev file by its name" in err


@pytest.mark.parametrize(
    ("rows", "key", "message"),
    [
        (9832, "accuracy_mismatched", "taken for the mismatched dev file by its row count"),
        (9815, "accuracy_matched", "taken for the matched dev file by its row count"),
        (10, "accuracy", "neither name nor row count tells"),
    ],
)
def test_one_of_two_dev_files_under_another_name(tmp_path, capsys, rows, key, message):
    task = TASKS["mnli"]
    gold = write_gold(tmp_path / "gold.tsv", task, task.of_kind("dev")[0], _labels(task, rows))
    predictions = write_predictions(tmp_path / "p.tsv", _labels(task, rows))
    score.main(["--task_name", "mnli", "--predictions", predictions, "--gold", gold])
    out, err = capsys.readouterr()
    assert json.loads(out)[key] == 1.0
    assert message in err


def test_the_same_dev_file_twice_is_refused(tmp_path):
    gold_m, _, pred_m, _ = _two_dev_files(tmp_path)
    with pytest.raises(InputError, match=r"one of each; give dev_matched\.tsv dev_mismatched\.tsv"):
        score.main(["--task_name", "mnli", "--predictions", pred_m, pred_m, "--gold", gold_m, gold_m])


def test_files_of_the_other_split_do_not_fit(tmp_path):
    gold_m, gold_mm, pred_m, pred_mm = _two_dev_files(tmp_path)
    with pytest.raises(InputError, match=r"mm\.tsv:3: the file ends after 2 rows; expected 4"):
        score.main(["--task_name", "mnli", "--predictions", pred_mm, pred_m, "--gold", gold_m, gold_mm])
    with pytest.raises(UsageError, match="1 prediction files but 2 gold files"):
        score.main(["--task_name", "mnli", "--predictions", pred_m, "--gold", gold_m, gold_mm])


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_wrong_prediction_stops_with_file_and_line(task, tmp_path):
    golds, predictions = _files(tmp_path, task)
    labels = _labels(task)
    labels[3] = "maybe"
    write_predictions(tmp_path / task.of_kind("dev")[0].submission_file, labels)
    with pytest.raises(InputError) as error:
        score.main(["--task_name", task.name, "--predictions", *predictions, "--gold", *golds])
    assert str(error.value).startswith(f"{predictions[0]}:5: ")
    assert "'maybe'" in str(error.value)


@pytest.mark.parametrize(
    ("task", "value", "names"), [("cola", "1", ["matthews"]), ("sts-b", "2.7", ["pearson", "spearman"])]
)
def test_a_constant_prediction_is_zero_with_a_warning_for_each_score(tmp_path, capsys, task, value, names):
    golds, _ = _files(tmp_path, TASKS[task])
    predictions = write_predictions(tmp_path / "p.tsv", [value] * _ROWS)
    expected = [f"{name} is undefined here: every prediction is {value}; it counts as 0.0" for name in names]
    with pytest.warns(UndefinedScoreWarning) as warned:
        printed = _run(score, capsys, "--task_name", task, "--predictions", predictions, "--gold", *golds)
    assert printed["main"] == 0.0
    assert [str(warning.message) for warning in warned] == expected
    both = ("--a", predictions, "--b", predictions, "--resamples", 100)
    with pytest.warns(UndefinedScoreWarning) as warned:
        compare.main(["--task_name", task, *map(str, both), "--gold", *golds])
    assert {str(warning.message) for warning in warned} == {*expected}
    assert capsys.readouterr().err == "main: no difference shown (p 1)\n"


@pytest.mark.parametrize("cell", ["nan", "inf", "-Infinity", "1e400"])
def test_predictions_that_are_no_finite_numbers(tmp_path, cell):
    golds, predictions = _files(tmp_path, TASKS["sts-b"])
    write_predictions(tmp_path / "STS-B.tsv", ["1.5", cell, *["2"] * (_ROWS - 2)])
    with pytest.raises(InputError, match=r"STS-B\.tsv:3: .*expected a number from 0 to 5"):
        score.main(["--task_name", "sts-b", "--predictions", *predictions, "--gold", *golds])


def test_comparing_says_who_is_better(tmp_path, capsys):
    task = TASKS["sst-2"]
    gold = write_gold(tmp_path / "dev.tsv", task, task.of_kind("dev")[0], ["0", "1"] * 100)
    better = write_predictions(tmp_path / "a.tsv", ["0", "1"] * 95 + ["1", "0"] * 5)
    worse = write_predictions(tmp_path / "b.tsv", ["0", "1"] * 80 + ["1", "0"] * 20)
    compare.main(["--task_name", "sst-2", "--a", better, "--b", worse, "--gold", gold, "--resamples", "999"])
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert printed["main"]["a"] == 0.95
    assert printed["main"]["difference"] == pytest.approx(0.15)
    low, high = printed["main"]["interval_95"]
    # 30 of 200 rows are A's alone: 0.15 ± 1.96·sqrt(0.15·0.85/200)
    assert (low, high) == (pytest.approx(0.1005, abs=0.01), pytest.approx(0.1995, abs=0.01))
    assert printed["main"]["p"] == 0.001
    assert "|bootstrap:paired|resamples:999|seed:42|" in printed["signature"]
    assert err == "main: A is better than B by 0.1500 (p 0.001)\n"
    compare.main(["--task_name", "sst-2", "--a", worse, "--b", better, "--gold", gold, "--resamples", "999"])
    assert capsys.readouterr().err == "main: B is better than A by 0.1500 (p 0.001)\n"


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_comparing_works_for_every_task(task, tmp_path, capsys):
    golds, predictions = _files(tmp_path, task)
    flags = ["--a", *predictions, "--b", *predictions, "--gold", *golds, "--resamples", 100]
    printed = _run(compare, capsys, "--task_name", task.name, *flags)
    mcnemar = ["mcnemar"] if task.labels else []
    assert list(printed) == ["task", *task.score_keys, "main", *mcnemar, "signature"]
    assert printed["main"]["p"] == 1.0
    assert printed.get("mcnemar") in (None, {"only_a": 0, "only_b": 0, "p": 1.0})


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [
        (9, 1, 22 / 1024),  # ten tosses: 2 (1 + 10) / 2^10
        (1, 9, 22 / 1024),
        (5, 0, 2 / 32),
        (3, 3, 1.0),
        (0, 0, 1.0),
        (15, 5, 2 * (1 + 20 + 190 + 1140 + 4845 + 15504) / 2**20),
    ],
)
def test_mcnemar_is_a_toss_of_fair_coins(only_a, only_b, p):
    both, neither = 4, 7
    gold = np.zeros(both + neither + only_a + only_b)
    a = np.repeat([0, 1, 0, 1], [both, neither, only_a, only_b])
    b = np.repeat([0, 1, 1, 0], [both, neither, only_a, only_b])
    result = file_scoring.mcnemar([(gold[:9], a[:9], b[:9]), (gold[9:], a[9:], b[9:])])  # two dev files
    assert result == {"only_a": only_a, "only_b": only_b, "p": pytest.approx(p)}


_FILES_OF = {score: ["--predictions", "x"], compare: ["--a", "x", "--b", "x"]}


@pytest.mark.parametrize(
    ("command", "argv", "message"),
    [
        (score, ["--task_name", "sst3"], "argument --task_name: unknown task 'sst3': choose from "),
        (compare, ["--task_name", "sst3"], "argument --task_name: unknown task 'sst3': choose from "),
        (score, ["--gold", ""], "argument --gold: is empty; name a path"),
        (score, ["--predictions", ""], "argument --predictions: is empty; name a path"),
        (compare, ["--b", ""], "argument --b: is empty; name a path"),
        (compare, ["--resamples", "10"], "argument --resamples: '10' is not a whole number of at least 100"),
        (compare, ["--resamples", "-5"], "argument --resamples: '-5' is not a whole number of at least 100"),
        (
            compare,
            ["--resamples", "1e5"],
            "argument --resamples: '1e5' is not a whole number of at least 100",
        ),
        (compare, ["--resamples", "1000001"], "argument --resamples: '1000001' is more than 1000000"),
        (compare, ["--seed", "-1"], "argument --seed: '-1' is not a whole number of at least 0"),
    ],
)
def test_a_value_that_cannot_be_is_wrong_usage(command, argv, message, capsys):
    with pytest.raises(SystemExit) as left:
        command.main(["--task_name", "rte", *_FILES_OF[command], "--gold", "x", *argv])
    assert left.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--task_name=sst3", "--predictions=x.tsv", "--gold=x.tsv"], "--task_name: unknown task 'sst3'"),
        (["--task_name=rte"], "--predictions"),
    ],
)
def test_wrong_usage_of_scoring(argv, message, capsys):
    with pytest.raises(SystemExit) as left:
        score.main(argv)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_the_old_name_of_scoring_and_its_exit_code(run_module):
    done = run_module("metrics.score", "--task_name=rte", "--predictions=x.tsv", "--gold=none.tsv")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: none.tsv: no such file")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["glue.score", "glue.compare", "metrics.averages"])
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*(sys.modules.keys() & {{'paddle', 'numpy', 'scipy', 'sklearn'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == ""


def test_files_of_other_toolkits_and_systems_are_scored_as_they_mean(tmp_path, capsys):
    """Labels by their names, with a byte order mark and Windows line ends; the task in another spelling."""
    task = TASKS["sst-2"]
    gold = write_gold(tmp_path / "dev.tsv", task, task.of_kind("dev")[0], ["positive", "1", "NEGATIVE", "0"])
    text = "index\tprediction\r\n0\tpositive\r\n1\t0\r\n2\tneg\r\n3\t0\r\n"
    (tmp_path / "p.tsv").write_bytes(text.encode("utf-8-sig"))
    printed = _run(score, capsys, "--task_name", "SST2", "--predictions", tmp_path / "p.tsv", "--gold", gold)
    assert (printed["task"], printed["accuracy"]) == ("sst-2", 0.75)
