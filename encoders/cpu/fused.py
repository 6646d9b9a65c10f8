"""Parts of a layer as one pass over memory each, with a gradient of their own.

Every function says in its docstring what it computes, in the plain layers that it falls back to.
"""

import math
from collections.abc import Callable

import numpy as np

from encoders.cpu import kernels
from encoders.cpu.unpadding import Packing
from encoders.dropout import Dropout
from encoders.framework import paddle
from encoders.linear import column_sums

PyLayer = paddle.autograd.PyLayer
F = paddle.nn.functional

MASKED = -10000.0  # added to a padded key's score; exp of it is 0 in float32 and fits in float16


class _Gelu(PyLayer):
    """gelu(y + bias); y: (…, C), bias: (C,)."""

    @staticmethod
    def forward(ctx, y, bias):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(y, bias)
        result, width = paddle.empty_like(y), bias.shape[0]
        kernels.call("gelu", y, bias, result, kernels.rows(y), width)
        return result

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        y, bias = ctx.saved_tensor()
        of_y, width = paddle.empty_like(y), bias.shape[0]
        kernels.call("gelu_gradient", y, bias, gradient, of_y, kernels.rows(y), width)
        return of_y, column_sums(of_y)


class _AddNorm(PyLayer):
    """LayerNorm(x + dropout(y + bias)); x, y: (…, H), the others (H,)."""

    @staticmethod
    def forward(ctx, x, y, bias, gain, shift, epsilon, words, threshold):  # type: ignore[no-untyped-def]
        rows, width = kernels.rows(x), bias.shape[0]
        normal, result, inverse = paddle.empty_like(x), paddle.empty_like(x), paddle.empty([rows])
        kernels.call(
            "add_norm", x, y, bias, words, threshold, gain, shift, epsilon, normal, inverse, result,
            rows, width,
        )  # fmt: skip
        ctx.save_for_backward(normal, inverse, gain)
        ctx.words, ctx.threshold = words, threshold
        return result

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        normal, inverse, gain = ctx.saved_tensor()
        of_x, of_y = paddle.empty_like(normal), paddle.empty_like(normal)
        sums = [paddle.empty_like(gain) for _ in range(3)]
        pieces = np.empty((kernels.PIECES, 3, gain.shape[0]), dtype=np.float32)
        kernels.call(
            "add_norm_gradient", normal, inverse, ctx.words, ctx.threshold, gain, gradient, of_x, of_y,
            pieces, *sums, inverse.shape[0], gain.shape[0],
        )  # fmt: skip
        return of_x, of_y, *sums


class _Weights(PyLayer):
    """dropout(softmax(scale · scores, padding masked)); scores: (B, h, T, T)."""

    @staticmethod
    def forward(ctx, scores, scale, mask, words, threshold):  # type: ignore[no-untyped-def]
        softmax = paddle.empty_like(scores)
        result = softmax if words is None else paddle.empty_like(scores)
        kernels.call(
            "attention_weights", scores, mask, words, threshold, scale, softmax, result, *scores.shape
        )
        ctx.save_for_backward(softmax)
        ctx.words, ctx.threshold, ctx.scale = words, threshold, scale
        return result

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (softmax,) = ctx.saved_tensor()
        of_scores, length = paddle.empty_like(softmax), softmax.shape[-1]
        kernels.call(
            "attention_weights_gradient", softmax, ctx.words, ctx.threshold, ctx.scale, gradient, of_scores,
            kernels.rows(softmax), length,
        )  # fmt: skip
        return of_scores


def activated(
    x: paddle.Tensor, linear: paddle.nn.Layer, activation: Callable[[paddle.Tensor], paddle.Tensor]
) -> paddle.Tensor:
    """activation(linear(x)); x: (…, in) → (…, out)."""
    if activation is not F.gelu or not kernels.usable(x, linear.weight, linear.bias):
        return activation(linear(x))
    y = linear.product(x)
    return _Gelu.apply(y, linear.bias) if kernels.fits("* C, C", y, linear.bias) else activation(linear(x))


def add_norm(
    x: paddle.Tensor, y: paddle.Tensor, linear: paddle.nn.Layer, dropout: Dropout, norm: paddle.nn.Layer
) -> paddle.Tensor:
    """norm(x + dropout(linear(y))); x: (…, H), y: (…, in) → (…, H)."""
    parameters = (linear.bias, norm.weight, norm.bias)
    if kernels.usable(x, y, linear.weight, *parameters):
        product = linear.product(y)
        if kernels.fits("* H, * H, H, H, H", x, product, *parameters):
            words, threshold = dropout.draw(math.prod(x.shape))
            return _AddNorm.apply(x, product, *parameters, norm._epsilon, words, threshold)
    return norm(x + dropout(linear(y)))


def _are_attended(query: paddle.Tensor, key: paddle.Tensor, mask: paddle.Tensor | None) -> bool:
    """Whether shapes are as ``attention_weights`` says, and the mask is one that C takes."""
    if mask is None:
        return kernels.fits("B h T d, B h S d", query, key)
    return kernels.is_mask(mask) and kernels.fits("B h T d, B h S d, B S", query, key, mask)


def attention_weights(
    query: paddle.Tensor,
    key: paddle.Tensor,
    scale: float,
    mask: paddle.Tensor | Packing | None,
    dropout: Dropout,
) -> paddle.Tensor:
    """dropout(softmax(scale · query keyᵀ + bias)), bias ``MASKED`` at padded keys.

    query, key: (B, h, T, d); mask: (B, T), 1 real and 0 padding, a packing, or None → (B, h, T, T).
    """
    if isinstance(mask, Packing):
        mask = mask.mask
    if kernels.usable(query, key) and _are_attended(query, key, mask):
        scores = paddle.matmul(query, key, transpose_y=True)
        words, threshold = dropout.draw(math.prod(scores.shape))
        return _Weights.apply(scores, scale, mask, words, threshold)
    query = query * scale
    if mask is not None:
        # The mask as one more key feature, met by a query feature of 1: cheaper than adding it.
        bias = ((1.0 - mask) * MASKED).astype(key.dtype).unsqueeze([1, 3])  # (B, 1, T, 1)
        key = paddle.concat([key, bias.expand([-1, key.shape[1], -1, -1])], axis=-1)
        query = paddle.concat([query, paddle.ones_like(query[:, :, :, :1])], axis=-1)
    return dropout(F.softmax(paddle.matmul(query, key, transpose_y=True), axis=-1))
