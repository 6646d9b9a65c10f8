"""The runs of lab.leaderboard as a plan that lab.sweep and lab.submit read, and back."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from common.files import write_text
from glue.tasks import TASKS
from lab.plan import Plan, Trial, trials_of
from lab.plan_file import read_plan
from lab.time_plan import FRACTIONS, PlannedRun

_HEAD = "# Written by lab.leaderboard, which renews it whenever a run ends.\n"


def write_plan(
    path: Path,
    checkpoint: Mapping[str, str],
    preset: str,
    epochs: Mapping[str, float],
    settings: Mapping[str, Mapping[str, Any]],
    runs: Collection[PlannedRun],
) -> dict[PlannedRun, Trial]:
    """Write a plan and read it back → the trial of each of its runs.

    checkpoint: its name and its model. epochs: of each task's recipe. settings: of a task's runs, beside the
    preset. A task with runs of different lengths has all its seeds at all its lengths in the plan, also those
    that are no runs of lab.leaderboard.
    """
    entries: dict[str, Any] = {"checkpoints": dict(checkpoint), **({"preset": preset} if preset else {})}
    tasks: dict[str, Any] = {}
    for task in TASKS:
        of_task = [run for run in runs if run.task == task]
        if not of_task:
            continue
        tasks[task] = {"seeds": sorted({run.seed for run in of_task})}
        if task in settings:
            tasks[task]["settings"] = dict(settings[task])
        shorter = sorted({run.fraction for run in of_task if run.fraction < 1})
        grid = {"num_train_epochs": [epochs[task] * fraction for fraction in shorter]}
        if shorter:
            is_whole = any(run.fraction == 1 for run in of_task)
            tasks[task]["grid"] = [{}, grid] if is_whole else grid
        if source := max(run.init_from for run in of_task):
            tasks[task]["init_from"] = f"best of {source}"
    text = yaml.safe_dump({**entries, "tasks": tasks}, sort_keys=False, allow_unicode=True)
    write_text(path, _HEAD + text)
    return trials_by_run(read_plan(str(path)), epochs)


def trials_by_run(plan: Plan, epochs: Mapping[str, float]) -> dict[PlannedRun, Trial]:
    """Every trial of such a plan, by the run that it is; of tasks whose epochs are known."""
    trials = {}
    for trial in (trial for trial in trials_of(plan) if trial.task in epochs):
        share = dict(trial.varied).get("num_train_epochs", epochs[trial.task]) / epochs[trial.task]
        fraction = min(FRACTIONS, key=lambda fraction: abs(fraction - share))
        trials[PlannedRun(trial.task, fraction, trial.seed or 0, trial.init_from)] = trial
    return trials
