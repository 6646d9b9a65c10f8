"""How long a plan will take, from a few steps of each checkpoint at each task's lengths: an estimate."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InputError
from common.messages import escape_unprintable
from encoders.runtime import thread_count
from glue.tasks import TASKS
from lab.scheduling import Sweep
from lab.speed import Speed
from lab.trials import Trial

if TYPE_CHECKING:
    from glue.config import GlueTrainingConfig

_COMMAND_SECONDS = 5.0  # from nothing to the first step or batch: imports, reading, tokenising


def dry_run_lines(sweep: Sweep, workers: int) -> list[str]:
    """A line per trial in the order in which they are begun, then the estimate. Runs nothing but a short
    measurement, in this process."""
    speeds: dict[tuple[object, ...], Speed] = {}
    lines, total, hopeless = [], 0.0, 0
    width = max(len(trial.name) for trial in sweep.trials)
    started = time.monotonic()
    for number, trial in enumerate(sweep.trials, 1):
        try:
            seconds = _seconds(sweep, trial, speeds)
        except InputError as error:
            lines.append(
                f"{number:>4}  {trial.name:<{width}}  cannot be run: {escape_unprintable(str(error))}"
            )
            hopeless += 1
            continue
        if seconds is None:
            lines.append(f"{number:>4}  {trial.name:<{width}}  was done before")
            continue
        total += seconds
        after = f", after the best of {trial.init_from}" if trial.init_from else ""
        drawn = ", settings drawn from earlier results" if trial.search else ""
        lines.append(f"{number:>4}  {trial.name:<{width}}  about {_said(seconds)}{after}{drawn}")
    several = f", {_said(total / workers)} with {workers} workers" if workers > 1 else ""
    others = f", {hopeless} of them cannot be run" if hopeless else ""
    count = thread_count()
    threads = f"{count} thread{'s' if count > 1 else ''}"
    lines.append(
        f"{len(sweep.trials)} trials{others}: about {_said(total)}{several} (an estimate: "
        f"{len(speeds)} short measurements with {threads}, {_said(time.monotonic() - started)})"
    )
    return lines


def _seconds(sweep: Sweep, trial: Trial, speeds: dict[tuple[object, ...], Speed]) -> float | None:
    """Of one trial; None if it was done before. speeds: those that were measured, and now also this one's."""
    from lab.speed import measure

    if sweep.is_settled(trial):
        return None
    recipe, model = sweep.jobs.recipe(trial), sweep.jobs.model_of(trial)
    key = (
        model, trial.checkpoint.do_lower_case, trial.task, recipe.max_seq_length, recipe.batch_size,
        recipe.both_orders, bool(recipe.r_drop), bool(recipe.fgm),
    )  # fmt: skip
    if key not in speeds:
        task, data = TASKS[trial.task], sweep.jobs.data_dir
        lower_case = trial.checkpoint.do_lower_case
        speeds[key] = measure(task, recipe, Path(model), data, sweep.jobs.device, lower_case)
    test_rows = sum(rows for _, rows in sweep.jobs.splits(trial.task).get("test", ()))
    return seconds_of(recipe, speeds[key], test_rows)


def seconds_of(recipe: "GlueTrainingConfig", speed: Speed, test_rows: int) -> float:
    """Of one trial: its steps, evaluations and predictions, and what each of its commands takes to start."""
    epoch_steps = math.ceil(speed.rows / recipe.batch_size / recipe.gradient_accumulation_steps)
    steps = recipe.max_steps or math.ceil(epoch_steps * recipe.num_train_epochs)
    evaluations = math.ceil(steps / (recipe.save_steps or epoch_steps))
    trained = steps * recipe.batch_size * recipe.gradient_accumulation_steps
    predicted = (evaluations + 1) * speed.dev_rows + test_rows
    return trained / speed.training + predicted / speed.evaluation + 3 * _COMMAND_SECONDS


def _said(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
