"""ConvBERT's two convolutions along the sequence, linear in its length in time and memory.

Each stands twice: the plain formulation, which is the tested definition, and the same as an autograd
function of its own. Plain autograd would run a slice's backward (a full-size zero tensor filled and
added) once per tap; here the backward is again a sum of shifted products.
"""

import numpy as np

from encoders.cpu import kernels as compiled
from encoders.cpu.unpadding import Packing
from encoders.framework import paddle
from encoders.linear import Linear, affine, column_sums

PyLayer = paddle.autograd.PyLayer
Mask = paddle.Tensor | Packing | None


def padded(x: paddle.Tensor, reach: int) -> paddle.Tensor:
    """Zeros before and after every sequence: (B, T, C) → (B, T + 2·reach, C)."""
    # Concatenation and not F.pad: exporters keep zeros that are concatenated.
    edge = paddle.zeros([x.shape[0], reach, x.shape[2]], dtype=x.dtype)
    return paddle.concat([edge, x, edge], axis=1)


def depthwise_plain(x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
    """Depthwise convolution along the sequence with zero padding, the definition.

    x: (B, T, C); weight: (K, C), K odd → (B, T, C); out[t] = Σ_j weight[j] · x[t + j − K//2].
    """
    taps, length = weight.shape[0], x.shape[1]
    wide = padded(x, taps // 2)
    return paddle.add_n([wide[:, j : j + length] * weight[j] for j in range(taps)])


def span_plain(kernels: paddle.Tensor, values: paddle.Tensor) -> paddle.Tensor:
    """Dynamic convolution: every position and head has kernels of its own; the definition.

    kernels: (B, T, h, K), K odd; values: (B, T, h·d) → (B, T, h·d);
    out[t] = Σ_j kernels[t, :, j] · values[t + j − K//2], head by head. arXiv:2008.02496, section 3.2.
    """
    batch, length, heads, taps = kernels.shape
    wide = padded(values, taps // 2)
    parts = [
        wide[:, j : j + length].reshape([batch, length, heads, -1]) * kernels[:, :, :, j : j + 1]
        for j in range(taps)
    ]
    return paddle.add_n(parts).reshape(values.shape)


class _Depthwise(PyLayer):
    """``depthwise_plain`` with a backward of shifted products over the flattened rows.

    With 2·reach zero rows between the sequences a shift in time is a shift of flat rows: contiguous.
    """

    @staticmethod
    def forward(ctx, x, weight):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        return _depthwise_flat(x, weight)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, weight = ctx.saved_tensor()
        taps = weight.shape[0]
        wide_x, wide_grad = _flat(x, taps // 2), _flat(grad, taps // 2)
        rows = wide_x.shape[0] - (taps - 1)
        # Row r of wide_grad at offset reach is the gradient of the window that starts at row r of wide_x.
        middle = wide_grad[taps // 2 : taps // 2 + rows]
        grad_weight = [column_sums(wide_x[j : j + rows] * middle) for j in range(taps)]
        return _depthwise_flat(grad, weight.flip(axis=0)), paddle.stack(grad_weight)


def _flat(x: paddle.Tensor, reach: int) -> paddle.Tensor:
    wide = padded(x, reach)
    return wide.reshape([-1, x.shape[2]])


def _depthwise_flat(x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
    batch, length, width = x.shape
    taps = weight.shape[0]
    flat = _flat(x, taps // 2)
    rows = flat.shape[0] - (taps - 1)
    out = flat[:rows] * weight[0]
    for j in range(1, taps):
        out = out + flat[j : j + rows] * weight[j]
    tail = paddle.zeros([taps - 1, width], dtype=x.dtype)
    return paddle.concat([out, tail]).reshape([batch, length + taps - 1, width])[:, :length]


class _Span(PyLayer):
    """``span_plain`` with a backward of shifted products."""

    @staticmethod
    def forward(ctx, kernels, values):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(kernels, values)
        return span_plain(kernels, values)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        kernels, values = ctx.saved_tensor()
        batch, length, heads, taps = kernels.shape
        shape = [batch, length, heads, -1]
        wide, split = padded(values, taps // 2), grad.reshape(shape)
        grad_kernels = paddle.concat(
            [
                (wide[:, j : j + length].reshape(shape) * split).sum(axis=-1, keepdim=True)
                for j in range(taps)
            ],
            axis=-1,
        )
        # values[s] was read by position t = s − j + K//2 with tap j: shift the products back.
        wide_grad = padded(grad, taps // 2)
        wide_kernels = padded(kernels.reshape([batch, length, heads * taps]), taps // 2)
        parts = []
        for j in range(taps):
            back = taps - 1 - j
            weights = wide_kernels[:, back : back + length].reshape([batch, length, heads, taps])
            read = wide_grad[:, back : back + length].reshape(shape)
            parts.append(read * weights[:, :, :, j : j + 1])
        return grad_kernels, paddle.add_n(parts).reshape(values.shape)


class _CompiledDepthwise(PyLayer):
    """``depthwise_plain`` in C, row by row of a packing."""

    @staticmethod
    def forward(ctx, x, weight, bounds):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        ctx.bounds, ctx.sizes = bounds, (*x.shape, weight.shape[0])
        out = paddle.empty_like(x)
        compiled.call("depthwise", x, weight, bounds, out, False, *ctx.sizes)
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, weight = ctx.saved_tensor()
        of_x, of_weight = paddle.empty_like(x), paddle.empty_like(weight)
        compiled.call("depthwise", grad, weight, ctx.bounds, of_x, True, *ctx.sizes)
        compiled.call("depthwise_weight_gradient", x, grad, ctx.bounds, of_weight, *ctx.sizes)
        return of_x, of_weight


class _CompiledSpan(PyLayer):
    """``span_plain`` of the scores' softmax and of values + bias in C, row by row of a packing, behind
    another result: beside (B, T, A) → (B, T, A + h·d)."""

    @staticmethod
    def forward(ctx, scores, values, bias, beside, bounds):  # type: ignore[no-untyped-def]
        (batch, length, heads, taps), width, other = scores.shape, values.shape[-1], beside.shape[-1]
        kernels, out = paddle.empty_like(scores), paddle.empty([batch, length, other + width])
        ctx.bounds, ctx.sizes = bounds, (batch, length, heads, width // heads, taps, other)
        compiled.call("span", scores, values, bias, beside, bounds, kernels, out, *ctx.sizes)
        ctx.save_for_backward(kernels, values, bias)
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        kernels, values, bias = ctx.saved_tensor()
        of_scores, of_values = paddle.empty_like(kernels), paddle.empty_like(values)
        of_beside = paddle.empty([*grad.shape[:-1], ctx.sizes[-1]])
        arrays = kernels, values, bias, ctx.bounds, grad, of_scores, of_values, of_beside
        compiled.call("span_gradient", *arrays, *ctx.sizes)
        return of_scores, of_values, column_sums(of_values), of_beside


class _CompiledProduct(PyLayer):
    """(x + bias) · y in C."""

    @staticmethod
    def forward(ctx, x, bias, y):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, bias, y)
        out, width = paddle.empty_like(x), bias.shape[0]
        compiled.call("biased_product", x, bias, y, out, compiled.rows(x), width)
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, bias, y = ctx.saved_tensor()
        of_x, of_y, of_bias = (paddle.empty_like(each) for each in (x, y, bias))
        pieces = np.empty((compiled.PIECES, bias.shape[0]), dtype=np.float32)
        sizes = compiled.rows(x), bias.shape[0]
        compiled.call("biased_product_gradient", x, bias, y, grad, of_x, of_y, pieces, of_bias, *sizes)
        return of_x, of_bias, of_y


def depthwise(x: paddle.Tensor, weight: paddle.Tensor, mask: Mask = None) -> paddle.Tensor:
    """``depthwise_plain``, fast: x (B, T, C), weight (K, C) → (B, T, C).

    mask: (B, T), 0 where x counts as 0, so that a row does not see its batch's padding; or the packing of x,
    which then is (1, P, C).
    """
    if paddle.in_dynamic_mode():
        _check_taps(weight.shape[0])
        if (width := x.shape[-1]) != weight.shape[-1]:
            raise ValueError(f"convolution: expected weights of {width} columns, found {weight.shape[-1]}")
    if isinstance(mask, Packing):
        return _CompiledDepthwise.apply(mask.checked(x), weight, mask.bounds)
    if mask is None and compiled.usable(x, weight) and compiled.fits("B T C, K C", x, weight):
        return _CompiledDepthwise.apply(x, weight, None)
    return _Depthwise.apply(_shown(x, mask), weight)


def span_beside(
    other: paddle.Tensor, scores: paddle.Tensor, x: paddle.Tensor, linear: Linear, mask: Mask = None
) -> paddle.Tensor:
    """Another result and, behind it, ``span_plain`` with the softmax of the scores as kernels and linear(x)
    as values, fast.

    other: (B, T, A), scores: (B, T, h, K), x: (B, T, H), linear(x): (B, T, h·d) → (B, T, A + h·d). mask:
    (B, T), 0 where values count as 0, or the packing of all three, which then have a first axis of 1.
    """
    if paddle.in_dynamic_mode():
        _check_taps(scores.shape[-1])
    if isinstance(mask, Packing):
        other, scores, x = (mask.checked(part) for part in (other, scores, x))
        return _CompiledSpan.apply(scores, linear.product(x), linear.bias, other, mask.bounds)
    if mask is None and compiled.usable(other, scores, x, linear.weight, linear.bias):
        values = linear.product(x)
        if compiled.fits("B T A, B T h K, B T C, C", other, scores, values, linear.bias):
            return _CompiledSpan.apply(scores, values, linear.bias, other, None)
    mixed = _Span.apply(paddle.nn.functional.softmax(scores, axis=-1), _shown(linear(x), mask))
    return paddle.concat([other, mixed], axis=-1)


def modulated(
    x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, query: paddle.Tensor
) -> paddle.Tensor:
    """(x @ weight + bias) · query; x: (B, T, C), weight: (C, A), bias: (A,), query: (B, T, A) → (B, T, A)."""
    parts = (x, weight, bias, query)
    if compiled.usable(*parts) and compiled.fits("* C, C A, A, * A", *parts):
        return _CompiledProduct.apply(paddle.matmul(x, weight), bias, query)
    return affine(x, weight, bias) * query


def _check_taps(taps: int) -> None:
    if taps % 2 == 0:
        raise ValueError(f"convolution: expected an odd number of taps, found {taps}")


def _shown(x: paddle.Tensor, mask: paddle.Tensor | None) -> paddle.Tensor:
    return x if mask is None else x * mask.unsqueeze(-1)
