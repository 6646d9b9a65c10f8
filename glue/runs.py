"""The runs below a folder, and the scores that each wrote. No Paddle."""

from pathlib import Path
from typing import Any

from common.errors import InputError
from common.json_files import read_json_object
from glue.tasks import TASKS, find_task
from metrics.run_scores import scores_fault


def read_runs(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """(run's folder, its scores) of every ``scores.json`` below a folder, in the table's order of tasks."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    runs = []
    for path in sorted(folder.glob("**/scores.json")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue  # a copy that somebody put aside
        scores = read_json_object(path)
        name = scores.get("task")
        if isinstance(name, str) and (task := find_task(name)):
            scores["task"] = task.name
            if fault := scores_fault(scores, task.score_keys):
                raise InputError(f"{path}: not the scores of a run: {fault}")
            runs.append((path.parent, scores))
    if not runs:
        raise InputError(f"{folder}: no scores.json of a run below it")
    order = list(TASKS)
    return sorted(runs, key=lambda item: order.index(item[1]["task"]))
