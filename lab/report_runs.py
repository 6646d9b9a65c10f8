"""What the report page says of runs: scores beside published ones, averages, curves, spread over seeds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from common.errors import InputError
from common.files import read_json_object
from glue.published import ROWS, Row
from glue.runs import read_runs
from glue.tasks import TASKS, Task
from lab.early_stop import read_curve, read_losses
from lab.report_charts import Dot, Line, dot_chart, line_chart
from lab.report_numbers import Number, mapping, percent, whole
from lab.trial_store import DONE, read_results, read_status
from metrics.averages import leaderboard_average, missing_scores, paper_average
from training.run_state import read_run_state


@dataclass(frozen=True)
class Run:
    """A run below the folder. name: its path there; configuration: the name without its seed.

    best, last: scores, fractions of 1. is_official: its dev files had the official row counts. losses,
    evaluations: (step, value) as ``history.jsonl`` has them.
    """

    name: str
    folder: Path
    task: Task
    configuration: str
    best: dict[str, float]
    last: dict[str, float]
    is_official: bool
    losses: list[tuple[int, float]]
    evaluations: list[tuple[int, float]]

    def number(self, kind: str, key: str) -> Number:
        """A score of the ``best`` or the ``last`` evaluation, or its step."""
        value = (self.best if kind == "best" else self.last)[key]
        source = f"file:{self.name}/scores.json#{kind}.{key}"
        return whole(value, source) if key == "step" else percent(value, source)


@dataclass(frozen=True)
class ScoreRow:
    """One score of one task. best, last: of the task's best run; median, deviation: over all runs."""

    task: str
    key: str
    best: Number
    last: Number
    median: Number
    deviation: Number | None
    runs: Number
    published: list[Number | None]


@dataclass(frozen=True)
class Average:
    name: str
    value: Number | None
    lacks: list[str]
    published: list[Number | None]


@dataclass(frozen=True)
class TaskView:
    """A task's runs. charts: over the steps, the loss and the main score; spread: a dot a run."""

    task: Task
    best: Run
    runs: list[Run]
    loss_chart: Markup
    score_chart: Markup
    spread_chart: Markup


def read(runs: Path) -> list[Run]:
    """The runs below a folder that are done, in the table's order of tasks: of a sweep's trials those that it
    calls so, of others those that took their last step. InputError if there are none."""
    found = [_run(runs, folder, scores) for folder, scores in read_runs(runs) if is_done(folder)]
    if not found:
        raise InputError(f"{runs}: no run below it is done yet")
    return found


def is_done(folder: Path) -> bool:
    """Whether a run counts: its trial is done, or, where no sweep speaks of it, its last step was taken."""
    status = read_status(folder)
    return status == DONE if status else read_run_state(folder).is_trained


def _run(runs: Path, folder: Path, scores: dict[str, Any]) -> Run:
    name = folder.relative_to(runs).as_posix()
    args, task = read_json_object(folder / "args.json"), TASKS[scores["task"]]
    seed, data = mapping(args.get("recipe")).get("seed"), mapping(args.get("data"))
    rows = {split: mapping(data.get(split.file)).get("rows") for split in task.of_kind("dev")}
    return Run(
        name=name,
        folder=folder,
        task=task,
        configuration=_without_seed(name, seed),
        best=scores["best"],
        last=scores["last"],
        is_official=all(count in (split.rows, None) for split, count in rows.items()),
        losses=read_losses(folder),
        evaluations=read_curve(folder),
    )


def _without_seed(name: str, seed: Any) -> str:
    """``rte/base-seed5``, ``rte/base-5`` → ``rte/base``."""
    ends = (end for end in (f"-seed{seed}", f"-{seed}") if name.endswith(end))
    return name.removesuffix(next(ends, ""))


def best_of(runs: Sequence[Run]) -> Run:
    """The run with the best main score; of equals the first."""
    return max(runs, key=lambda run: run.best["main"])


def by_task(runs: Sequence[Run]) -> dict[str, list[Run]]:
    return {name: found for name in TASKS if (found := [run for run in runs if run.task.name == name])}


def score_rows(runs: Sequence[Run], size: str) -> list[ScoreRow]:
    """A row for every score of every task that was run."""
    return [
        _score_row(found, key, size) for found in by_task(runs).values() for key in found[0].task.score_keys
    ]


def _score_row(runs: Sequence[Run], key: str, size: str) -> ScoreRow:
    best, task = best_of(runs), runs[0].task
    values = [run.best[key] for run in runs]
    source = f"{task.name}#{key}"
    return ScoreRow(
        task=task.folder,
        key=key,
        best=best.number("best", key),
        last=best.number("last", key),
        median=percent(statistics.median(values), f"median:{source}"),
        deviation=percent(statistics.stdev(values), f"deviation:{source}") if len(values) > 1 else None,
        runs=whole(len(runs), f"runs:{task.name}"),
        published=[
            Number(row.scores[task.name][key], f"published:{ROWS.index(row)}#{task.name}/{key}")
            if key in row.scores.get(task.name, {})
            else None
            for row in published_rows(size)
        ],
    )


def published_rows(size: str) -> list[Row]:
    return [row for row in ROWS if row.size == size]


def averages(runs: Sequence[Run], size: str) -> list[Average]:
    """Both averages over each task's best run, with the scores that are missing where there is none."""
    chosen = {name: best_of(found).best for name, found in by_task(runs).items()}
    found = []
    for name, average, paper in (("leaderboard", leaderboard_average, False), ("paper", paper_average, True)):
        value = average(chosen, TASKS)
        published = [average(row.scores, TASKS) for row in published_rows(size)]
        found.append(
            Average(
                name,
                None if value is None else percent(value, f"average:{name}"),
                missing_scores(chosen, TASKS, paper),
                [
                    None if other is None else Number(other, f"published:{ROWS.index(row)}#average/{name}")
                    for other, row in zip(published, published_rows(size), strict=True)
                ],
            )
        )
    return found


def task_views(runs: Sequence[Run]) -> list[TaskView]:
    views = []
    for found in by_task(runs).values():
        best = best_of(found)
        order = [*[run for run in found if run is not best], best]  # drawn last, so on top
        views.append(
            TaskView(
                found[0].task,
                best,
                found,
                line_chart([Line(run.name, run.losses, run is best) for run in order], 1.0),
                line_chart([Line(run.name, run.evaluations, run is best) for run in order], 100.0),
                dot_chart([Dot(run.configuration, run.name, run.best["main"], run is best) for run in found]),
            )
        )
    return views


def unfinished_trials(runs: Path) -> list[tuple[str, str, str]]:
    """(run, status, message) of a sweep's trials that are not done, and of runs that are on their way."""
    results = read_results(runs)
    told = [(result.trial, result.status, result.message) for result in results if result.status != DONE]
    for folder, scores in read_runs(runs):
        if not read_status(folder) and not (state := read_run_state(folder)).is_trained:
            said = f"evaluated at step {scores['last']['step']:.0f}; {state.reason}"
            told.append((folder.relative_to(runs).as_posix(), "unfinished", said))
    return told
