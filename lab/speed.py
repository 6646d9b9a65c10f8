"""How fast a checkpoint trains and answers here: a few steps on a task's own rows."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checkpoints.folder import open_checkpoint
from checkpoints.tokenizer import tokenizer_of
from encoders.batching import Features
from encoders.framework import select_device
from glue.arguments import data_folder
from glue.config import GlueRunConfig
from glue.fine_tuning import make_loss, read_data, with_targets
from glue.model import config_for, prepare
from inference.network_engine import predict_logits
from training.batches import epoch_batches
from training.step import TrainingStep

WARM_UP, TIMED = 2, 5  # steps
_EVALUATED = 4  # batches


@dataclass(frozen=True)
class Speed:
    """Rows per second in training and evaluation; rows of an epoch, in both orders, and of the dev files."""

    training: float
    evaluation: float
    rows: int
    dev_rows: int


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
