"""The runs below a folder, and the scores that each wrote. No Paddle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.json_files import read_json_object
from glue.task_file import read_record
from glue.tasks import Task, find_task, position
from metrics.run_scores import find_scores, read_scores


def read_run_scores(path: Path, kinds: tuple[str, ...] = ("best", "last")) -> dict[str, Any] | None:
    """Read the ``scores.json`` of a GLUE run, its task under the name it has here; None for another run."""
    args = path.with_name("args.json")

    def keys_of(name: str) -> tuple[str, ...] | None:
        task = find_task(name) or (task_of_run(read_json_object(args)) if args.is_file() else None)
        return ("main", *task.score_keys) if task else None

    scores = read_scores(path, keys_of, kinds=kinds)
    if scores and (task := find_task(scores["task"])):
        scores["task"] = task.name
    return scores


def task_of_run(args: Mapping[str, Any]) -> Task | None:
    """The task that a run's ``args.json`` names, or describes if it is the user's own, which is then known by
    its name. None for a run of another kind."""
    task, record = find_task(str(args.get("task_name"))), args.get("own_task")
    return read_record(record) if task is None and isinstance(record, dict) else task


def read_runs(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """(run's folder, its scores) of every ``scores.json`` below a folder, in the table's order of tasks."""
    runs = [(path.parent, scores) for path in find_scores(folder) if (scores := read_run_scores(path))]
    if not runs:
        raise InputError("no scores.json of a run below it", path=folder, code="missing")
    return sorted(runs, key=lambda run: position(run[1]["task"]))
