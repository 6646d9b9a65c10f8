"""The runs below a folder, and the scores that each wrote. No Paddle."""

from pathlib import Path
from typing import Any

from common.errors import InputError
from glue.tasks import TASKS, find_task
from metrics.run_scores import find_scores, read_scores


def read_run_scores(path: Path, kinds: tuple[str, ...] = ("best", "last")) -> dict[str, Any] | None:
    """Read the ``scores.json`` of a GLUE run, its task under the name it has here; None for another run."""
    scores = read_scores(path, _keys, kinds=kinds)
    if scores and (task := find_task(scores["task"])):
        scores["task"] = task.name
    return scores


def read_runs(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """(run's folder, its scores) of every ``scores.json`` below a folder, in the table's order of tasks."""
    runs = [(path.parent, scores) for path in find_scores(folder) if (scores := read_run_scores(path))]
    if not runs:
        raise InputError("no scores.json of a run below it", path=folder, code="missing")
    order = list(TASKS)
    return sorted(runs, key=lambda run: order.index(run[1]["task"]))


def _keys(name: str) -> tuple[str, ...] | None:
    task = find_task(name)
    return ("main", *task.score_keys) if task else None
