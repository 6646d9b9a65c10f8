"""Linear against Paddle's own, and what Dropout promises of its masks."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from encoders.cpu import dropout_masks
from encoders.framework import paddle
from encoders.layers import Dropout, Linear


@pytest.fixture(autouse=True)
def known_masks() -> Iterator[None]:
    """The same masks in every test, and nothing of them left for others."""
    before = dropout_masks.state()
    dropout_masks.seed(5)
    yield
    dropout_masks.set_state(before)


# --- Linear ---------------------------------------------------------------------------------------


def linear_pair(width_in: int, width_out: int) -> tuple[Linear, paddle.nn.Linear]:
    """Ours and Paddle's in float64, with the same random parameters."""
    draw = np.random.default_rng(0)
    ours, theirs = Linear(width_in, width_out), paddle.nn.Linear(width_in, width_out)
    for layer in (ours, theirs):
        layer.to(dtype="float64")
    weight, bias = draw.normal(size=(width_in, width_out)), draw.normal(size=width_out)
    for layer in (ours, theirs):
        layer.weight.set_value(weight)
        layer.bias.set_value(bias)
    return ours, theirs


def value_and_gradients(layer: paddle.nn.Linear, x: np.ndarray) -> list[np.ndarray]:
    layer.clear_gradients()
    tensor = paddle.to_tensor(x, stop_gradient=False)
    out = layer(tensor)
    weights = np.cos(np.arange(out.size, dtype=np.float64)).reshape(out.shape)
    (out * paddle.to_tensor(weights)).sum().backward()
    return [out.numpy(), tensor.grad.numpy(), layer.weight.grad.numpy(), layer.bias.grad.numpy()]


@pytest.mark.parametrize("shape", [(7, 5), (1, 5), (3, 4, 5), (2, 1, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("width_out", [6, 1])
def test_linear_equals_paddles(shape: tuple[int, ...], width_out: int) -> None:
    ours, theirs = linear_pair(5, width_out)
    x = np.random.default_rng(1).normal(size=shape)
    for actual, wanted in zip(value_and_gradients(ours, x), value_and_gradients(theirs, x), strict=True):
        assert actual.shape == wanted.shape
        np.testing.assert_allclose(actual, wanted, atol=1e-12, rtol=0)


def test_linear_by_hand() -> None:
    layer = Linear(2, 2)
    layer.weight.set_value(np.array([[1, 2], [3, 4]], dtype=np.float32))
    layer.bias.set_value(np.array([10, 20], dtype=np.float32))
    x = paddle.to_tensor([[[1.0, 1.0], [0.0, 2.0]]], stop_gradient=False)
    out = layer(x)
    assert out.tolist() == [[[14, 26], [16, 28]]]
    (out * paddle.to_tensor([[[1.0, 0.0], [0.0, 10.0]]])).sum().backward()
    assert x.grad.tolist() == [[[1, 3], [20, 40]]]
    assert layer.weight.grad.tolist() == [[1, 0], [1, 20]]
    assert layer.bias.grad.tolist() == [1, 10]


def test_linear_without_gradients_gives_the_same_values() -> None:
    ours, _ = linear_pair(5, 6)
    x = paddle.to_tensor(np.random.default_rng(1).normal(size=(3, 4, 5)))
    with paddle.no_grad():
        without = ours(x).numpy()
    np.testing.assert_allclose(without, ours(x).numpy(), atol=1e-12, rtol=0)  # of another product's shape


def test_linear_used_twice_adds_its_gradients() -> None:
    # The first time on data, which has no gradient itself.
    ours, theirs = linear_pair(5, 5)
    x = np.random.default_rng(1).normal(size=(3, 5))

    def bias_gradient(layer: paddle.nn.Linear) -> np.ndarray:
        layer.clear_gradients()
        layer(paddle.tanh(layer(paddle.to_tensor(x)))).sum().backward()
        gradient: np.ndarray = layer.bias.grad.numpy()
        return gradient

    np.testing.assert_allclose(bias_gradient(ours), bias_gradient(theirs), atol=1e-12, rtol=0)


def test_linear_without_bias() -> None:
    x = paddle.to_tensor([[2.0, 1.0]], stop_gradient=False)
    layer = Linear(2, 1, bias_attr=False)
    layer.weight.set_value(np.array([[3], [5]], dtype=np.float32))
    layer(x).sum().backward()
    assert (layer(x).tolist(), x.grad.tolist(), layer.weight.grad.tolist()) == ([[11]], [[3, 5]], [[2], [1]])


@pytest.mark.parametrize("frozen", ["weight", "bias", "both"])
def test_linear_with_frozen_parameters(frozen: str) -> None:
    ours, theirs = linear_pair(5, 6)
    x = np.random.default_rng(1).normal(size=(3, 4, 5))
    gradients = []
    for layer in (ours, theirs):
        for name in ("weight", "bias"):
            getattr(layer, name).stop_gradient = frozen in (name, "both")
        tensor = paddle.to_tensor(x, stop_gradient=False)
        (layer(tensor) ** 2).sum().backward()
        actual = [tensor.grad, layer.weight.grad, layer.bias.grad]
        gradients.append([None if gradient is None else gradient.numpy() for gradient in actual])
    for ours_gradient, theirs_gradient in zip(*gradients, strict=True):
        assert (ours_gradient is None) == (theirs_gradient is None)
        if theirs_gradient is not None:
            np.testing.assert_allclose(ours_gradient, theirs_gradient, atol=1e-12, rtol=0)


# --- Dropout --------------------------------------------------------------------------------------


def masks_of(layer: Dropout, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    return [layer(paddle.ones(shape)).numpy() for shape in shapes]


def test_evaluation_is_the_identity() -> None:
    layer = Dropout(0.5)
    layer.eval()
    x = paddle.randn([3, 4])
    before = json.dumps(dropout_masks.state(), default=str)
    assert layer(x) is x
    assert json.dumps(dropout_masks.state(), default=str) == before  # and no mask is drawn


def test_rate_0_is_the_identity_in_training() -> None:
    x = paddle.randn([3, 4])
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_share_scale_and_mean(rate: float) -> None:
    count = 1_000_000
    (mask,) = masks_of(Dropout(rate), (count // 8, 8))
    kept = 1 - round(rate * 65536) / 65536  # the masks' grain
    # Four standard deviations of a share among a million.
    assert abs((mask == 0).mean() - (1 - kept)) < 4 * (rate * (1 - rate) / count) ** 0.5
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / kept)}
    assert abs(mask.mean(dtype=np.float64) - 1) < 4 * (rate / (1 - rate) / count) ** 0.5
    # 1/kept is exact for the share that is really kept: no bias from the rounded rate.
    assert abs(kept - (1 - rate)) <= 0.5 / 65536


def test_every_element_falls_independently() -> None:
    (mask,) = masks_of(Dropout(0.5), (200_000, 4))
    zero = mask == 0
    for first in range(4):
        for second in range(first):
            assert abs((zero[:, first] & zero[:, second]).mean() - 0.25) < 0.005
        assert abs((zero[1:, first] & zero[:-1, first]).mean() - 0.25) < 0.005


@pytest.mark.parametrize("shape", [(1,), (3,), (5, 7), (2, 3, 1), (1, 1)])
def test_sizes_that_are_no_multiple_of_four(shape: tuple[int, ...]) -> None:
    (mask,) = masks_of(Dropout(0.5), shape)
    assert mask.shape == shape
    assert set(np.unique(mask)) <= {0.0, 2.0}


def test_dropped_elements_are_zero_and_the_others_scaled() -> None:
    x = np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32)
    out = Dropout(0.2)(paddle.to_tensor(x)).numpy()
    scale = np.float32(65536 / (65536 - round(0.2 * 65536)))
    np.testing.assert_array_equal(out[out != 0], (x * scale)[out != 0])
    assert 100 < (out == 0).sum() < 300


def test_gradient_passes_the_same_mask() -> None:
    x = paddle.to_tensor(
        np.random.default_rng(0).normal(size=(50, 20)).astype("float32"), stop_gradient=False
    )
    out = Dropout(0.2)(x)
    weights = np.random.default_rng(1).normal(size=(50, 20)).astype(np.float32)
    (out * paddle.to_tensor(weights)).sum().backward()
    mask = out.numpy() / x.numpy()
    np.testing.assert_allclose(x.grad.numpy(), weights * mask, rtol=1e-6)
    assert 100 < (x.grad.numpy() == 0).sum() < 300


def test_masks_follow_the_seed() -> None:
    layer, shapes = Dropout(0.5), [(9, 9), (3, 5)]
    dropout_masks.seed(1)
    first = masks_of(layer, *shapes)
    dropout_masks.seed(2)
    assert (masks_of(layer, *shapes)[0] != first[0]).any()
    dropout_masks.seed(1)
    for again, mask in zip(masks_of(layer, *shapes), first, strict=True):
        np.testing.assert_array_equal(again, mask)


def test_no_two_masks_are_the_same() -> None:
    layers = [Dropout(0.5), Dropout(0.5)]
    masks = [masks_of(layer, (64,))[0] for layer in layers * 3]
    assert len({mask.tobytes() for mask in masks}) == 6


def test_a_kept_state_repeats_the_masks() -> None:
    layer = Dropout(0.5)
    masks_of(layer, (3, 7))
    state = dropout_masks.state()
    wanted = masks_of(layer, (3, 7), (5,), (40, 40))
    masks_of(layer, (1000,))  # what is drawn meanwhile changes neither the state kept
    dropout_masks.set_state(state)
    for again, mask in zip(masks_of(layer, (3, 7), (5,), (40, 40)), wanted, strict=True):
        np.testing.assert_array_equal(again, mask)
    dropout_masks.set_state(state)  # nor does setting it use it up
    np.testing.assert_array_equal(masks_of(layer, (3, 7))[0], wanted[0])
