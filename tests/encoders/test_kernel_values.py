"""The compiled functions on tensors that are not contiguous, and on the values at the ends of float32."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from checkpoints.network import load_classifier
from encoders import ops
from encoders.cpu import compiled, dropout_masks, kernels
from encoders.framework import paddle
from tests.encoders.outcomes import (
    add_norm,
    assert_same,
    attention,
    depthwise,
    linear_of,
    mask_of,
    outcome,
    span,
    tensor,
)
from training.config import TrainingConfig
from training.optimizer import make_optimizer

F = paddle.nn.functional
pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler here, or none that fits")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before, flag = dropout_masks.state(), paddle.get_flags("FLAGS_use_stride_kernel")
    yield
    dropout_masks.set_state(before)
    paddle.set_flags(flag)


@pytest.fixture(scope="module")
def model(golden_dir: Path) -> paddle.nn.Layer:
    network = load_classifier(golden_dir / "convbert_small")
    network.eval()
    return network


def test_transposed_tensors_with_stride_kernels(
    model: paddle.nn.Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flag is switched on after the library was loaded."""
    assert kernels.library() is not None
    paddle.set_flags({"FLAGS_use_stride_kernel": True})
    turned = [tensor(6, 7, 2), tensor(6, 3)]
    assert not turned[0].transpose([2, 1, 0]).is_contiguous()
    assert_same(monkeypatch, lambda x, w: depthwise(x.transpose([2, 1, 0]), w.transpose([1, 0])), *turned)
    assert_same(monkeypatch, lambda x: activated(x.transpose([2, 1, 0])), turned[0])
    assert_same(monkeypatch, lambda x: narrow(x)[1:], tensor(3, 8, 6))
    # Gradients that come back transposed.
    assert_same(monkeypatch, lambda x: activated(x).transpose([1, 0]), tensor(7, 6))
    assert_same(
        monkeypatch, lambda x, y: add_norm(x, y).transpose([2, 0, 1]), tensor(2, 7, 8), tensor(2, 7, 6)
    )
    heads = [tensor(2, 7, 3, 4, seed=seed) for seed in (1, 2)]
    assert_same(monkeypatch, turned_attention, *heads)
    ids = paddle.to_tensor(np.random.default_rng(1).integers(1, 20, size=(4, 10)))
    for mask in (None, mask_of((4, 10), "tail"), mask_of((4, 10), "hole")):
        assert_same(monkeypatch, lambda ids, mask=mask: model(ids, paddle.zeros_like(ids), mask), ids)


def activated(x: paddle.Tensor) -> paddle.Tensor:
    return ops.linear_activation(x, linear_of(6, 8), F.gelu)


def turned_attention(*parts: paddle.Tensor) -> paddle.Tensor:
    return attention(*(x.transpose([0, 2, 1, 3]) for x in parts)).transpose([3, 1, 0, 2])


def narrow(x: paddle.Tensor) -> paddle.Tensor:
    return depthwise(x[1:, 2:], paddle.ones([3, 6]))


@pytest.mark.parametrize("turned", ["gradient", "parameter"])
def test_an_optimisers_step_on_transposed_tensors(turned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paddle.set_flags({"FLAGS_use_stride_kernel": True})

    def stepped() -> np.ndarray:
        layer = linear_of(6, 8)
        if turned == "parameter":
            make = paddle.base.framework.EagerParamBase.from_tensor
            layer.weight = make(tensor(8, 6).detach().transpose([1, 0]))
        optimizer = make_optimizer(layer, TrainingConfig(learning_rate=0.1), {"weight": 1.0, "bias": 1.0})
        y = F.linear(tensor(3, 8).detach(), layer.weight.transpose([1, 0]))
        (y * tensor(3, 6, seed=1)).sum().backward()
        tensors = {"gradient": layer.weight.grad, "parameter": layer.weight}
        assert not tensors[turned].is_contiguous()
        optimizer.step()
        return layer.weight.numpy()

    actual = stepped()
    monkeypatch.setattr(kernels, "library", lambda: None)
    np.testing.assert_allclose(actual, stepped(), rtol=1e-5, atol=1e-6)


ENDS = [np.nan, np.inf, -np.inf, 1e38, -1e38, 3e30, -3e30, 100.0, -100.0, 1e-45]


def with_value(x: paddle.Tensor, value: float) -> paddle.Tensor:
    """In the third place of the last axis, of the first row."""
    values = x.numpy()
    values[(0,) * (values.ndim - 1) + (2,)] = value
    return paddle.to_tensor(values, stop_gradient=False)


@pytest.mark.parametrize("value", ENDS)
def test_gelu_at_the_ends_of_float32(value: float) -> None:
    x, zeros = with_value(tensor(2, 70), value), paddle.zeros([70])
    zeros.stop_gradient = False
    actual, wanted = (
        outcome(compiled.Gelu.apply, x, zeros),
        outcome(lambda y, bias: F.gelu(y + bias), x, zeros),
    )
    for ours, theirs in zip(actual, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", ENDS)
def test_softmax_at_the_ends_of_float32(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both softmaxes, without their gradients: at 1e38 the plain form's are noise."""

    def alone(function: Callable[..., paddle.Tensor]) -> Callable[..., paddle.Tensor]:
        return lambda *parts: function(*parts).detach()

    scores = with_value(tensor(2, 7, 3, 5, seed=1), value)
    query, key = with_value(tensor(2, 3, 7, 4), value), tensor(2, 3, 7, 4, seed=1)
    for actual in (
        assert_same(monkeypatch, alone(span), tensor(2, 7, 4), scores, tensor(2, 7, 5)),
        assert_same(monkeypatch, alone(attention), query, key),
    ):
        assert np.isnan(actual[0]).any() or not np.isnan(value)
