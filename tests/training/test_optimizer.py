"""AdamW step by step against its formula in float64, written out here."""

import numpy as np
import pytest

from encoders.cpu import kernels
from encoders.framework import paddle
from training.config import TrainingConfig
from training.optimizer import AdamW, is_decayed, make_optimizer, optimizer_arrays, restore_optimizer

SCALES = {"weight": 0.5, "bias": 1.0}


class Toy(paddle.nn.Layer):
    """Two parameters whose gradients are constants times themselves: loss = Σ weight² + Σ 3·bias."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = self.create_parameter([2])
        self.bias = self.create_parameter([2], is_bias=True)
        self.weight.set_value(np.array([0.5, -2.0], dtype=np.float32))
        self.bias.set_value(np.array([1.0, -1.0], dtype=np.float32))

    def loss(self) -> paddle.Tensor:
        return (self.weight**2).sum() + (3 * self.bias).sum()


def by_formula(recipe: TrainingConfig, steps: int) -> dict[str, np.ndarray]:
    values = {"weight": np.array([0.5, -2.0]), "bias": np.array([1.0, -1.0])}
    mean = {name: np.zeros(2) for name in values}
    square = {name: np.zeros(2) for name in values}
    for step in range(1, steps + 1):
        gradients = {"weight": 2 * values["weight"], "bias": np.array([3.0, 3.0])}
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        shrink = min(1.0, recipe.max_grad_norm / norm) if recipe.max_grad_norm else 1.0
        for name, value in values.items():
            gradient = gradients[name] * shrink
            mean[name] = recipe.adam_beta1 * mean[name] + (1 - recipe.adam_beta1) * gradient
            square[name] = recipe.adam_beta2 * square[name] + (1 - recipe.adam_beta2) * gradient**2
            first = 1 - recipe.adam_beta1**step if recipe.bias_correction else 1
            second = 1 - recipe.adam_beta2**step if recipe.bias_correction else 1
            update = (mean[name] / first) / (np.sqrt(square[name] / second) + recipe.adam_epsilon)
            decay = recipe.weight_decay if name == "weight" else 0
            values[name] = value - recipe.learning_rate * SCALES[name] * (update + decay * value)
    return values


@pytest.mark.parametrize("bias_correction", [True, False])
@pytest.mark.parametrize("max_grad_norm", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_five_steps(bias_correction: bool, max_grad_norm: float, weight_decay: float) -> None:
    recipe = TrainingConfig(
        learning_rate=0.1,
        bias_correction=bias_correction,
        max_grad_norm=max_grad_norm,
        weight_decay=weight_decay,
        adam_epsilon=1e-3,  # large, so that a misplaced epsilon shows
    )
    model = Toy()
    optimizer = make_optimizer(model, recipe, SCALES)
    for _ in range(5):
        model.loss().backward()
        optimizer.step()
        optimizer.clear_grad()
    for name, wanted in by_formula(recipe, 5).items():
        np.testing.assert_allclose(getattr(model, name).numpy(), wanted, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("bias_correction", [True, False])
@pytest.mark.parametrize("max_grad_norm", [0.0, 1.0])
def test_the_compiled_step_is_paddles(
    bias_correction: bool, max_grad_norm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels.library() is None:
        pytest.skip("no compiler here, or none that fits")
    recipe = TrainingConfig(
        learning_rate=0.01, max_grad_norm=max_grad_norm, bias_correction=bias_correction, weight_decay=0.1
    )

    def run() -> dict[str, np.ndarray]:
        draw = np.random.default_rng(0)
        layer = paddle.nn.Linear(300, 500)  # more than one thread's share
        layer.weight.set_value(draw.normal(size=(300, 500)).astype(np.float32))
        optimizer = make_optimizer(layer, recipe, SCALES)
        for _ in range(3):
            (layer(paddle.to_tensor(draw.normal(size=(4, 300)).astype(np.float32))) ** 2).mean().backward()
            optimizer.step()
            optimizer.clear_grad()
        actual = {name: parameter.numpy() for name, parameter in layer.named_parameters()}
        return {**actual, **optimizer_arrays(layer, optimizer)}

    steps = []
    compiled_step = AdamW._compiled_step
    monkeypatch.setattr(
        AdamW, "_compiled_step", lambda self, pairs: (steps.append(1), compiled_step(self, pairs))
    )
    compiled = run()
    assert len(steps) == 3
    monkeypatch.setattr(kernels, "library", lambda: None)
    paddles = run()
    assert len(steps) == 3
    assert compiled.keys() == paddles.keys()
    for name, wanted in paddles.items():
        np.testing.assert_allclose(compiled[name], wanted, rtol=1e-5, atol=1e-6, err_msg=name)


def test_first_uncorrected_step_by_hand() -> None:
    # Gradient g = 3: m = 0.3, v = 0.009, √v = 0.0948683; step = 0.1 · 0.3 / 0.0958683 = 0.312930.
    recipe = TrainingConfig(learning_rate=0.1, bias_correction=False, max_grad_norm=0.0, adam_epsilon=1e-3)
    model = Toy()
    optimizer = make_optimizer(model, recipe, SCALES)
    model.loss().backward()
    optimizer.step()
    np.testing.assert_allclose(model.bias.numpy(), [0.687070, -1.312930], atol=1e-5)


@pytest.mark.parametrize("bias_correction", [True, False])
def test_restored_moments_go_on_as_if_never_left(bias_correction: bool) -> None:
    recipe = TrainingConfig(learning_rate=0.1, bias_correction=bias_correction)

    def steps(model: Toy, optimizer: object, count: int) -> None:
        for _ in range(count):
            model.loss().backward()
            optimizer.step()
            optimizer.clear_grad()

    straight = Toy()
    steps(straight, make_optimizer(straight, recipe, SCALES), 6)
    first, second = Toy(), Toy()
    optimizer = make_optimizer(first, recipe, SCALES)
    steps(first, optimizer, 3)
    for name, parameter in second.named_parameters():
        parameter.set_value(dict(first.named_parameters())[name].numpy())
    resumed = make_optimizer(second, recipe, SCALES)
    restore_optimizer(second, resumed, optimizer_arrays(first, optimizer))
    steps(second, resumed, 3)
    for name, parameter in straight.named_parameters():
        assert np.array_equal(parameter.numpy(), dict(second.named_parameters())[name].numpy()), name


@pytest.mark.parametrize(
    ("name", "decayed"),
    [
        ("encoder.embeddings.word.weight", True),
        ("encoder.embeddings.norm.weight", False),
        ("encoder.layers.0.attention.norm.bias", False),
        ("encoder.layers.0.attention.query.bias", False),
        ("encoder.layers.0.attention.span_conv.depthwise", True),
        ("encoder.layers.0.attention.span_conv.bias", False),
        ("head.projection.weight", True),
    ],
)
def test_what_weight_decay_spares(name: str, decayed: bool) -> None:
    assert is_decayed(name) is decayed
