"""What the tests of the compiled functions share: a function's outcome with them and without."""

from collections.abc import Callable

import numpy as np
import pytest

from encoders import ops
from encoders.cpu import dropout_masks, kernels
from encoders.framework import paddle
from encoders.layers import Dropout, Linear
from encoders.padding import Padding

F = paddle.nn.functional
UNPADDED = Padding(None)


def tensor(*shape: int, kind: str = "float32", seed: int = 0) -> paddle.Tensor:
    values = np.random.default_rng(seed).normal(size=shape).astype(kind)
    return paddle.to_tensor(values, stop_gradient=False)


def outcome(function: Callable[..., paddle.Tensor], *tensors: paddle.Tensor) -> list[np.ndarray] | str:
    """The result and all gradients, or the kind of error."""
    dropout_masks.seed(3)
    inputs = [each.detach() for each in tensors]
    for each, outer in zip(inputs, tensors, strict=True):
        each.stop_gradient = outer.stop_gradient
    try:
        out = function(*inputs)
        if not out.stop_gradient:
            (out * out).sum().backward()
    except Exception as error:
        return type(error).__name__
    return [out.numpy(), *(each.grad.numpy() for each in inputs if each.grad is not None)]


def assert_same(
    monkeypatch: pytest.MonkeyPatch, function: Callable[..., paddle.Tensor], *tensors: paddle.Tensor
) -> list[np.ndarray] | str:
    """With and without the compiled functions; the outcome."""
    actual = outcome(function, *tensors)
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "library", lambda: None)
        plain = outcome(function, *tensors)
    if isinstance(plain, str) or isinstance(actual, str):
        assert actual == plain
    else:
        for ours, theirs in zip(actual, plain, strict=True):
            scale = max(1.0, np.abs(theirs).max(initial=0.0))
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * scale)
    return actual


def linear_of(*shape: int, bias: int | None = None) -> Linear:
    linear = Linear(*shape)
    linear.weight.set_value(tensor(*shape, seed=5))
    if bias is not None:
        linear.bias = linear.create_parameter([bias], is_bias=True)
    return linear


def depthwise(x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
    return ops.depthwise_convolution(x, weight, UNPADDED)


def span(attended: paddle.Tensor, scores: paddle.Tensor, x: paddle.Tensor) -> paddle.Tensor:
    return ops.append_span_convolution(attended, scores, x, linear_of(5, 6), UNPADDED)


def add_norm(x: paddle.Tensor, y: paddle.Tensor) -> paddle.Tensor:
    return ops.add_norm(x, y, linear_of(6, 8), Dropout(0.3), paddle.nn.LayerNorm(8))


def narrow_bias(x: paddle.Tensor) -> paddle.Tensor:
    return ops.linear_activation(x, linear_of(6, 8, bias=3), F.gelu)


def attention(*parts: paddle.Tensor) -> paddle.Tensor:
    query, key, *mask = parts
    binary = [paddle.to_tensor((each.numpy() > 0).astype("float32")) for each in mask]
    for each in binary:
        if each.size and each.ndim > 1:
            each[:, 0] = 1.0  # else all scores of a row are near -10000, and rounded to a thousandth
    return ops.attention_weights(query, key, 0.5, binary[0] if binary else None, Dropout(0.0))


def mask_of(shape: tuple[int, ...], holes: str) -> paddle.Tensor:
    values = np.ones(shape)
    last = values.reshape(-1, shape[-1]) if values.size else values.reshape(1, -1)
    if values.size and holes == "hole":
        last[0, 1:2] = 0
    elif values.size and holes == "none":
        last[0] = 0
    elif values.size and holes == "half":
        last[0, -1] = 0.5
    elif values.size:
        last[0, 3:] = 0
    return paddle.to_tensor(values.astype("int64" if holes == "int64" else "float32"))
