"""How fast a checkpoint trains and answers here: a few steps on a task's own rows."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkpoints.folder import open_checkpoint
from checkpoints.labels import label_names
from checkpoints.tokenizer import tokenizer_of
from encoders.batching import Batch, Features
from encoders.framework import paddle, select_device
from encoders.heads import SentenceClassifier, sentence_loss
from encoders.tokenizer import Tokenizer
from glue.config import GlueTrainingConfig
from glue.features import SplitFeatures, in_both_orders, load_split, targets_of
from glue.model import config_for, prepare
from glue.tasks import Task
from inference.network_engine import predict_logits, tensors
from training.batches import epoch_batches
from training.optimizer import make_optimizer
from training.regularization.r_drop import doubled

WARM_UP, TIMED = 2, 5  # steps
_EVALUATED = 4  # batches


@dataclass(frozen=True)
class Speed:
    """Rows per second in training and in evaluation; rows of an epoch, both orders counted,
    and of the dev files."""

    training: float
    evaluation: float
    rows: int
    dev_rows: int


def measure(
    task: Task,
    recipe: GlueTrainingConfig,
    folder: Path,
    data_dir: Path,
    device: str,
    lower_case: bool | None = None,
) -> Speed:
    """Train WARM_UP + TIMED steps and answer a few batches, in this process; of the options that cost time
    R-Drop's and FGM's second pass is run too.

    Reads and tokenises the training and dev files, which the trials then find in the cache.
    """
    select_device(device)
    checkpoint = open_checkpoint(folder)
    config, keeps_head = config_for(task, checkpoint.config, recipe, None)
    tokenizer = tokenizer_of(folder, config, lower_case)
    model, _ = prepare(checkpoint, config, keeps_head, from_scratch=checkpoint.weights is None)
    train, dev = _read(task, recipe, tokenizer, data_dir)
    labels = [] if task.is_regression else label_names(config)
    targets = targets_of(train.examples, labels, config.target_scale)
    features = dataclasses.replace(train.features, targets=targets)
    batches = epoch_batches(features, recipe, config, device)(0)
    step = _stepper(model, recipe)
    steps = [batches[number : number + 1] for number in range(min(len(batches), WARM_UP + TIMED))]
    warm = min(WARM_UP, len(steps) - 1)
    for parts in steps[:warm]:
        step(parts)
    seconds = _timed(lambda: [step(parts) for parts in steps[warm:]])
    model.eval()
    few = _first(dev[0].features, _EVALUATED * recipe.batch_size)
    return Speed(
        training=sum(len(part) for parts in steps[warm:] for part in parts) / seconds,
        evaluation=len(few) / _timed(lambda: predict_logits(model, few, recipe.batch_size)),
        rows=len(train.examples),
        dev_rows=sum(part.rows for part in dev),
    )


def _read(
    task: Task, recipe: GlueTrainingConfig, tokenizer: Tokenizer, data_dir: Path
) -> tuple[SplitFeatures, list[SplitFeatures]]:
    length = recipe.max_seq_length
    (split,) = task.of_kind("train")
    train = load_split(task, split, data_dir, tokenizer, length)
    if recipe.both_orders:
        train = in_both_orders(train, tokenizer, length)
    return train, [load_split(task, part, data_dir, tokenizer, length) for part in task.of_kind("dev")]


def _stepper(model: SentenceClassifier, recipe: GlueTrainingConfig) -> Callable[[Sequence[Batch]], None]:
    optimizer = make_optimizer(model, recipe, {name: 1.0 for name, _ in model.named_parameters()})
    model.train()

    def step(parts: Sequence[Batch]) -> None:
        for own in parts:
            part = doubled(own) if recipe.r_drop else own
            assert part.targets is not None
            for _ in range(2 if recipe.fgm else 1):
                loss = sentence_loss(model(*tensors(part)), paddle.to_tensor(part.targets))
                loss.backward()
        optimizer.step()
        optimizer.clear_grad()

    return step


def _first(features: Features, count: int) -> Features:
    """The first rows of a split, or all if it has no more."""
    count = min(len(features), count)
    starts = features.starts[: count + 1]
    return Features(features.ids[: starts[-1]], starts, features.first_lengths[:count])


def _timed(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started
