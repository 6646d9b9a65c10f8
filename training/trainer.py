"""fit(): the training loop, for sentences, spans and pre-training alike."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from common.dispatch import dispatch
from common.errors import InputError
from encoders import distributed
from encoders.cpu import dropout_masks
from encoders.framework import paddle
from training.card_facts import CardFacts
from training.config import FineTuningConfig, TrainingConfig
from training.optimizer import optimizer_arrays, restore_optimizer
from training.regularization.ema import EMA
from training.reporters import Curves
from training.run_folder import RunFolder, Scores, WriteModel
from training.run_log import LOG
from training.run_state import ARGS
from training.schedule import factor, warmup_steps
from training.step import TrainingStep


def four_decimals(scores: Scores) -> str:
    """Every score with four decimals, as fractions of 1 are read best."""
    return "  ".join(f"{name} {value:.4f}" for name, value in scores.items())


class Batches(Protocol):
    """An epoch's batches. Only their number and slices are asked for; a slice may hold a batch in parts."""

    def __len__(self) -> int: ...

    def __getitem__(self, wanted: slice, /) -> Sequence[Any]: ...


@dataclass(frozen=True)
class TrainingJob:
    """What ``fit`` trains on."""

    model: paddle.nn.Layer
    batches: Callable[[int], Batches]  # epoch, counted from 0 → its batches in order, the same at every call
    loss: Callable[[Any], paddle.Tensor]  # batch → the sum of its rows' losses, a scalar with gradients
    # Scores, with ``main`` among them; higher is better. The model is in evaluation mode
    evaluate: Callable[[], Scores]
    write_model: WriteModel  # writes the model's files into a folder
    scales: dict[str, float]  # learning-rate scale of every parameter, by name
    task: str  # the task's name, for ``scores.json``
    metric_for_best: str  # the name of the score that ``main`` is, for ``scores.json``
    format_scores: Callable[[Scores], str] = four_decimals  # the scores of an evaluation as the log has them
    count_rows: Callable[[Any], int] = len  # batch → how many rows it has; pre-training counts tokens
    row_unit: str = "rows"  # what a row is called in the log
    # Writes the files of ``best/``, where that is another thing than ``write_model``
    write_best: WriteModel | None = None
    kept_saves: int = 0  # how many of the last saves are kept till the end; 0: none
    card: CardFacts | None = None  # what a model card in ``best/`` says of the task; None: there is none


@dataclass
class TrainerState:
    """Where a run stands."""

    step: int = 0
    best: Scores = field(default_factory=dict)  # the scores of the best evaluation, with its ``step``
    last: Scores = field(default_factory=dict)  # the same of the last one
    evals_without_improvement: int = 0  # evaluations since the best one
    window_loss: float = 0.0  # the sum of the rows' losses since the last line of the log
    window_rows: int = 0  # how many rows these are
    finished: bool = False  # whether the last step was taken

    def to_json(self) -> dict[str, Any]:
        """The entries of ``state.json``, under the names that earlier versions gave them."""
        return {_JSON_NAMES.get(name, name): value for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainerState":
        """Read what ``to_json`` gave; KeyError if an entry is missing."""
        return cls(**{name: values[_JSON_NAMES.get(name, name)] for name in vars(cls())})


_JSON_NAMES = {"evals_without_improvement": "without_gain"}


def seed_everything(seed: int) -> None:
    """Seed Paddle's generators and the dropout masks; data order depends on the seed by itself."""
    paddle.seed(seed)
    dropout_masks.seed(seed, distributed.rank())


def fit(
    job: TrainingJob, config: TrainingConfig, run: RunFolder, report_to: Sequence[str] = ()
) -> TrainerState:
    """Train, evaluate, keep the best (of equals the earlier) and the last; the last step is always evaluated.

    InputError where the loss is not finite; what was saved before stays.
    """
    trainer = Trainer(job, config, run, report_to)
    try:
        return trainer.train()
    finally:
        trainer.curves.close()


class Trainer:
    """A run on its way: what ``fit`` drives."""

    def __init__(
        self, job: TrainingJob, config: TrainingConfig, run: RunFolder, report_to: Sequence[str] = ()
    ) -> None:
        self.job, self.config, self.run = job, config, run
        self.take_step = TrainingStep(job.model, job.loss, config, job.scales, job.count_rows)
        self.ema = EMA(job.model, config.ema) if isinstance(config, FineTuningConfig) and config.ema else None
        self.state = TrainerState()
        self.curves = Curves(run.path, report_to)
        self.epoch_steps = math.ceil(len(job.batches(0)) / config.gradient_accumulation_steps)
        self.total_steps = config.max_steps or math.ceil(self.epoch_steps * config.num_train_epochs)
        self.warmup_steps = warmup_steps(config, self.total_steps)
        self.eval_steps = config.save_steps or self.epoch_steps
        if run.resumes:
            self._restore()

    def train(self) -> TrainerState:
        """Take all steps that are left."""
        LOG.info(
            f"{self.total_steps} steps, {self.warmup_steps} of them warm-up; {self.epoch_steps} an epoch"
        )
        if self.warmup_steps >= self.total_steps > 0:
            LOG.warning(
                f"warning: the warm-up of {self.warmup_steps} steps takes the whole run: "
                "the learning rate never comes to its peak"
            )
        bar = tqdm(
            total=self.total_steps, initial=self.state.step, unit="step", disable=not sys.stderr.isatty()
        )
        rows, seconds = 0, 0.0
        while self.state.step < self.total_steps and not self.state.finished:
            epoch, position = divmod(self.state.step, self.epoch_steps)
            batches = self.job.batches(epoch)
            accumulation = self.config.gradient_accumulation_steps
            for start in range(position * accumulation, len(batches), accumulation):
                started = time.monotonic()
                rows += self.step(batches[start : start + accumulation])
                seconds += time.monotonic() - started
                bar.update()
                is_last = self.state.step >= self.total_steps
                if is_last or self.state.step % self.config.logging_steps == 0:
                    self._log(rows / seconds)
                if is_last or self.state.step % self.eval_steps == 0:
                    self._evaluate_and_save()
                if is_last or self.state.finished:
                    break
        bar.close()
        return self.state

    def step(self, batches: Sequence[Any]) -> int:
        """Take one step on one or more accumulated batches; returns the rows of all processes."""
        state = self.state
        learning_rate = self.config.learning_rate * factor(
            state.step, self.warmup_steps, self.total_steps, self.config.scheduler_type
        )
        loss, rows = self.take_step(batches, learning_rate, state.step)
        state.step += 1
        if self.ema:
            self.ema.update(state.step)
        state.window_loss += loss * rows
        state.window_rows += rows
        return rows

    def _log(self, rows_per_second: float) -> None:
        state = self.state
        loss = state.window_loss / state.window_rows
        rate = float(self.take_step.optimizer.get_lr())
        state.window_loss, state.window_rows = 0.0, 0
        epoch = state.step / self.epoch_steps
        line = {"step": state.step, "epoch": round(epoch, 4), "loss": loss, "learning_rate": rate}
        self.run.add_history(line)
        self.curves.add("train/loss", loss, state.step)
        self.curves.add("train/learning_rate", rate, state.step)
        LOG.info(
            f"step {state.step}/{self.total_steps}  epoch {epoch:.2f}  loss {loss:.4f}  "
            f"rate {rate:.2e}  {rows_per_second:.0f} {self.job.row_unit}/s"
        )

    def _evaluate_and_save(self) -> None:
        weights: AbstractContextManager[dict[str, np.ndarray]]
        weights = self.ema.swapped_in() if self.ema else nullcontext({})
        with weights as raw_weights:
            self._evaluate()
            self._save(raw_weights)

    def _evaluate(self) -> None:
        state = self.state
        self.job.model.eval()
        with paddle.no_grad():
            scores = {"step": state.step, **self.job.evaluate()}
        self.run.add_history({"step": state.step, "evaluation": scores})
        for name, value in scores.items():
            self.curves.add(f"dev/{name}", value, state.step)
        text = self.job.format_scores({name: value for name, value in scores.items() if name != "step"})
        LOG.info(f"step {state.step}  dev  {text}")
        state.last = scores
        if not state.best or scores["main"] > state.best["main"]:
            state.best, state.evals_without_improvement = scores, 0
            self.run.save_best(self._write_best)
        else:
            state.evals_without_improvement += 1
            patience = self.config.early_stopping_patience
            if patience and state.evals_without_improvement >= patience:
                LOG.info(f"no better score in {patience} evaluations: stopping at step {state.step}")
                state.finished = True
        state.finished = state.finished or state.step >= self.total_steps

    def _write_best(self, folder: Path) -> None:
        (self.job.write_best or self.job.write_model)(folder)
        if self.job.card:  # it imports huggingface_hub
            dispatch(
                "training.model_card:write_card", folder, self.run.path / ARGS, self.job.card, self.state.best
            )

    def _save(self, raw_weights: dict[str, np.ndarray]) -> None:
        """Write ``last/``; raw_weights: those that training goes on from, where the model holds averages."""
        masks = dropout_masks.state()
        masks["state"] = {key: np.asarray(value).tolist() for key, value in masks["state"].items()}
        state = {
            **self.state.to_json(),
            "total": self.total_steps,
            "masks": distributed.all_gather(masks),
            "loss_scale": self.take_step.loss_scale(),
        }
        arrays = {**optimizer_arrays(self.job.model, self.take_step.optimizer), **raw_weights}
        if self.job.kept_saves:
            self.run.keep_save(self.job.write_model, self.state.step, self.job.kept_saves)
        self.run.save_last(self.job.write_model, state, arrays)
        self._write_scores()

    def _write_scores(self) -> None:
        self.run.write_scores(self.job.task, self.job.metric_for_best, self.state.best, self.state.last)

    def _restore(self) -> None:
        """Take up optimizer, position and random state; the weights are in the model already."""
        values, arrays = self.run.read_state()
        if values.get("total") != self.total_steps:
            raise InputError(
                f"that run was to take {values.get('total')} steps, this one "
                f"{self.total_steps}; resume with the settings it was begun with",
                path=self.run.source,
            )
        try:
            if self.ema:
                arrays = self.ema.restore(arrays)
            restore_optimizer(self.job.model, self.take_step.optimizer, arrays)
            if self.take_step.scaler:
                self.take_step.scaler.load_state_dict(values["loss_scale"])
            masks = values["masks"][distributed.rank()]
            counter = {key: np.array(value, dtype=np.uint64) for key, value in masks["state"].items()}
            dropout_masks.set_state({**masks, "state": counter})
            self.state = TrainerState.from_json(values)
            if not 0 <= self.state.step <= self.total_steps or not self.state.last:
                raise ValueError(f"step {self.state.step}")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"is not the state of this run: {error!r}", path=self.run.source) from None
        self.run.cut_history(self.state.step)
        self._write_scores()
        LOG.info(f"resuming after step {self.state.step}")
