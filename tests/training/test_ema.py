"""The average of the weights against its sum written out, and what a run with it saves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from common.errors import InputError
from encoders.framework import paddle
from training.config import FineTuningConfig
from training.regularization.ema import EMA
from training.run_folder import RunFolder
from training.trainer import TrainingJob, fit

DECAY = 0.9
CONFIG = FineTuningConfig(
    learning_rate=0.1, warmup_proportion=0.0, weight_decay=0.0, max_grad_norm=0.0, save_steps=2, max_steps=5,
    ema=DECAY,
)  # fmt: skip


class Point(paddle.nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.place = self.create_parameter([3])
        self.place.set_value(np.array([1.0, -2.0, 3.0], dtype=np.float32))


def averaged(weights: list[np.ndarray]) -> np.ndarray:
    """Kingma & Ba, section 7.2: (1 − d) Σ dᵗ⁻ⁱ θᵢ, divided by 1 − dᵗ."""
    count = len(weights)
    shares = [(1 - DECAY) * DECAY ** (count - i) for i in range(1, count + 1)]
    total = sum(share * weight.astype(float) for share, weight in zip(shares, weights, strict=True))
    return np.asarray(total / (1 - DECAY**count))


def job(model: Point, evaluated: list[np.ndarray]) -> TrainingJob:
    """evaluated: takes up the weights of every evaluation; the score is the highest first."""

    def evaluate() -> dict[str, float]:
        evaluated.append(model.place.numpy())
        return {"main": -float(len(evaluated))}

    def write_model(folder: Path) -> None:
        np.save(folder / "place.npy", model.place.numpy())

    return TrainingJob(
        model, lambda epoch: [[0]], lambda batch: (model.place**2).sum(), evaluate, write_model,
        {"place": 1.0}, "toy", "score",
    )  # fmt: skip


def train(the_job: TrainingJob, folder: Path, resume: bool = False, ema: float = DECAY) -> None:
    with RunFolder(folder, resume=resume) as run:
        if not run.resumes:
            run.write_args({})
        fit(the_job, replace(CONFIG, ema=ema), run)


def raw_weights(steps: int) -> list[np.ndarray]:
    """The weights after each step, of the same run without an average."""
    from training.optimizer import make_optimizer
    from training.schedule import factor

    model = Point()
    optimizer = make_optimizer(model, CONFIG, {"place": 1.0})
    weights = []
    for step in range(steps):
        optimizer.set_lr(CONFIG.learning_rate * factor(step, 0, CONFIG.max_steps, "linear"))
        (model.place**2).sum().backward()
        optimizer.step()
        optimizer.clear_grad()
        weights.append(model.place.numpy())
    return weights


def test_what_is_evaluated_and_saved_is_the_average_and_training_goes_on_from_the_raw(tmp_path: Path) -> None:
    model, evaluated = Point(), list[np.ndarray]()
    train(job(model, evaluated), tmp_path)
    raw = raw_weights(5)
    assert np.array_equal(model.place.numpy(), raw[-1])  # the average changed nothing in training
    for actual, steps in zip(evaluated, (2, 4, 5), strict=True):
        np.testing.assert_allclose(actual, averaged(raw[:steps]), rtol=1e-6)
    assert np.array_equal(np.load(tmp_path / "best" / "place.npy"), evaluated[0])
    assert np.array_equal(np.load(tmp_path / "last" / "place.npy"), evaluated[-1])
    kept = safetensors.numpy.load_file(tmp_path / "last" / "optimizer.safetensors")
    assert np.array_equal(kept["place:weight"], raw[-1])


def test_after_one_step_it_is_the_weights_themselves() -> None:
    model = Point()
    average = EMA(model, 0.999)
    model.place.set_value(np.array([5.0, 6.0, 7.0], dtype=np.float32))
    average.update(1)
    with average.swapped_in():
        np.testing.assert_allclose(model.place.numpy(), [5, 6, 7], rtol=1e-6)


def test_the_raw_weights_come_back_also_after_a_fault() -> None:
    model = Point()
    average = EMA(model, DECAY)
    model.place.set_value(np.array([5.0, 6.0, 7.0], dtype=np.float32))

    def fail() -> None:
        with average.swapped_in():
            assert model.place.numpy().tolist() == [1.0, -2.0, 3.0]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert model.place.numpy().tolist() == [5.0, 6.0, 7.0]


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    straight, cut, resumed = Point(), Point(), Point()
    train(job(straight, []), tmp_path / "straight")
    whole = job(cut, [])
    losses = iter([whole.loss] * 3)  # stops in the fourth step, after the save of the second
    with pytest.raises(StopIteration):
        train(replace(whole, loss=lambda batch: next(losses)(batch)), tmp_path / "cut")
    resumed.place.set_value(np.load(tmp_path / "cut" / "last" / "place.npy"))
    train(job(resumed, [np.zeros(3)]), tmp_path / "cut", resume=True)
    assert np.array_equal(resumed.place.numpy(), straight.place.numpy())
    for name in ("last/place.npy", "last/optimizer.safetensors", "best/place.npy", "scores.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name


@pytest.mark.parametrize("fault", ["missing", "another shape"])
def test_raw_weights_that_do_not_fit_are_refused(fault: str) -> None:
    arrays = {} if fault == "missing" else {"place:weight": np.zeros(2, dtype=np.float32)}
    with pytest.raises(ValueError, match="place:weight is missing or of another shape"):
        EMA(Point(), DECAY).restore(arrays)


def test_a_run_without_an_average_cannot_be_resumed_with_one(tmp_path: Path) -> None:
    train(job(Point(), []), tmp_path, ema=0.0)
    message = r"is not the state of this run: .*place:weight is missing"
    with pytest.raises(InputError, match=message):
        train(job(Point(), []), tmp_path, resume=True)
