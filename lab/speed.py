"""How long a trial takes by the speed of its network, which ``lab/estimate.py`` measures. No Paddle."""

import math
from dataclasses import dataclass

from glue.config import GlueTrainingConfig
from lab.trial_config import TrialConfig

START_SECONDS = 6.0  # of a trial: imports, reading, tokenising, opening the model to train and to predict


@dataclass(frozen=True)
class Speed:
    """Rows per second in training and evaluation; rows of an epoch, in both orders, and of the dev files."""

    training: float
    evaluation: float
    rows: int
    dev_rows: int


def estimate_seconds(config: TrialConfig, speed: Speed) -> float:
    """Of one trial: its start, steps, evaluations and predictions."""
    training, steps = config.run.training, count_steps(config.run.training, speed.rows)
    batch_rows = training.batch_size * training.gradient_accumulation_steps
    evaluations = math.ceil(steps / (training.save_steps or _epoch_steps(training, speed.rows)))
    predicted = evaluations * speed.dev_rows + count_test_rows(config)
    return steps * batch_rows / speed.training + predicted / speed.evaluation + START_SECONDS


def count_steps(training: GlueTrainingConfig, rows: int) -> int:
    """How many steps a training on so many rows takes."""
    return training.max_steps or math.ceil(_epoch_steps(training, rows) * training.num_train_epochs)


def count_test_rows(config: TrialConfig) -> int:
    """The rows of a trial's test files that are there."""
    return sum(rows for _, rows in config.splits.get("test", ()))


def _epoch_steps(training: GlueTrainingConfig, rows: int) -> int:
    return math.ceil(rows / training.batch_size / training.gradient_accumulation_steps)


def duration(seconds: float) -> str:
    """Seconds for people: ``40 s``, ``12 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
