"""Runs on the report page: scores beside published ones, averages, curves, spread over seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from common.json_files import read_json_object
from glue.published import rows_of
from glue.tasks import TASKS, Task
from lab.early_stop import read_curve, read_losses
from lab.report_charts import ChartLine, dot_chart, line_chart
from lab.results import best_runs
from metrics.averages import leaderboard_average, missing_scores, paper_average

if TYPE_CHECKING:
    from pandas import DataFrame, Series


@dataclass(frozen=True)
class ScoreRow:
    """One score of one task, fractions of 1; the published ones are percent, None where there is none.

    Attributes:
        task, key: Which score.
        best, last: Of the best and the last evaluation of the task's best run.
        median, deviation: Over the best evaluations of all runs; of one run the deviation is not a number.
        runs: How many these are.
        published: The score in each published row.
    """

    task: str
    key: str
    best: float
    last: float
    median: float
    deviation: float
    runs: int
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
    best: "Series"
    runs: int
    loss_chart: Markup
    score_chart: Markup
    spread_chart: Markup


def score_rows(done: "DataFrame", size: str) -> list[ScoreRow]:
    """Make a row for every score of every task that was run."""
    best, rows = best_runs(done), []
    for name, runs in done.groupby("task", sort=False):
        for key in TASKS[name].score_keys:
            published = [row.scores.get(name, {}).get(key) for row in rows_of(size)]
            rows.append(
                ScoreRow(TASKS[name].folder, key, best.loc[name, key], best.loc[name, f"last_{key}"],
                         runs[key].median(), runs[key].std(), len(runs), published)
            )  # fmt: skip
    return rows


def averages(done: "DataFrame", size: str) -> list[AverageRow]:
    """Average each task's best run in both ways; what is missing where there is no average."""
    best = best_runs(done)
    scores = {name: {key: best.loc[name, key] for key in TASKS[name].score_keys} for name in best.index}
    ways: list[tuple[str, Callable[..., float | None], bool]] = [
        ("leaderboard", leaderboard_average, False),
        ("paper", paper_average, True),
    ]
    return [
        AverageRow(
            name, average(scores, TASKS), missing_scores(scores, TASKS, is_paper),
            [average(row.scores, TASKS) for row in rows_of(size)],
        )
        for name, average, is_paper in ways
    ]  # fmt: skip


def unofficial_tasks(done: "DataFrame") -> list[str]:
    """The tasks with a run that was evaluated on other than the official number of dev rows."""
    return [
        name
        for name, runs in done.groupby("task", sort=False)
        if not all(_is_official(TASKS[name], folder) for folder in runs["folder"])
    ]


def _is_official(task: Task, run: Path) -> bool:
    data = read_json_object(run / "args.json").get("data")
    files = data if isinstance(data, dict) else {}
    entries = [(split, files.get(split.file)) for split in task.of_kind("dev")]
    return all(
        entry.get("rows", split.rows) == split.rows for split, entry in entries if isinstance(entry, dict)
    )


def task_views(done: "DataFrame") -> list[TaskView]:
    """Draw the charts of each task."""
    views, best = [], best_runs(done)
    for name, runs in done.groupby("task", sort=False):
        marks = [run == best.loc[name, "run"] for run in runs["run"]]

        def chart(curve_of: Callable[[Path], Any], runs: Any = runs, marks: Sequence[bool] = marks) -> Markup:
            curves = [curve_of(folder) for folder in runs["folder"]]
            return line_chart([ChartLine(*parts) for parts in zip(runs["run"], curves, marks, strict=True)])

        dots = zip(runs["configuration"], runs["run"], 100 * runs["main"], marks, strict=True)
        views.append(
            TaskView(TASKS[name], best.loc[name], len(runs), chart(read_losses), chart(_main_scores),
                     dot_chart(list(dots)))
        )  # fmt: skip
    return views


def _main_scores(run: Path) -> list[tuple[int, float]]:
    return [(step, 100 * score) for step, score in read_curve(run)]
