"""TrainingStep: one optimizer step, the same in the training loop, the speed estimate and the benchmark."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from common.errors import InputError
from encoders import distributed
from encoders.framework import paddle
from training.config import FineTuningConfig, TrainingConfig
from training.mixed_precision import MixedPrecision, on_cpu
from training.optimizer import make_optimizer
from training.regularization.fgm import FGM


class TrainingStep:
    """Forward, backward, clip and update, on one or more accumulated batches.

    ``loss``: batch → the sum of its rows' losses, a scalar with gradients; ``scales``: the learning-rate
    scale of every parameter, by name; ``count_rows``: how many rows a batch has (pre-training counts tokens).
    """

    def __init__(
        self,
        model: paddle.nn.Layer,
        loss: Callable[[Any], paddle.Tensor],
        config: TrainingConfig,
        scales: Mapping[str, float],
        count_rows: Callable[[Any], int] = len,
    ) -> None:
        self.model, self.loss, self.config, self.count_rows = model, loss, config, count_rows
        self.optimizer = make_optimizer(model, config, scales)
        self.precision = MixedPrecision(config)
        self.scaler = self.precision.scaler
        self.fgm: FGM | None = None
        if isinstance(config, FineTuningConfig) and config.fgm:
            self.fgm = FGM(model.encoder.embeddings.word, config.fgm)

    def __call__(self, batches: Sequence[Any], learning_rate: float, step: int = 0) -> tuple[float, int]:
        """Take a step in which every row counts alike, however the rows are dealt out to batches of this
        process. ``step`` is its number, counted from 0. Returns the mean loss of the rows of all processes
        and how many these are; InputError where the loss is not finite."""
        self.model.train()
        if not on_cpu():  # dropout there draws from Paddle's generator: no state of it needs to be kept
            paddle.seed(hash((self.config.seed, distributed.rank(), step)) % 2**31)
        rows = int(distributed.all_reduce(sum(self.count_rows(batch) for batch in batches)))
        self.optimizer.set_lr(learning_rate)
        self.precision.begin_step()
        loss = 0.0
        for batch in batches:
            backward = partial(self._backward, batch, rows)
            loss += self.fgm.backward_twice(backward) if self.fgm else backward()
        loss = distributed.all_reduce(loss)
        if not math.isfinite(loss):
            raise InputError(f"the loss became {loss} in step {step + 1}; try a smaller --learning_rate")
        distributed.add_gradients(self.model.parameters())
        self.scaler.step(self.optimizer) if self.scaler else self.optimizer.step()
        if self.scaler:
            self.scaler.update()
        self.optimizer.clear_grad(set_to_zero=False)
        return loss, rows

    def _backward(self, batch: Any, rows: int) -> float:
        """Add one batch's gradients; returns its share of the step's mean loss."""
        with self.precision.in_force():
            loss = self.loss(batch) / rows
        (self.scaler.scale(loss) if self.scaler else loss).backward()
        return float(loss)

    def loss_scale(self) -> dict[str, Any]:
        """The state of float16's loss scaling, as JSON can hold it; empty without."""
        state = self.scaler.state_dict() if self.scaler else {}
        return {key: np.asarray(value).tolist() for key, value in state.items()}
