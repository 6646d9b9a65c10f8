"""Runs on the report page: scores beside published ones, averages, curves, spread over seeds."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from pandas import DataFrame, Series

from common.errors import InputError
from common.json_files import read_json_object
from glue.data import find_file, read_gold
from glue.published import rows_of
from glue.tasks import TASKS, Task, task_named
from lab.early_stop import read_curve, read_losses
from lab.report_charts import ChartLine, dot_chart, line_chart
from lab.report_setup import model_name
from lab.results import best_runs
from metrics.averages import leaderboard_average, missing_scores, paper_average
from metrics.task_scores import score_task
from submission.check import mapping_of

_TIMED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@dataclass(frozen=True)
class ScoreRow:
    """One score of one task, fractions of 1; the published ones are percent, None where there is none."""

    task: str
    key: str
    best: float  # of the best and the last evaluation of the task's best run
    last: float
    median: float  # over the best evaluations of all runs; of one run the deviation is not a number
    deviation: float
    runs: int
    majority: float | None  # of answering the most frequent training label in every row
    published: list[float | None]


@dataclass(frozen=True)
class AverageRow:
    """An average over each task's best run, a fraction of 1, or what it lacks; published ones in percent."""

    name: str
    value: float | None
    lacks: list[str]
    published: list[float | None]


@dataclass(frozen=True)
class TaskView:
    """A task's runs: charts of the loss and the main score over the steps, and a dot for each run."""

    task: Task
    best: Series
    runs: int
    loss_chart: Markup
    score_chart: Markup
    spread_chart: Markup


def majority_scores(task: Task, data_dir: Path | None) -> dict[str, float]:
    """The dev scores of answering the most frequent training label in every row; none without the files, or
    for a task of the user's own, whose table knows no such label."""
    if data_dir is None or task.is_own:
        return {}
    try:
        golds = [read_gold(task, split, find_file(data_dir, split)) for split in task.of_kind("dev")]
    except InputError:
        return {}
    with warnings.catch_warnings():  # a correlation with a constant is undefined and counts as 0
        warnings.simplefilter("ignore")
        values = [task.values_of([str(label) for label in gold]) for gold in golds]
        return score_task(task, [(gold, task.values_of([task.majority] * len(gold))) for gold in values])


def run_rows(done: DataFrame) -> list[dict[str, Any]]:
    """What the table of all runs shows of each."""
    rows = []
    for row in done.to_dict("records"):
        args = read_json_object(row["folder"] / "args.json")
        recipe = mapping_of(args.get("recipe"))
        settings = {
            name: recipe.get(name, "–") for name in ("learning_rate", "num_train_epochs", "batch_size")
        }
        log = {"log": f"{quote(row['run'])}/train.log", **_times(row["folder"] / "train.log")}
        rows.append({**row, **settings, "from": model_name(args), **log})
    return rows


def _times(log: Path) -> dict[str, Any]:
    """When a run began, and the minutes to its last line, by the times in its log."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    times = [datetime.fromisoformat(line[:19]) for line in lines if _TIMED.match(line)]
    if not times:
        return {"date": "–", "minutes": None}
    return {"date": f"{times[0]:%Y-%m-%d}", "minutes": (times[-1] - times[0]).total_seconds() / 60}


def score_rows(done: DataFrame, size: str, majorities: Mapping[str, Mapping[str, float]]) -> list[ScoreRow]:
    """Make a row for every score of every task that was run."""
    best, rows = best_runs(done), []
    for name, runs in done.groupby("task", sort=False):
        task = task_named(name)
        for key in task.score_keys:
            published = [row.scores.get(name, {}).get(key) for row in rows_of(size)]
            rows.append(
                ScoreRow(task.folder, key, best.loc[name, key], best.loc[name, f"last_{key}"],
                         runs[key].median(), runs[key].std(), len(runs), majorities[name].get(key), published)
            )  # fmt: skip
    return rows


def averages(done: DataFrame, size: str) -> list[AverageRow]:
    """Average each task's best run in both ways; what is missing where there is no average."""
    best = best_runs(done)
    scores = {
        name: {key: best.loc[name, key] for key in TASKS[name].score_keys}
        for name in best.index
        if name in TASKS
    }
    return [
        AverageRow(
            name, average(scores, TASKS), missing_scores(scores, TASKS, average is paper_average),
            [average(row.scores, TASKS) for row in rows_of(size)],
        )
        for name, average in (("leaderboard", leaderboard_average), ("paper", paper_average))
    ]  # fmt: skip


def unofficial_tasks(done: DataFrame) -> list[str]:
    """The tasks with a run that was evaluated on other than the official number of dev rows."""
    unofficial = {}
    benchmark = done[done["task"].isin(TASKS)]
    for name, folder in zip(benchmark["task"], benchmark["folder"], strict=True):
        data = read_json_object(folder / "args.json").get("data")
        for split in TASKS[name].of_kind("dev"):
            entry = data.get(split.file) if isinstance(data, dict) else None
            if isinstance(entry, dict) and entry.get("rows", split.rows) != split.rows:
                unofficial[name] = True
    return list(unofficial)


def task_views(done: DataFrame, majorities: Mapping[str, Mapping[str, float]]) -> list[TaskView]:
    """Draw the charts of each task."""
    views, best = [], best_runs(done)
    for name, runs in done.groupby("task", sort=False):
        marks = [run == best.loc[name, "run"] for run in runs["run"]]

        losses = [read_losses(folder) for folder in runs["folder"]]
        scores = [[(step, 100 * score) for step, score in read_curve(folder)] for folder in runs["folder"]]
        baseline = 100 * majorities[name]["main"] if majorities[name] else None
        loss_chart, score_chart = (
            line_chart([ChartLine(*line) for line in zip(runs["run"], curves, marks, strict=True)], *more)
            for curves, more in ((losses, ()), (scores, (baseline, True)))
        )
        dots = zip(runs["configuration"], runs["run"], 100 * runs["main"], marks, strict=True)
        charts = (loss_chart, score_chart, dot_chart(list(dots), baseline))
        views.append(TaskView(task_named(name), best.loc[name], len(runs), *charts))
    return views
