"""The halves of a layer in bfloat16, each one autograd function: products and the passes between them.

encoders/attention.py, convbert.py and feed_forward.py say what they compute.

N real tokens of B rows; R ≥ N rows of the arrays in bfloat16; H hidden size, A attention width, I width of
the feed-forward.
"""

import numpy as np

from encoders.cpu import kernels, onednn
from encoders.cpu.autograd import column_sums as float_column_sums
from encoders.cpu.bfloat16 import (
    Bfloat16,
    GroupedWeights,
    column_sums,
    padded,
    rounded,
    weight_gradient,
)
from encoders.cpu.dropout_masks import DropoutBits
from encoders.cpu.mixing import Layout, Tensors
from encoders.cpu.onednn import empty, matrix, row
from encoders.framework import paddle

PyLayer = paddle.autograd.PyLayer


class OutputNorm:
    """LayerNorm(x + dropout(y @ output + bias)), the end of both halves.

    Args:
        parameters: Output (in, H) or in groups, its bias (H,), LayerNorm's gain and shift (H,).
        epsilon: Added to the variance.
        dropout: The DropoutBits of (N, H).
        bfloat16: The weights.
    """

    def __init__(self, parameters: Tensors, epsilon: float, dropout: DropoutBits, bfloat16: Bfloat16) -> None:
        self._output = GroupedWeights(parameters[0], bfloat16)
        self._parameters, self._epsilon, self._dropout = parameters, epsilon, dropout

    def forward(self, x: paddle.Tensor, y: np.ndarray) -> paddle.Tensor:
        """x: (…, H), y: (R, in) → (…, H)."""
        _, bias, gain, shift = self._parameters
        tokens, hidden = kernels.rows(x), bias.shape[0]
        product = empty(len(y), hidden)
        self._output.forward(y, product)
        normalised, result = empty(tokens, hidden, np.float32), paddle.empty(x.shape)
        inverse_deviation = np.empty(tokens, dtype=np.float32)
        arrays = x, product, bias, *self._dropout, gain, shift, self._epsilon, normalised, inverse_deviation
        kernels.call("bf16_add_norm", *arrays, result, tokens, len(y), hidden)
        self._saved = y, normalised, inverse_deviation
        return result

    def backward(self, grad: paddle.Tensor) -> tuple[paddle.Tensor, np.ndarray, Tensors]:
        """→ the gradients of x, (R, H) of which the first N rows are written, of y and of the parameters."""
        gain = self._parameters[2]
        y, normalised, inverse_deviation = self._saved
        (tokens, hidden), rows = normalised.shape, len(y)
        grad_x, grad_product = paddle.empty([rows, hidden]), empty(rows, hidden)
        grad_bias, grad_gain, grad_shift = (paddle.empty([hidden]) for _ in range(3))
        partial_sums = empty(kernels.PIECES * 3, hidden, np.float32)
        arrays = normalised, inverse_deviation, *self._dropout, gain, grad, grad_x, grad_product, partial_sums
        sums = grad_bias, grad_gain, grad_shift
        kernels.call("bf16_add_norm_gradient", *arrays, *sums, tokens, rows, hidden)
        grad_y = empty(rows, y.shape[1])
        self._output.input_gradient(grad_product, grad_y)
        return grad_x, grad_y, (self._output.weight_gradient(y, grad_product), *sums)


class AttentionHalf(PyLayer):
    """The first half of a layer, with ConvBERT's convolution or without: x (…, H), all N tokens → (…, H).

    ``parts``: (HeadAttention, DynamicConvolution or None, OutputNorm); ``first_only``: → (B, 1, H), the first
    token's output alone; ``parameters``: those of ``attention_parameters``, flat.
    """

    @staticmethod
    def forward(ctx, x, parts, layout, first_only, bfloat16, *parameters):  # type: ignore[no-untyped-def]
        attention, convolution, output = parts
        projections = 3 if convolution is None else 4
        weights, biases = parameters[:projections], parameters[projections : 2 * projections]
        x_rounded = rounded(x)
        joined = empty(len(x_rounded), sum(bias.shape[0] for bias in biases))
        bias = row(bfloat16.biases(biases))
        onednn.product(matrix(x_rounded), bfloat16.weights(*weights), matrix(joined), bias)
        width = biases[0].shape[0]
        context = empty(len(x_rounded), width if convolution is None else 2 * width)
        attention.forward(joined, context)
        if convolution is not None:
            convolution.forward(x_rounded, joined, context)
        ctx.call = parts, layout, first_only, bfloat16, x_rounded, weights, x.shape
        if first_only:
            first = paddle.to_tensor(layout.starts[:-1])
            x = paddle.gather(x.reshape([-1, x.shape[-1]]), first).unsqueeze(1)
            context = _first_rows(context, layout)
        return output.forward(x, context)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        parts, layout, first_only, bfloat16, x, weights, shape = ctx.call
        attention, convolution, output = parts
        grad_x, grad_context, grad_output = output.backward(grad)
        if first_only:
            grad_x = _spread(grad_x, layout, len(x))
            grad_context = _spread_rows(grad_context, layout, len(x))
        width = weights[0].shape[1]
        grad_joined = empty(len(x), len(weights) * width)
        attention.backward(grad_context, grad_joined)
        grad_convolution: Tensors = ()
        if convolution is not None:
            grad_convolution = convolution.backward(grad_context, grad_joined, grad_x)
        onednn.product(matrix(grad_joined), bfloat16.transposed(*weights), matrix(grad_x), accumulate=True)
        grad_weights = [
            weight_gradient(matrix(x), matrix(grad_joined, part * width, width))
            for part in range(len(weights))
        ]
        grad_biases = paddle.split(column_sums(grad_joined), len(weights))
        ctx.call = None
        gradients = *grad_weights, *grad_biases, *grad_convolution, *grad_output
        return grad_x._slice(0, layout.tokens).reshape_(shape), *gradients


def _first_rows(x: np.ndarray, layout: Layout) -> np.ndarray:
    result = empty(padded(layout.rows), x.shape[1])
    kernels.call("bf16_first_rows", x, layout.starts, result, layout.rows, len(x), *result.shape)
    return result


def _spread_rows(x: np.ndarray, layout: Layout, rows: int) -> np.ndarray:
    result, first = empty(rows, x.shape[1]), x[: layout.rows]
    kernels.call("bf16_spread_rows", first, layout.starts, result, layout.rows, layout.tokens, *result.shape)
    return result


def _spread(x: paddle.Tensor, layout: Layout, rows: int) -> paddle.Tensor:
    zeros, first = paddle.zeros([rows, x.shape[1]]), paddle.to_tensor(layout.starts[:-1])
    return paddle.scatter(zeros, first, x[: layout.rows])


class FeedForwardHalf(PyLayer):
    """The second half of a layer with gelu: x (…, H) → (…, H).

    ``output``: the OutputNorm; ``is_recorded``: whether the gradient will be wanted; ``weight``, ``bias``: of
    the inner layer, (H, I) or in groups, and (I,); ``parameters``: those of the OutputNorm.
    """

    @staticmethod
    def forward(ctx, x, output, bfloat16, is_recorded, weight, bias, *parameters):  # type: ignore[no-untyped-def]
        inner, x_rounded = GroupedWeights(weight, bfloat16), rounded(x)
        before = empty(len(x_rounded), bias.shape[0])
        inner.forward(x_rounded, before, bias, gelu=not is_recorded)
        after = before
        if is_recorded:
            after = empty(*before.shape)
            kernels.call("bf16_gelu", before, after, kernels.rows(x), *before.shape)
        ctx.call = output, x_rounded, before, inner, x.shape
        return output.forward(x, after)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        output, x, before, inner, shape = ctx.call
        grad_x, grad_inner, grad_output = output.backward(grad)
        tokens, width = kernels.rows(grad), before.shape[1]
        grad_bias, partial_sums = paddle.empty([width]), empty(kernels.PIECES, width, np.float32)
        kernels.call("bf16_gelu_gradient", before, grad_inner, partial_sums, grad_bias, tokens, *before.shape)
        inner.input_gradient(grad_inner, grad_x, accumulate=True)
        grad_weight = inner.weight_gradient(x, grad_inner)
        ctx.call = None
        return grad_x._slice(0, tokens).reshape_(shape), grad_weight, grad_bias, *grad_output


class LargeLinear(PyLayer):
    """x @ weight + bias of a layer that stands by itself: x (…, in) → (…, out); the bias may be left out."""

    @staticmethod
    def forward(ctx, x, bfloat16, weight, *bias):  # type: ignore[no-untyped-def]
        layer, x_rounded = GroupedWeights(weight, bfloat16), rounded(x)
        result = paddle.empty([len(x_rounded), weight.shape[-1]])
        layer.forward(x_rounded, result, *bias)
        ctx.call = layer, x_rounded, x.shape, bool(bias)
        return result._slice(0, kernels.rows(x)).reshape_([*x.shape[:-1], weight.shape[-1]])

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        layer, x, shape, has_bias = ctx.call
        grad_rounded, grad_x = rounded(grad), paddle.empty(list(x.shape))
        layer.input_gradient(grad_rounded, grad_x)
        ctx.call = None
        grad_x = grad_x._slice(0, kernels.rows(grad)).reshape_(shape)
        grad_bias = (float_column_sums(grad),) if has_bias else ()
        return grad_x, layer.weight_gradient(x, grad_rounded), *grad_bias
