"""fit(): the one training loop, for sentences, spans and pre-training alike."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from tqdm import tqdm

from common.errors import InputError
from encoders import distributed
from encoders.cpu import dropout_masks
from encoders.framework import paddle
from training.config import TrainingConfig
from training.optimizer import AdamW, make_optimizer, optimizer_arrays, restore_optimizer
from training.regularization.ema import MovingAverage
from training.regularization.fgm import Adversary
from training.run_folder import LOG, Curves, RunFolder, Scores, WriteModel
from training.schedule import factor, warmup_steps


def four_digits(scores: Scores) -> str:
    """Every score with four decimals, as fractions of 1 are read best."""
    return "  ".join(f"{name} {value:.4f}" for name, value in scores.items())


class Batches(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, wanted: slice, /) -> Sequence[Any]: ...


@dataclass(frozen=True)
class Job:
    """What fit() trains on.

    batches: epoch, counted from 0 → its batches in order, the same at every call. Only its length and
    slices of it are used; a slice may hold a batch in several parts.
    loss: batch → the sum of its rows' losses, a scalar with gradients.
    size, unit: batch → how many rows it has, and what they are called; pre-training counts tokens.
    evaluate: → scores with ``main``, higher is better; the model is in evaluation mode meanwhile.
    write_model: writes the model's files into a folder; write_best: those of best/, where they are fewer.
    scales: learning-rate scale by parameter name.
    task, main: for ``scores.json``. said: the scores of an evaluation as the log has them.
    adversary: perturbs every loss. average: of the weights, which is then what is evaluated and saved.
    """

    model: paddle.nn.Layer
    batches: Callable[[int], Batches]
    loss: Callable[[Any], paddle.Tensor]
    evaluate: Callable[[], Scores]
    write_model: Callable[..., None]
    scales: dict[str, float]
    task: str
    main: str
    said: Callable[[Scores], str] = four_digits
    adversary: Adversary | None = None
    average: MovingAverage | None = None
    size: Callable[[Any], int] = len
    unit: str = "rows"
    write_best: Callable[..., None] | None = None


@dataclass
class Progress:
    """Where a run stands; what ``last/state.json`` holds."""

    step: int = 0
    best: Scores = field(default_factory=dict)
    last: Scores = field(default_factory=dict)
    without_gain: int = 0
    window_loss: float = 0.0
    window_rows: int = 0
    finished: bool = False


def seed_everything(seed: int) -> None:
    """Seed Paddle's generators and the dropout masks; data order depends on the seed by itself."""
    paddle.seed(seed)
    dropout_masks.seed(seed, distributed.rank())


def fit(job: Job, recipe: TrainingConfig, run: RunFolder) -> Progress:
    """Train, evaluate, keep the best (ties: the earlier step) and the last; returns where it ended.

    The last step is always evaluated. A loss that is not finite ends the run with an InputError;
    what was saved before stays.
    """
    return _Fit(job, recipe, run).go()


class _Fit:
    def __init__(self, job: Job, recipe: TrainingConfig, run: RunFolder) -> None:
        self.job, self.recipe, self.run = job, recipe, run
        self.optimizer: AdamW = make_optimizer(job.model, recipe, job.scales)
        self.amp_type = self._amp_type()
        self.scaler: Any = paddle.amp.GradScaler() if self.amp_type == "float16" else None
        self.progress = Progress()
        self.curves = Curves(run.path)
        accumulation = recipe.gradient_accumulation_steps
        self.epoch_steps = math.ceil(len(job.batches(0)) / accumulation)
        self.total = recipe.max_steps or math.ceil(self.epoch_steps * recipe.num_train_epochs)
        self.warmup = warmup_steps(recipe, self.total)
        self.every = recipe.save_steps or self.epoch_steps
        if run.resumes:
            self._restore()

    def _amp_type(self) -> Literal["", "float16", "bfloat16"]:
        """What --use_amp computes in: bfloat16 where the device has it, else float16 with loss scaling.

        Empty: float32. (Only that was run by the authors' tests: they have no GPU.)
        """
        if not self.recipe.use_amp:
            return ""
        if _on_cpu():
            LOG.info("--use_amp: no effect on a CPU (Paddle's autocast does nothing there); float32 it is")
            return ""
        return "bfloat16" if paddle.amp.is_bfloat16_supported() else "float16"

    def go(self) -> Progress:
        LOG.info(f"{self.total} steps, {self.warmup} of them warm-up; {self.epoch_steps} an epoch")
        if self.warmup >= self.total > 0:
            LOG.warning(
                f"warning: the warm-up of {self.warmup} steps takes the whole run: "
                "the learning rate never comes to its peak"
            )
        bar = tqdm(total=self.total, initial=self.progress.step, unit="step", disable=not sys.stderr.isatty())
        rows_seen, seconds = 0, 0.0
        while self.progress.step < self.total and not self.progress.finished:
            epoch, position = divmod(self.progress.step, self.epoch_steps)
            batches = self.job.batches(epoch)
            accumulation = self.recipe.gradient_accumulation_steps
            for start in range(position * accumulation, len(batches), accumulation):
                started = time.monotonic()
                rows_seen += self._step(batches[start : start + accumulation])
                seconds += time.monotonic() - started
                bar.update()
                if self.progress.step % self.recipe.logging_steps == 0:
                    self._log(rows_seen / seconds)
                last = self.progress.step >= self.total
                if last or self.progress.step % self.every == 0:
                    self._evaluate_and_save()
                if last or self.progress.finished:
                    break
        bar.close()
        return self.progress

    def _step(self, batches: Sequence[Any]) -> int:
        """One step on one or more accumulated batches, every row weighing alike; returns the rows."""
        self.job.model.train()
        if not _on_cpu():  # dropout there draws from Paddle's generator: no state of it needs to be kept
            paddle.seed(hash((self.recipe.seed, distributed.rank(), self.progress.step)) % 2**31)
        rows = int(distributed.all_reduce(sum(self.job.size(batch) for batch in batches)))
        rate = self.recipe.learning_rate * factor(
            self.progress.step, self.warmup, self.total, self.recipe.scheduler_type
        )
        self.optimizer.set_lr(rate)
        total = 0.0
        for batch in batches:
            backward = partial(self._backward, batch, rows)
            total += self.job.adversary.both(backward) if self.job.adversary else backward()
        total = distributed.all_reduce(total)
        if not math.isfinite(total):
            raise InputError(
                f"the loss became {total} in step {self.progress.step + 1}; try a smaller --learning_rate"
            )
        distributed.add_gradients(self.job.model.parameters())
        self.scaler.step(self.optimizer) if self.scaler else self.optimizer.step()
        if self.scaler:
            self.scaler.update()
        self.optimizer.clear_grad()
        self.progress.step += 1
        if self.job.average:
            self.job.average.update(self.progress.step)
        self.progress.window_loss += total * rows
        self.progress.window_rows += rows
        return rows

    def _backward(self, batch: Any, rows: int) -> float:
        """Add one batch's gradients; returns its share of the step's mean loss."""
        with paddle.amp.auto_cast(enable=bool(self.amp_type), dtype=self.amp_type or "float16"):
            loss = self.job.loss(batch) / rows
        (self.scaler.scale(loss) if self.scaler else loss).backward()
        return float(loss)

    def _log(self, rows_per_second: float) -> None:
        progress = self.progress
        loss = progress.window_loss / progress.window_rows
        rate = float(self.optimizer.get_lr())
        progress.window_loss, progress.window_rows = 0.0, 0
        epoch = progress.step / self.epoch_steps
        line = {"step": progress.step, "epoch": round(epoch, 4), "loss": loss, "learning_rate": rate}
        self.run.add_history(line)
        self.curves.add("train/loss", loss, progress.step)
        self.curves.add("train/learning_rate", rate, progress.step)
        LOG.info(
            f"step {progress.step}/{self.total}  epoch {epoch:.2f}  loss {loss:.4f}  "
            f"rate {rate:.2e}  {rows_per_second:.0f} {self.job.unit}/s"
        )

    def _evaluate_and_save(self) -> None:
        if not self.job.average:
            self._evaluate()
            self._save({})
            return
        with self.job.average.in_force() as raw:
            self._evaluate()
            self._save(raw)

    def _evaluate(self) -> None:
        progress = self.progress
        self.job.model.eval()
        with paddle.no_grad():
            scores = {"step": progress.step, **self.job.evaluate()}
        self.run.add_history({"step": progress.step, "evaluation": scores})
        for name, value in scores.items():
            self.curves.add(f"dev/{name}", value, progress.step)
        said = self.job.said({name: value for name, value in scores.items() if name != "step"})
        LOG.info(f"step {progress.step}  dev  {said}")
        progress.last = scores
        if not progress.best or scores["main"] > progress.best["main"]:
            progress.best, progress.without_gain = scores, 0
            self.run.save_best(self.job.write_best or self.job.write_model)
        else:
            progress.without_gain += 1
            patience = self.recipe.early_stopping_patience
            if patience and progress.without_gain >= patience:
                LOG.info(f"no better score in {patience} evaluations: stopping at step {progress.step}")
                progress.finished = True
        progress.finished = progress.finished or progress.step >= self.total

    def _save(self, raw_weights: dict[str, np.ndarray]) -> None:
        """Write ``last/``; raw_weights: those that training goes on from, where the model holds averages."""
        state = {
            **vars(self.progress),
            "total": self.total,
            "masks": distributed.all_gather(_plain(dropout_masks.state())),
            "loss_scale": _listed(self.scaler.state_dict()) if self.scaler else {},
        }
        arrays = {**optimizer_arrays(self.job.model, self.optimizer), **raw_weights}
        self.run.save_last(self.job.write_model, state, arrays)
        self.run.write_scores(self.job.task, self.job.main, self.progress.best, self.progress.last)

    def _restore(self) -> None:
        """Take up optimiser, position and random state; the weights are in the model already."""
        state, moments = self.run.read_state()
        if state.get("total") != self.total:
            raise InputError(
                f"{self.run.source}: that run was to take {state.get('total')} steps, this one {self.total}; "
                "resume with the settings it was begun with"
            )
        try:
            if self.job.average:
                moments = self.job.average.restore(moments)
            restore_optimizer(self.job.model, self.optimizer, moments)
            if self.scaler:
                self.scaler.load_state_dict(state["loss_scale"])
            dropout_masks.set_state(_unplain(state["masks"][distributed.rank()]))
            self.progress = Progress(**{key: state[key] for key in vars(Progress())})
            if not 0 <= self.progress.step <= self.total or not self.progress.last:
                raise ValueError(f"step {self.progress.step}")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{self.run.source}: is not the state of this run: {error!r}") from None
        self.run.cut_history(self.progress.step)
        self.run.write_scores(self.job.task, self.job.main, self.progress.best, self.progress.last)
        LOG.info(f"resuming after step {self.progress.step}")


def _on_cpu() -> bool:
    return bool(paddle.get_device().startswith("cpu"))


def _listed(state: dict[str, Any]) -> dict[str, Any]:
    """A loss scaler's state, arrays and plain numbers, as JSON can hold it."""
    return {key: np.asarray(value).tolist() for key, value in state.items()}


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """A NumPy generator's state as JSON can hold it."""
    return {**state, "state": _listed(state["state"])}


def _unplain(state: dict[str, Any]) -> dict[str, Any]:
    inner = {key: np.array(value, dtype=np.uint64) for key, value in state["state"].items()}
    return {**state, "state": inner}


__all__ = ["Job", "Progress", "WriteModel", "fit", "seed_everything"]
