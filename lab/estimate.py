"""How long a plan will take, from a few steps of each checkpoint at each task's lengths: an estimate."""

import time
from collections.abc import Callable, Hashable
from pathlib import Path

from checkpoints.folder import open_checkpoint
from checkpoints.tokenizer import tokenizer_of
from common.errors import InputError
from common.messages import escape_unprintable
from encoders.batching import Features
from encoders.framework import select_device
from encoders.runtime import thread_count
from glue.arguments import data_folder
from glue.config import GlueRunConfig
from glue.fine_tuning import make_loss, read_data, with_targets
from glue.model import config_for, prepare
from inference.network_engine import predict_logits
from lab.plan import Trial
from lab.scheduling import Sweep
from lab.speed import Speed, duration, estimate_seconds
from training.batches import epoch_batches
from training.step import TrainingStep

WARM_UP, TIMED = 2, 5  # steps
_EVALUATED = 4  # batches


def dry_run_lines(sweep: Sweep, workers: int) -> tuple[list[str], int]:
    """A line per trial in the order in which they are begun, then the estimate, from short measurements.

    Also: how many trials cannot be run.
    """
    speeds: dict[Hashable, Speed] = {}
    lines, total, failed = [], 0.0, 0
    reasons: dict[str, int] = {}  # why a trial cannot be run → the first such trial
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
                line = f"about {duration(seconds)}{after}"
            if seconds is not None and (reason := sweep.reason_to_run(sweep.resolver.resolve(trial))):
                line += f"; begun before: {escape_unprintable(reason)}"
        except InputError as error:
            reason, failed = escape_unprintable(str(error)), failed + 1
            first = reasons.setdefault(reason, number)
            line = f"cannot be run: {reason if first == number else f'as {first}'}"
        lines.append(f"{number:>4}  {trial.name:<{width}}  {line}")
    parallel = f", {duration(total / workers)} with {workers} workers" if workers > 1 else ""
    impossible = f", {failed} of them cannot be run" if failed else ""
    count = thread_count()
    lines.append(
        f"{len(sweep.trials)} trials{impossible}: about {duration(total)}{parallel} (an estimate: "
        f"{len(speeds)} short measurements with {count} thread{'s' if count > 1 else ''}, "
        f"{duration(time.monotonic() - started)})"
    )
    return lines, failed


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


def measure(run: GlueRunConfig) -> Speed:
    """Train WARM_UP + TIMED steps and answer a few batches, in this process, with all options but EMA. The
    trials then find the training and dev files tokenised in the cache."""
    select_device(run.device)
    task, recipe, folder = run.task, run.training, Path(run.model_name_or_path)
    checkpoint = open_checkpoint(folder)
    config, keeps_head = config_for(task, checkpoint.config, recipe, None)
    tokenizer = tokenizer_of(folder, config, run.do_lower_case)
    model, _ = prepare(checkpoint, config, keeps_head, from_scratch=checkpoint.weights is None)
    train, dev = read_data(task, recipe, tokenizer, data_folder(run.data_dir))
    batches = epoch_batches(with_targets(task, train, config), recipe, config, run.device)(0)
    scales = {name: 1.0 for name, _ in model.named_parameters()}
    take_step = TrainingStep(model, make_loss(model, recipe), recipe, scales)
    steps = [batches[number : number + 1] for number in range(min(len(batches), WARM_UP + TIMED))]
    warm = min(WARM_UP, len(steps) - 1)
    for parts in steps[:warm]:
        take_step(parts, recipe.learning_rate)
    seconds = _timed(lambda: [take_step(parts, recipe.learning_rate) for parts in steps[warm:]])
    model.eval()
    features = dev[0].features
    starts = features.starts[: _EVALUATED * recipe.batch_size + 1]  # all, if it has no more rows
    few = Features(features.ids[: starts[-1]], starts, features.first_lengths[: len(starts) - 1])
    return Speed(
        training=sum(len(part) for parts in steps[warm:] for part in parts) / seconds,
        evaluation=len(few) / _timed(lambda: predict_logits(model, few, recipe.batch_size)),
        rows=len(train.examples),
        dev_rows=sum(part.rows for part in dev),
    )


def _timed(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started
