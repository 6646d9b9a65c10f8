"""Autograd functions over ``kernels.c`` and ``families.c``: one pass over memory forward, one backward.

``encoders.ops`` calls them where ``kernels.usable`` and ``kernels.fits`` say that the tensors suit.

B rows, T tokens, H hidden size, C columns, K kernel size, A attention width, h heads of d columns.
``bounds``, (B·T, 2) int64: where the row of each token begins and ends; None: rows are T tokens long.
"""

import math

import numpy as np

from encoders.cpu import kernels
from encoders.cpu.autograd import column_sums
from encoders.framework import paddle

PyLayer = paddle.autograd.PyLayer


class Gelu(PyLayer):
    """gelu(x + bias); x: (…, C), bias: (C,)."""

    @staticmethod
    def forward(ctx, x, bias):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, bias)
        result = paddle.empty_like(x)
        kernels.call("gelu", x, bias, result, kernels.rows(x), bias.shape[0])
        return result

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, bias = ctx.saved_tensor()
        grad_x = paddle.empty_like(x)
        kernels.call("gelu_gradient", x, bias, grad, grad_x, kernels.rows(x), bias.shape[0])
        return grad_x, column_sums(grad_x)


class AddNorm(PyLayer):
    """gain · normalised(x + dropout(y + bias)) + shift: the LayerNorm of a residual sum.

    Args:
        x, y: (…, H)
        bias: (H,) of the linear layer whose product y is.
        gain, shift: (H,) the LayerNorm's weight and bias.
        epsilon: Added to the variance.
        dropout: The DropoutBits of the elements of y.

    Returns:
        (…, H)

    With n the normalised sum, σ its deviation and g = gain · grad, the gradient of the sum is
    (g − mean(g) − n · mean(g · n)) / σ. So of the forward pass n and 1/σ are kept, and neither x nor y.
    """

    @staticmethod
    def forward(ctx, x, y, bias, gain, shift, epsilon, dropout):  # type: ignore[no-untyped-def]
        rows, width = kernels.rows(x), bias.shape[0]
        normalised, result, inverse_deviation = (
            paddle.empty_like(x),
            paddle.empty_like(x),
            paddle.empty([rows]),
        )
        inputs = x, y, bias, *dropout, gain, shift, epsilon
        kernels.call("add_norm", *inputs, normalised, inverse_deviation, result, rows, width)
        ctx.save_for_backward(normalised, inverse_deviation, gain)
        ctx.dropout = dropout
        return result

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        normalised, inverse_deviation, gain = ctx.saved_tensor()
        rows, width = inverse_deviation.shape[0], gain.shape[0]
        grad_x, grad_y = paddle.empty_like(normalised), paddle.empty_like(normalised)
        grad_bias, grad_gain, grad_shift = (paddle.empty_like(gain) for _ in range(3))
        partial_sums = np.empty((kernels.PIECES, 3, width), dtype=np.float32)
        inputs = normalised, inverse_deviation, *ctx.dropout, gain, grad
        outputs = grad_x, grad_y, partial_sums, grad_bias, grad_gain, grad_shift
        kernels.call("add_norm_gradient", *inputs, *outputs, rows, width)
        return grad_x, grad_y, grad_bias, grad_gain, grad_shift


class AttentionWeights(PyLayer):
    """dropout(softmax(scale · scores, padding masked)); scores: (B, h, T, T), mask: (B, T) or None."""

    @staticmethod
    def forward(ctx, scores, scale, mask, dropout):  # type: ignore[no-untyped-def]
        softmax = paddle.empty_like(scores)
        result = softmax if dropout.bits is None else paddle.empty_like(scores)
        kernels.call("attention_weights", scores, mask, *dropout, scale, softmax, result, *scores.shape)
        ctx.save_for_backward(softmax)
        ctx.scale, ctx.dropout = scale, dropout
        return result

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (softmax,) = ctx.saved_tensor()
        grad_scores, sizes = paddle.empty_like(softmax), (kernels.rows(softmax), softmax.shape[-1])
        kernels.call(
            "attention_weights_gradient", softmax, *ctx.dropout, ctx.scale, grad, grad_scores, *sizes
        )
        return grad_scores


class DistanceScores(PyLayer):
    """``family_ops.add_distance_scores``; scores: (B, h, T, T), to_key, to_query: (B, h, T, 2T) or None."""

    @staticmethod
    def forward(ctx, scores, to_key, to_query):  # type: ignore[no-untyped-def]
        ctx.sizes, result = (math.prod(scores.shape[:-2]), scores.shape[-1]), paddle.empty_like(scores)
        ctx.shape = [*scores.shape[:-1], 2 * scores.shape[-1]]
        ctx.given = [part is not None for part in (to_key, to_query)]
        kernels.call("add_distance_scores", scores, to_key, to_query, result, *ctx.sizes)
        return result

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        gradients = [grad]
        for is_turned, is_given in enumerate(ctx.given):
            if is_given:
                gradients.append(paddle.empty(ctx.shape))
                kernels.call("distance_scores_gradient", grad, gradients[-1], is_turned, *ctx.sizes)
        return tuple(gradients)


class Rotate(PyLayer):
    """``family_ops.rotate``; x: (B, h, T, d), cos, sin: (T, d), which have no gradients."""

    @staticmethod
    def forward(ctx, x, cos, sin):  # type: ignore[no-untyped-def]
        ctx.turns, result = (cos, sin), paddle.empty_like(x)
        kernels.call("rotate", x, cos, sin, result, 1.0, math.prod(x.shape[:-2]), *x.shape[-2:])
        return result

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        result = paddle.empty_like(grad)
        kernels.call("rotate", grad, *ctx.turns, result, -1.0, math.prod(grad.shape[:-2]), *grad.shape[-2:])
        return result


class GatedGelu(PyLayer):
    """gelu(a) · b, where a and b are the halves of x; x: (…, 2C) → (…, C)."""

    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        result = paddle.empty([*x.shape[:-1], x.shape[-1] // 2])
        kernels.call("gated_gelu", x, result, kernels.rows(x), result.shape[-1])
        return result

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensor()
        grad_x = paddle.empty_like(x)
        kernels.call("gated_gelu_gradient", x, grad, grad_x, kernels.rows(x), grad.shape[-1])
        return grad_x


class Depthwise(PyLayer):
    """``convolution.depthwise_convolution`` row by row of ``bounds``; x: (B, T, C), weight: (K, C)."""

    @staticmethod
    def forward(ctx, x, weight, bounds):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        ctx.bounds, ctx.sizes = bounds, (*x.shape, weight.shape[0])
        result = paddle.empty_like(x)
        kernels.call("depthwise", x, weight, bounds, result, False, *ctx.sizes)
        return result

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, weight = ctx.saved_tensor()
        grad_x, grad_weight = paddle.empty_like(x), paddle.empty_like(weight)
        kernels.call("depthwise", grad, weight, ctx.bounds, grad_x, True, *ctx.sizes)
        kernels.call("depthwise_weight_gradient", x, grad, ctx.bounds, grad_weight, *ctx.sizes)
        return grad_x, grad_weight


class Span(PyLayer):
    """[attended; ``convolution.span_convolution(softmax(scores), values + bias)``], row by row of ``bounds``.

    scores: (B, T, h, K), values: (B, T, h·d), bias: (h·d,), attended: (B, T, A) → (B, T, A + h·d).
    Both halves are written into one tensor, which saves joining them, and their gradients are read from one.
    """

    @staticmethod
    def forward(ctx, scores, values, bias, attended, bounds):  # type: ignore[no-untyped-def]
        (batch, length, heads, kernel_size), width = scores.shape, values.shape[-1]
        attention_width = attended.shape[-1]
        softmax = paddle.empty_like(scores)
        result = paddle.empty([batch, length, attention_width + width])
        ctx.bounds = bounds
        ctx.sizes = batch, length, heads, width // heads, kernel_size, attention_width
        kernels.call("span", scores, values, bias, attended, bounds, softmax, result, *ctx.sizes)
        ctx.save_for_backward(softmax, values, bias)
        return result

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        softmax, values, bias = ctx.saved_tensor()
        grad_scores, grad_values = paddle.empty_like(softmax), paddle.empty_like(values)
        grad_attended = paddle.empty([*grad.shape[:-1], ctx.sizes[-1]])
        arrays = softmax, values, bias, ctx.bounds, grad, grad_scores, grad_values, grad_attended
        kernels.call("span_gradient", *arrays, *ctx.sizes)
        return grad_scores, grad_values, column_sums(grad_values), grad_attended


class BiasedProduct(PyLayer):
    """(x + bias) · y; x, y: (…, C), bias: (C,)."""

    @staticmethod
    def forward(ctx, x, bias, y):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, bias, y)
        result = paddle.empty_like(x)
        kernels.call("biased_product", x, bias, y, result, kernels.rows(x), bias.shape[0])
        return result

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, bias, y = ctx.saved_tensor()
        grad_x, grad_bias, grad_y = (paddle.empty_like(tensor) for tensor in (x, bias, y))
        partial_sums = np.empty((kernels.PIECES, bias.shape[0]), dtype=np.float32)
        arrays = x, bias, y, grad, grad_x, grad_y, partial_sums, grad_bias
        kernels.call("biased_product_gradient", *arrays, kernels.rows(x), bias.shape[0])
        return grad_x, grad_bias, grad_y
