"""The runs below a folder as one table, which every command that prints results prints from.

A row is a run: a trial of a sweep, whatever became of it, or any other run that has scores. Columns:

- ``task``, ``configuration`` (the run's name without its seed), ``seed``, ``run`` (its name: the path below
  the folder), ``folder``;
- ``status``: ``done``, ``failed``, ``stopped early``, ``skipped`` or ``unfinished``; ``message``: why;
- ``model``: the digest of the model that it began with, empty if unknown;
- of a run that has scores ``step``, ``main`` and a column for each score of its task, of its best evaluation,
  and the same of its last one under ``last_…``. Scores are fractions of 1.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pandas import DataFrame

from common.json_files import read_json_object
from common.messages import say
from common.python_api import make_callable
from common.tables import render
from glue.runs import read_runs
from glue.tasks import position, task_named
from lab.trial_store import DONE, FAILED, SKIPPED, STOPPED, TrialResult, read_results
from training.run_state import read_run_state

UNFINISHED = "unfinished"
_SCORES = ["best", "median", "mean", "deviation"]
_COLUMNS = ("task", "configuration", "seed", "run", "folder", "status", "message", "model", "step", "main")


def results(runs: str | Path) -> DataFrame:
    """Read every run below a folder, in the order of the task table, configurations and seeds.

    Args:
        runs: The folder, such as the ``--runs`` of a sweep.

    Returns:
        A row for each run; the columns are described at the head of this module.

    Raises:
        InputError: There is no run with scores, or a record or the scores of one cannot be read.

    >>> import lab
    >>> print(lab.results("runs")[["run", "status", "step"]].to_string(index=False))
    run status  step
    rte   done   2.0
    """
    runs = Path(runs)
    scored, trials = read_runs(runs), read_results(runs)
    recorded = {trial.folder for trial in trials}
    rows = [_trial_row(trial) for trial in trials]
    rows += [_run_row(runs, folder, scores) for folder, scores in scored if folder not in recorded]
    rows.sort(key=lambda row: (position(row["task"]), row["configuration"]))
    return _table(rows)


def trials_table(trials: Sequence[TrialResult]) -> DataFrame:
    """The table of a sweep's trials, in their order."""
    return _table([_trial_row(trial) for trial in trials])


def _table(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    table = DataFrame(rows)
    table = table.reindex(columns=[*_COLUMNS, *(name for name in table if name not in _COLUMNS)])
    return table.astype({"main": float, "step": float})


def _trial_row(trial: TrialResult) -> dict[str, Any]:
    keys = ("task", "configuration", "seed", "folder", "status", "message", "model")
    row = {key: getattr(trial, key) for key in keys}
    return {**row, "run": trial.trial, **_score_columns(trial.task, trial.scores or {})}


def _run_row(runs: Path, folder: Path, scores: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a run that no sweep has made."""
    name, args = folder.relative_to(runs).as_posix(), read_json_object(folder / "args.json")
    recipe = args.get("recipe")
    seed = recipe.get("seed") if isinstance(recipe, dict) else None
    ends = [end for end in (f"-seed{seed}", f"-{seed}") if name.endswith(end)]  # rte/base-seed5, rte/base-5
    state, status, message = read_run_state(folder), DONE, ""
    if not state.is_trained:
        status, message = UNFINISHED, f"evaluated at step {scores['last']['step']:.0f}; {state.reason}"
    configuration = name.removesuffix(ends[0] if ends else "")
    return {
        "task": scores["task"], "configuration": configuration, "seed": seed, "run": name,
        "folder": folder, "status": status, "message": message, "model": str(args.get("model_sha256", "")),
        **_score_columns(scores["task"], scores),
    }  # fmt: skip


def _score_columns(task: str, scores: Mapping[str, Any]) -> dict[str, float]:
    keys = ("step", "main", *task_named(task).score_keys)
    kinds = [(kind, prefix) for kind, prefix in (("best", ""), ("last", "last_")) if kind in scores]
    return {f"{prefix}{key}": scores[kind][key] for kind, prefix in kinds for key in keys}


def done_runs(table: DataFrame) -> DataFrame:
    """The rows of the runs that are done."""
    return table[table["status"] == DONE]


def best_runs(table: DataFrame) -> DataFrame:
    """The done run of each task with the best main score, of equal ones the first; indexed by task."""
    done = done_runs(table)
    return done.loc[done.groupby("task", sort=False)["main"].idxmax()].set_index("task", drop=False)


def summarise(table: DataFrame) -> DataFrame:
    """Summarise the runs of each configuration, which differ by their seeds alone.

    Returns:
        A row for each configuration, in the order of the table: ``configuration``, ``task``, the number of
        done ``runs``, their ``best``, ``median`` and ``mean`` main score and its ``deviation`` (of a sample;
        none below two runs), a count of the ``failed``, ``stopped early`` and ``skipped`` ones, and from how
        many different ``models`` the done ones began.
    """
    done = done_runs(table).groupby("configuration")
    summary = table.groupby("configuration", sort=False)["task"].first().to_frame()
    summary["runs"] = done.size()
    summary[["best", "median", "mean", "deviation"]] = done["main"].agg(["max", "median", "mean", "std"])
    for status in (FAILED, STOPPED, SKIPPED):
        summary[status] = (table["status"] == status).groupby(table["configuration"]).sum()
    summary["models"] = done["model"].nunique()
    return summary.fillna({"runs": 0, "models": 0}).astype({"runs": int, "models": int}).reset_index()


def print_summary(trials: DataFrame, form: str = "text") -> None:
    """Print a row for each configuration, scores in percent; on stderr what to know of them."""
    summary = summarise(trials)
    is_best = summary["best"] == summary.groupby("task")["best"].transform("max")
    table = summary.drop(columns=["task", "models"])
    table[_SCORES] *= 100
    table.insert(3, "best of task", is_best.map({True: "*", False: ""}))
    print(render(table, form))
    if ((summary["runs"] > 0) & (summary[STOPPED] > 0)).any():
        say("note: trials that were stopped early were below the median: without them the others flatter")
    for name, models in zip(summary["configuration"], summary["models"], strict=True):
        if models > 1:
            began = f"its runs began with {models} models"
            say(f"note: {name}: {began}, whose differences the deviation includes")


make_callable(__name__, results)
