"""The page of ``lab.report``: what it shows, rendered."""

from pathlib import Path
from typing import Any

import jinja2
from pandas import DataFrame

from common.errors import InputError
from common.provenance import code_version
from glue.published import rows_of
from glue.tasks import TASKS, task_named
from lab import report_charts, report_rows, report_runs, report_submission
from lab.report_setup import setup_of
from lab.results import done_runs, results

TEMPLATE = "report.html"


def page(runs: Path, data_dir: Path | None, archive: Path | None, size: str = "base") -> str:
    """Render the page's HTML. The same files give the same page.

    Raises:
        InputError: No run below the folder is done, or a file cannot be read.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["percent"] = lambda value: _number(None if value is None else 100 * value)
    return environment.get_template(TEMPLATE).render(_contents(runs, data_dir, archive, size))


def _number(value: float | None) -> str:
    """Two decimals; ``–`` for None and for what is not a number."""
    return "–" if value is None or value != value else f"{value:.2f}"


def _contents(runs: Path, data_dir: Path | None, archive: Path | None, size: str) -> dict[str, Any]:
    """Collect what the template shows, under the names it uses."""
    table = results(runs)
    done = done_runs(table)
    if done.empty:
        raise InputError("no run below it is done yet", path=runs)
    unfinished = table[table["status"] != "done"]
    rows = report_runs.run_rows(done)
    dates = sorted({row["date"] for row in rows} - {"–"})
    tasks = {name: task_named(name) for name in done["task"].unique()}
    majorities = {name: report_runs.majority_scores(task, data_dir) for name, task in tasks.items()}
    answers, source = _diagnostic_answers(done, archive)
    return {
        "title": runs.name or str(runs),
        "task_count": len(TASKS),
        "version": code_version(),
        "run_count": len(done),
        "averages": report_runs.averages(done, size) if any(name in TASKS for name in tasks) else [],
        "published": rows_of(size),
        "unofficial": report_runs.unofficial_tasks(done),
        "scores": report_runs.score_rows(done, size, majorities),
        "own_tasks": [name for name, task in tasks.items() if task.is_own],
        "runs": rows,
        "dates": " to ".join(dict.fromkeys([*dates[:1], *dates[-1:]])),
        "setup": setup_of(done),
        "majorities": majorities,
        "has_charts": report_charts.are_available(),
        "views": report_runs.task_views(done, majorities),
        "unfinished": unfinished[["run", "status", "message"]].to_numpy().tolist(),
        "dev_rows": {
            name: report_rows.dev_rows(tasks[name], group, data_dir)
            for name, group in done.groupby("task", sort=False)
        },
        "categories": report_submission.categories(answers, data_dir) if answers and data_dir else [],
        "diagnostic_source": source,
        "zip": report_submission.read_zip(archive, data_dir) if archive else None,
    }


def _diagnostic_answers(done: DataFrame, archive: Path | None) -> tuple[list[str], str]:
    """The diagnostic set's answers and where they are from: the zip, else the best run that has some."""
    task, split = report_submission.diagnostic_split()
    runs = done[done["task"] == task.name].sort_values("main", ascending=False, kind="stable")
    folders = [folder / "predictions" / "test" for folder in runs["folder"]]
    zipped = [(archive, archive.name)] if archive else []
    for source, name in [*zipped, *zip(folders, runs["run"], strict=True)]:
        if answers := report_submission.diagnostic_answers(source):
            return answers, f"{split.submission_file} of {name}"
    return [], ""
