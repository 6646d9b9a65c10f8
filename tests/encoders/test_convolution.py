"""The fast convolutions against their plain definitions, and those against hand-worked sums."""

import numpy as np
import pytest

from encoders import convolution, ops
from encoders.framework import paddle
from encoders.layers import Linear
from encoders.padding import Padding

UNPADDED = Padding(None)
softmax = paddle.nn.functional.softmax


def value_and_gradients(function, *arrays: np.ndarray) -> list[np.ndarray]:
    tensors = [paddle.to_tensor(array, stop_gradient=False) for array in arrays]
    out = function(*tensors)
    weights = np.cos(np.arange(out.size, dtype=np.float64)).reshape(out.shape)
    (out * paddle.to_tensor(weights)).sum().backward()
    return [out.numpy(), *(tensor.grad.numpy() for tensor in tensors)]


@pytest.mark.parametrize(("length", "kernel_size"), [(1, 9), (4, 9), (9, 9), (23, 5), (6, 1)])
def test_depthwise_equals_its_definition(length: int, kernel_size: int) -> None:
    draw = np.random.default_rng(0)
    arrays = draw.normal(size=(3, length, 8)), draw.normal(size=(kernel_size, 8))
    plain = value_and_gradients(convolution.depthwise_convolution, *arrays)
    for fast, wanted in zip(value_and_gradients(depthwise, *arrays), plain, strict=True):
        np.testing.assert_allclose(fast, wanted, atol=1e-12)


@pytest.mark.parametrize(("length", "kernel_size"), [(1, 9), (4, 9), (9, 9), (23, 5), (6, 1)])
def test_span_equals_its_definition(length: int, kernel_size: int) -> None:
    draw, linear = np.random.default_rng(1), linear_layer()
    arrays = [draw.normal(size=(3, length, *rest)) for rest in ((3,), (2, kernel_size), (5,))]

    def definition(attended: paddle.Tensor, scores: paddle.Tensor, x: paddle.Tensor) -> paddle.Tensor:
        return paddle.concat(
            [attended, convolution.span_convolution(softmax(scores, axis=-1), linear(x))], axis=-1
        )

    plain = value_and_gradients(definition, *arrays)
    actual = value_and_gradients(
        lambda *parts: ops.append_span_convolution(*parts, linear, UNPADDED), *arrays
    )
    for fast, wanted in zip(actual, plain, strict=True):
        np.testing.assert_allclose(fast, wanted, atol=1e-12)


def depthwise(x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
    return ops.depthwise_convolution(x, weight, UNPADDED)


def linear_layer() -> Linear:
    """5 → 8, float64."""
    linear = Linear(5, 8)
    linear.to(dtype="float64")
    linear.bias.set_value(np.arange(8.0))
    return linear


def test_depthwise_by_hand() -> None:
    # One channel, 1 2 3 4 under the kernel 10 1 100: out[t] = 10·x[t−1] + x[t] + 100·x[t+1].
    x = paddle.to_tensor(np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1))
    weight = paddle.to_tensor(np.array([[10.0], [1.0], [100.0]]))
    assert depthwise(x, weight).numpy().ravel().tolist() == [201, 312, 423, 34]


def test_span_by_hand() -> None:
    # Two heads of one column each; position t reads t−1, t, t+1 with its own kernel.
    kernels = np.zeros((1, 3, 2, 3))
    kernels[0, :, 0] = [[9, 1, 10], [1, 0, 0], [2, 3, 9]]
    kernels[0, :, 1] = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    values = np.array([[[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]]])
    out = convolution.span_convolution(paddle.to_tensor(kernels), paddle.to_tensor(values)).numpy()
    # Head 0: 1·1 + 10·2 = 21; 1·1 = 1; 2·2 + 3·3 = 13. Head 1: 6, 6, 6.
    assert out.tolist() == [[[21, 6], [1, 6], [13, 6]]]


@pytest.mark.parametrize("length", [1, 7])
def test_what_the_mask_hides_counts_as_zero(length: int) -> None:
    draw, linear = np.random.default_rng(2), linear_layer()
    x, weight, scores = (
        paddle.to_tensor(draw.normal(size=size)) for size in ((2, length, 5), (3, 5), (2, length, 2, 3))
    )
    seen = np.ones((2, length))
    seen[1, 1:] = 0
    mask, column = paddle.to_tensor(seen), paddle.to_tensor(seen[..., None])
    kernels = softmax(scores, axis=-1)
    for actual, wanted, unmasked in (
        (
            ops.depthwise_convolution(x, weight, Padding(mask)),
            convolution.depthwise_convolution(x * column, weight),
            convolution.depthwise_convolution(x, weight),
        ),
        (
            ops.append_span_convolution(x[:, :, :0], scores, x, linear, Padding(mask)),
            convolution.span_convolution(kernels, linear(x) * column),
            convolution.span_convolution(kernels, linear(x)),
        ),
    ):
        np.testing.assert_allclose(actual.numpy(), wanted.numpy(), atol=1e-12)
        assert length == 1 or not np.allclose(wanted.numpy(), unmasked.numpy())
