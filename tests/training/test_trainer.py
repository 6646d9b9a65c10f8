"""fit() on a small regression whose every step can be followed."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import InputError
from encoders.framework import paddle
from encoders.layers import Dropout
from training.config import TrainingConfig
from training.run_folder import RunFolder
from training.trainer import TrainerState, TrainingJob, fit, seed_everything

PLAIN = TrainingConfig(
    learning_rate=0.05, warmup_proportion=0.0, weight_decay=0.0, max_grad_norm=0.0, num_train_epochs=2.0
)


@dataclass(frozen=True)
class Rows:
    x: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


class Line(paddle.nn.Layer):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.weight = self.create_parameter([3, 1])
        self.dropout = Dropout(dropout)
        self.weight.set_value(np.array([[1.0], [-1.0], [2.0]], dtype=np.float32))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return paddle.matmul(self.dropout(x), self.weight)


def rows(*sizes: int) -> list[Rows]:
    draw = np.random.default_rng(0)
    return [Rows(draw.normal(size=(size, 3)).astype(np.float32)) for size in sizes]


def job(model: Line, batches: list[Rows], mains: list[float] | None = None) -> TrainingJob:
    """mains: what the evaluations score, one after the other; by default the negative weight norm."""
    left = list(mains or [])

    def evaluate() -> dict[str, float]:
        assert not model.training
        return {"main": left.pop(0) if mains else -float((model.weight**2).sum())}

    def write_model(folder: Path) -> None:
        np.save(folder / "weight.npy", model.weight.numpy())

    def loss(batch: Rows) -> paddle.Tensor:
        return (model(paddle.to_tensor(batch.x)) ** 2).sum()

    return TrainingJob(
        model, lambda epoch: batches, loss, evaluate, write_model, {"weight": 1.0}, "toy", "score"
    )


def train(the_job: TrainingJob, config: TrainingConfig, folder: Path, resume: bool = False) -> TrainerState:
    with RunFolder(folder, resume=resume) as run:
        if not run.resumes:
            run.write_args({})
        return fit(the_job, config, run)


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def evaluations(folder: Path) -> list[int]:
    return [line["step"] for line in history(folder) if "evaluation" in line]


def test_evaluates_every_epoch_and_the_last_step_always(tmp_path: Path) -> None:
    train(job(Line(), rows(2, 2, 2)), replace(PLAIN, num_train_epochs=2.5), tmp_path)
    assert evaluations(tmp_path) == [3, 6, 8]  # 3 steps an epoch, ceil(7.5) in all


def test_evaluates_every_save_steps_and_the_last_step_once(tmp_path: Path) -> None:
    train(job(Line(), rows(2, 2, 2)), replace(PLAIN, save_steps=2), tmp_path)
    assert evaluations(tmp_path) == [2, 4, 6]


def test_max_steps_wins_over_epochs(tmp_path: Path) -> None:
    train(job(Line(), rows(2, 2, 2)), replace(PLAIN, max_steps=4), tmp_path)
    assert evaluations(tmp_path) == [3, 4]


def test_best_is_the_highest_and_of_equals_the_earliest(tmp_path: Path) -> None:
    model = Line()
    state = train(job(model, rows(2), [0.1, 0.7, 0.7, 0.3]), replace(PLAIN, num_train_epochs=4.0), tmp_path)
    assert (state.best["step"], state.last["step"]) == (2, 4)
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores == {
        "task": "toy", "main": "score",
        "best": {"step": 2, "main": 0.7}, "last": {"step": 4, "main": 0.3},
    }  # fmt: skip
    last = np.load(tmp_path / "last" / "weight.npy")
    assert np.array_equal(last, model.weight.numpy())
    assert not np.array_equal(np.load(tmp_path / "best" / "weight.npy"), last)


def log_of(folder: Path) -> str:
    return (folder / "train.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(("warmup", "warned"), [(5, False), (6, True), (7, True)])
def test_a_warm_up_that_takes_the_whole_run_is_said(tmp_path: Path, warmup: int, warned: bool) -> None:
    train(job(Line(), rows(2, 2, 2)), replace(PLAIN, warmup_steps=warmup), tmp_path)
    message = f"the warm-up of {warmup} steps takes the whole run"
    assert log_of(tmp_path).count("warning") == log_of(tmp_path).count(message) == warned


def test_the_log_has_the_scores_as_the_job_says_them(tmp_path: Path) -> None:
    a_job = job(Line(), rows(2), [0.25])
    train(a_job, replace(PLAIN, max_steps=1), tmp_path / "plain")
    assert log_of(tmp_path / "plain").endswith("step 1  dev  main 0.2500\n")
    as_percent = replace(
        job(Line(), rows(2), [0.25]), format_scores=lambda scores: f"{scores['main']:.0%} {len(scores)}"
    )
    train(as_percent, replace(PLAIN, max_steps=1), tmp_path / "own")
    assert log_of(tmp_path / "own").endswith("step 1  dev  25% 1\n")


def test_early_stopping_counts_evaluations_without_gain(tmp_path: Path) -> None:
    mains = [0.5, 0.4, 0.6, 0.6, 0.5, 0.9]
    config = replace(PLAIN, num_train_epochs=6.0, early_stopping_patience=2)
    state = train(job(Line(), rows(2), mains), config, tmp_path)
    assert evaluations(tmp_path) == [1, 2, 3, 4, 5]
    assert state.best["step"] == 3


def test_accumulated_uneven_batches_equal_one_batch(tmp_path: Path) -> None:
    """Every row weighs alike: 5 + 1 rows accumulated give the step of the 6 rows at once."""
    parts = rows(5, 1)
    whole = [Rows(np.concatenate([part.x for part in parts]))]
    config = replace(PLAIN, num_train_epochs=3.0, max_grad_norm=1.0)
    first, second = Line(), Line()
    train(job(first, parts), replace(config, gradient_accumulation_steps=2), tmp_path / "a")
    train(job(second, whole), config, tmp_path / "b")
    np.testing.assert_allclose(first.weight.numpy(), second.weight.numpy(), atol=1e-6)
    assert evaluations(tmp_path / "a") == evaluations(tmp_path / "b") == [1, 2, 3]


def test_logged_loss_is_the_mean_over_the_rows_since_the_last_log(tmp_path: Path) -> None:
    batches = rows(4, 1, 3)
    frozen = replace(PLAIN, learning_rate=0.0, num_train_epochs=1.0, logging_steps=2)
    train(job(Line(), batches), frozen, tmp_path)
    lines = [line for line in history(tmp_path) if "loss" in line]
    assert [line["step"] for line in lines] == [2, 3]  # every second step, and the last one
    for line, since in zip(lines, (batches[:2], batches[2:]), strict=True):
        x = np.concatenate([batch.x for batch in since]).astype(np.float64)
        assert line["loss"] == pytest.approx(float(((x @ [1.0, -1.0, 2.0]) ** 2).mean()), rel=1e-6)


def test_rates_of_the_steps_are_those_of_the_schedule(tmp_path: Path) -> None:
    config = replace(PLAIN, learning_rate=1.0, warmup_steps=2, max_steps=6, logging_steps=1)
    train(job(Line(), rows(2, 2)), config, tmp_path)
    rates = [line["learning_rate"] for line in history(tmp_path) if "loss" in line]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.75, 0.5, 0.25])


def test_a_loss_that_is_not_finite_stops_and_keeps_what_was_saved(tmp_path: Path) -> None:
    batches = [*rows(2), Rows(np.full((2, 3), np.nan, dtype=np.float32))]
    model = Line()
    with pytest.raises(InputError, match=r"the loss became nan in step 2; .*--learning_rate"):
        train(job(model, batches), replace(PLAIN, save_steps=1), tmp_path)
    saved = np.load(tmp_path / "last" / "weight.npy")
    assert np.isfinite(saved).all()
    assert np.array_equal(saved, model.weight.numpy())  # the bad step changed nothing


def test_resumed_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    config = replace(PLAIN, num_train_epochs=3.0, save_steps=2, logging_steps=3, warmup_steps=2)
    batches = rows(4, 4, 4)

    def start(folder: Path, resume: bool, stop_after: int | None = None) -> Line:
        seed_everything(config.seed)
        model = Line(dropout=0.3)
        the_job = job(model, batches)
        if resume:
            model.weight.set_value(np.load(folder / "last" / "weight.npy"))
        if stop_after is not None:
            steps = iter(range(10**6))
            inner = the_job.loss

            def loss(batch: Rows) -> paddle.Tensor:
                if next(steps) == stop_after:
                    raise KeyboardInterrupt
                return inner(batch)

            the_job = replace(the_job, loss=loss)
        if stop_after is None:
            train(the_job, config, folder, resume)
        else:
            with pytest.raises(KeyboardInterrupt):
                train(the_job, config, folder, resume)
        return model

    straight = start(tmp_path / "straight", resume=False)
    for stop in (1, 2, 5, 8):
        folder = tmp_path / f"cut{stop}"
        start(folder, resume=False, stop_after=stop)
        resumed = start(folder, resume=(folder / "last").is_dir()) if stop > 1 else None
        if resumed is None:  # nothing was saved yet: --resume begins anew
            with RunFolder(folder, resume=True) as run:
                assert not run.resumes
            continue
        assert np.array_equal(resumed.weight.numpy(), straight.weight.numpy()), stop
        assert history(folder) == history(tmp_path / "straight")
        assert (folder / "scores.json").read_text(encoding="utf-8") == (
            tmp_path / "straight" / "scores.json"
        ).read_text(encoding="utf-8")


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    train(job(Line(), rows(2, 2)), replace(PLAIN, save_steps=1), tmp_path)
    with pytest.raises(InputError, match="was to take 4 steps, this one 6"):
        train(job(Line(), rows(2, 2)), replace(PLAIN, num_train_epochs=3.0), tmp_path, resume=True)


def test_seeds_decide_the_masks() -> None:
    def draw(seed: int) -> np.ndarray:
        seed_everything(seed)
        layer = Dropout(0.5)
        layer.train()
        return layer(paddle.ones([64])).numpy()

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))
    assert math.isclose(draw(1).max(), 2.0)
