"""A task's scores and their signature, over the whole table."""

import re
from importlib.metadata import version

import numpy as np
import pytest

from glue.tasks import TASKS, task_named
from metrics.scores import METRICS
from metrics.task_scores import score_task, signature

_TASKS = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def _parts(task):
    values = [0.0, 1.0, 2.0, 3.0] if task.is_regression else [0, 1, 1, 0]
    return [(values, values) for _ in task.of_kind("dev")]


@_TASKS
def test_every_metric_of_the_table_exists(task):
    assert set(task.metrics) <= set(METRICS)


@_TASKS
def test_perfect_predictions_score_one_under_the_promised_keys(task):
    scores = score_task(task, _parts(task))
    assert list(scores) == [*task.score_keys, "main"]
    assert list(scores.values()) == pytest.approx([1.0] * len(scores))


def test_main_is_the_mean_of_two_metrics():
    # TP 2, FP 1, FN 0, TN 1
    scores = score_task(task_named("mrpc"), [([1, 1, 0, 0], [1, 1, 1, 0])])
    assert scores == pytest.approx({"f1": 0.8, "accuracy": 0.75, "main": 0.775})


def test_two_dev_files_keep_the_tables_order_and_count_alike_whatever_their_size():
    scores = score_task(task_named("mnli"), [([0, 1, 2, 2], [0, 1, 2, 0]), ([1, 1], [1, 0])])
    assert scores == pytest.approx({"accuracy_matched": 0.75, "accuracy_mismatched": 0.5, "main": 0.625})


def test_a_missing_dev_file_is_not_averaged_away():
    with pytest.raises(ValueError, match="zip"):
        score_task(task_named("mnli"), [([0, 1], [0, 1])])


def test_the_signature_says_how_it_was_computed():
    line = signature(task_named("mrpc"), "dev", [[1, 0, 1]])
    assert re.fullmatch(
        r"mrpc\|split:dev\|rows:3\|gold:[0-9a-f]{8}\|metrics:f1\+accuracy\|main:f1_accuracy_mean"
        rf"\|scikit-learn:{version('scikit-learn')}\|scipy:{version('scipy')}\|toolkit:\S+",
        line,
    )


def test_the_signature_tells_golds_apart_but_not_their_types():
    task = task_named("rte")
    line = signature(task, "dev", [[1, 0, 1]])
    assert signature(task, "dev", [np.array([1, 0, 1], dtype=np.int32)]) == line
    assert signature(task, "dev", [[1, 1, 0]]) != line
    assert signature(task, "dev", [[1, 0], [1]]) != line
