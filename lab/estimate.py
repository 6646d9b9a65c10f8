"""How long a plan will take, from a few steps of each checkpoint at each task's lengths: an estimate."""

import math
import time
from collections.abc import Hashable

from common.errors import InputError
from common.messages import escape_unprintable
from encoders.runtime import thread_count
from lab.plan import Trial
from lab.scheduling import Sweep
from lab.speed import Speed, measure
from lab.trial_config import TrialConfig

_START_SECONDS = 6.0  # of a trial: imports, reading, tokenising, opening the model to train and to predict


def dry_run_lines(sweep: Sweep, workers: int) -> list[str]:
    """A line per trial in the order in which they are begun, then the estimate, from short measurements."""
    speeds: dict[Hashable, Speed] = {}
    lines, total, failed = [], 0.0, 0
    width = max(len(trial.name) for trial in sweep.trials)
    started = time.monotonic()
    for number, trial in enumerate(sweep.trials, 1):
        try:
            seconds = _seconds(sweep, trial, speeds)
            total += seconds or 0.0
            line = "was done before"
            if seconds is not None:
                after = f", after the best of {trial.init_from}" if trial.init_from else ""
                after += ", settings from earlier results" if trial.search else ""
                line = f"about {_duration(seconds)}{after}"
            if seconds is not None and (reason := sweep.reason_to_run(sweep.resolver.resolve(trial))):
                line += f"; begun before: {escape_unprintable(reason)}"
        except InputError as error:
            line = f"cannot be run: {escape_unprintable(str(error))}"
            failed += 1
        lines.append(f"{number:>4}  {trial.name:<{width}}  {line}")
    parallel = f", {_duration(total / workers)} with {workers} workers" if workers > 1 else ""
    impossible = f", {failed} of them cannot be run" if failed else ""
    count = thread_count()
    lines.append(
        f"{len(sweep.trials)} trials{impossible}: about {_duration(total)}{parallel} (an estimate: "
        f"{len(speeds)} short measurements with {count} thread{'s' if count > 1 else ''}, "
        f"{_duration(time.monotonic() - started)})"
    )
    return lines


def _seconds(sweep: Sweep, trial: Trial, speeds: dict[Hashable, Speed]) -> float | None:
    """Of one trial; None if it was done before. speeds: those that were measured, and now also this one's."""
    config = sweep.resolver.resolve(trial)
    if sweep.outcome_before(config) is not None:
        return None
    run, training = config.run, config.run.training
    key = (
        run.model_name_or_path, run.do_lower_case, run.task_name, training.max_seq_length,
        training.batch_size, training.both_orders, bool(training.r_drop), bool(training.fgm),
    )  # fmt: skip
    if key not in speeds:
        speeds[key] = measure(run)
    return estimate_seconds(config, speeds[key])


def estimate_seconds(config: TrialConfig, speed: Speed) -> float:
    """Of one trial: its start, steps, evaluations and predictions."""
    training, test_rows = config.run.training, sum(rows for _, rows in config.splits.get("test", ()))
    batch_rows = training.batch_size * training.gradient_accumulation_steps
    epoch_steps = math.ceil(speed.rows / training.batch_size / training.gradient_accumulation_steps)
    steps = training.max_steps or math.ceil(epoch_steps * training.num_train_epochs)
    evaluations = math.ceil(steps / (training.save_steps or epoch_steps))
    predicted = (evaluations + 1) * speed.dev_rows + test_rows
    return steps * batch_rows / speed.training + predicted / speed.evaluation + _START_SECONDS


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
