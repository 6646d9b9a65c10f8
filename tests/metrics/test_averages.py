"""Both averages against published rows."""

import pytest

from common.errors import InputError
from glue import published
from glue.tasks import TASKS
from metrics.averages import leaderboard_average, missing_scores, paper_average

# Rows of the GLUE leaderboard as their authors published them: the "Score" column, then the tasks.
# Sources: READMEs of PaddlePaddle/ERNIE (BERT and ERNIE 2.0 rows) and alexa/bort; arXiv:1901.11504 (MT-DNN).
_LEADERBOARD = """
name             score cola sst-2 mrpc      sts-b     qqp       mnli      qnli rte  wnli
BERT-base        78.3  52.1 93.5  88.9/84.8 87.1/85.8 71.2/89.2 84.6/83.4 90.5 66.4 65.1
BERT-large       80.5  60.5 94.9  89.3/85.4 87.6/86.5 72.1/89.3 86.7/85.9 92.7 70.1 65.1
ERNIE-2.0-base   80.6  55.2 95.0  89.9/86.1 87.6/86.5 73.2/89.8 86.1/85.5 92.9 74.8 65.1
ERNIE-2.0-large  83.6  63.5 95.6  90.2/87.4 91.2/90.6 73.8/90.1 88.7/88.8 94.6 80.2 67.8
MT-DNN           82.7  62.5 95.6  91.1/88.2 89.5/88.8 72.7/89.6 86.7/86.0 93.1 81.4 65.1
Bort             83.6  63.9 96.2  94.1/92.3 89.2/88.3 66.0/85.9 88.1/87.8 92.3 82.7 71.2
"""
# arXiv:2008.02496, table 4, test set: MNLI-m, QNLI, QQP, RTE, SST-2, MRPC, CoLA, STS-B, the average.
_PAPER = """
name         mnli qnli qqp  rte  sst-2 mrpc cola sts-b score
base         88.3 93.2 90.0 77.9 95.7  88.3 67.8 89.7  86.4
small        82.1 88.5 88.4 65.1 91.2  85.1 56.7 83.8  80.1
medium-small 82.9 89.2 88.6 66.0 92.3  85.7 59.1 85.3  81.1
"""


def _table(text):
    header, *rows = (line.split() for line in text.strip().splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


def _scores(row):
    """task → key → value, percent; two values in the table's order of the task's keys."""
    cells = {name: [float(cell) for cell in row[name].split("/")] for name in TASKS}
    return {name: dict(zip(TASKS[name].score_keys, values, strict=True)) for name, values in cells.items()}


@pytest.mark.parametrize("row", _table(_LEADERBOARD), ids=lambda row: row["name"])
def test_leaderboard_average_gives_the_published_score(row):
    average = leaderboard_average(_scores(row), TASKS)
    assert f"{average:.1f}" == row["score"]


@pytest.mark.parametrize("row", _table(_PAPER), ids=lambda row: row["name"])
def test_paper_average_gives_the_published_score(row):
    scores = {name: {task.paper_score: float(row[name])} for name, task in TASKS.items() if name in row}
    assert f"{paper_average(scores, TASKS):.1f}" == row["score"]


@pytest.mark.parametrize(
    ("size", "wanted"),
    [("deberta-v3-large", 91.37), ("modernbert-base", 88.45), ("modernbert-large", 90.475)],
)
def test_rows_of_other_families_have_their_papers_averages(size, wanted):
    """arXiv:2111.09543, abstract, with the mean of MNLI's two scores; arXiv:2412.13663, table 5, by hand."""
    ((row),) = (row for row in published.rows_of(size))
    means = [sum(scores.values()) / len(scores) for scores in row.scores.values()]
    assert len(means) == 8
    assert sum(means) / 8 == pytest.approx(wanted, abs=0.005)


def _complete():
    return _scores(_table(_LEADERBOARD)[0])


@pytest.mark.parametrize("name", TASKS)
def test_with_a_task_missing_there_is_no_leaderboard_average(name):
    scores = _complete()
    keys = list(scores.pop(name))
    assert leaderboard_average(scores, TASKS) is None
    assert missing_scores(scores, TASKS) == [f"{name}/{key}" for key in keys]


@pytest.mark.parametrize("name", TASKS)
def test_the_paper_average_needs_its_eight_tasks_and_only_those(name):
    scores = _complete()
    del scores[name]
    if name == "wnli":
        assert paper_average(scores, TASKS) is not None
        assert missing_scores(scores, TASKS, paper=True) == []
    else:
        assert paper_average(scores, TASKS) is None
        assert missing_scores(scores, TASKS, paper=True) == [f"{name}/{TASKS[name].paper_score}"]


def test_half_of_a_task_is_missing_too():
    scores = _complete()
    del scores["mnli"]["accuracy_mismatched"]
    assert leaderboard_average(scores, TASKS) is None
    assert missing_scores(scores, TASKS) == ["mnli/accuracy_mismatched"]
    assert paper_average(scores, TASKS) is not None


def test_other_keys_do_not_count():
    scores = _complete()
    expected = leaderboard_average(scores, TASKS)
    scores["ax"] = {"matthews": 10.0}
    scores["cola"]["main"] = 0.0
    assert leaderboard_average(scores, TASKS) == expected


def test_a_score_that_is_not_finite_is_refused():
    scores = _complete()
    scores["rte"]["accuracy"] = float("nan")
    with pytest.raises(InputError, match="rte"):
        leaderboard_average(scores, TASKS)
