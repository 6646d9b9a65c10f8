"""The learning rate over the steps: linear warm-up, then linear or cosine decay to 0. No Paddle."""

import math

from training.config import TrainingConfig


def warmup_steps(config: TrainingConfig, total: int) -> int:
    """Steps of the warm-up; a count given wins over the proportion."""
    return config.warmup_steps or int(config.warmup_proportion * total)


def factor(step: int, warmup: int, total: int, kind: str) -> float:
    """What the peak rate is multiplied with at a step, counted from 0; in [0, 1].

    As in Hugging Face and PaddleNLP: step/warmup before, so the very first step of a warm-up has
    rate 0; after it 1 − p (linear) or (1 + cos πp)/2 (cosine), p the share of the rest that is done.
    """
    if step < warmup:
        return step / warmup
    if step >= total:
        return 0.0
    done = (step - warmup) / (total - warmup)
    return 1 - done if kind == "linear" else (1 + math.cos(math.pi * done)) / 2
