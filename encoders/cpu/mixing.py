"""What a layer's first half in bfloat16 mixes tokens by: attention by heads, and the span-based convolution.

encoders/attention.py and convbert.py say what they compute.

N real tokens of B rows; R ≥ N rows of the arrays in bfloat16; T tokens of the longest row, S ≥ T where they
stand by head; H hidden size, A attention width, h heads of d columns, K kernel size.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.cpu import kernels, onednn
from encoders.cpu.bfloat16 import Bfloat16, column_sums, weight_gradient
from encoders.cpu.dropout_masks import DropoutBits
from encoders.cpu.onednn import batch, empty, matrix, row
from encoders.framework import paddle

Tensors = tuple[paddle.Tensor, ...]


@dataclass(frozen=True)
class Layout:
    """Where the rows of text lie among the N tokens.

    Attributes:
        starts: (B + 1,) int64, where every row begins, and N.
        bounds: (N, 2) int64, of every token where its row begins and ends.
        length: T.
    """

    starts: np.ndarray
    bounds: np.ndarray
    length: int

    @property
    def rows(self) -> int:
        """B."""
        return len(self.starts) - 1

    @property
    def tokens(self) -> int:
        """N."""
        return len(self.bounds)


@functools.lru_cache(maxsize=64)
def full_layout(rows: int, length: int) -> Layout:
    """Of rows that all have the same length."""
    starts = np.arange(rows + 1, dtype=np.int64) * length
    first = np.repeat(starts[:-1], length)
    return Layout(starts, np.ascontiguousarray(np.stack([first, first + length], axis=1)), length)


class HeadAttention:
    """Attention by heads, between two arrays: dropout(softmax(query · keyᵀ · scale)) · value.

    Args:
        layout: Of the rows.
        heads, depth: h and d; A = h·d.
        dropout: The DropoutBits of (B, h, T, T).
    """

    def __init__(self, layout: Layout, heads: int, depth: int, dropout: DropoutBits) -> None:
        self._layout, self._dropout, self._scale = layout, dropout, depth**-0.5
        self._heads, self._depth = heads, depth
        self._span = -(-layout.length // 16) * 16  # S

    def forward(self, joined: np.ndarray, context: np.ndarray) -> None:
        """joined: (R, W), whose first 3A columns are query, key and value → the first A of context (R, C)."""
        width, pairs, span = self._heads * self._depth, self._layout.rows * self._heads, self._span
        query, key, value = (self._by_head(joined, part * width) for part in range(3))
        scores = self._pairs(span, np.float32)
        onednn.product(batch(query), batch(key).transposed, batch(scores))
        softmax = self._pairs(span)
        dropped = softmax if self._dropout.bits is None else self._pairs(span)
        kernels.call(
            "bf16_softmax", scores, self._layout.starts, *self._dropout, self._scale, softmax, dropped,
            *self._sizes(),
        )  # fmt: skip
        attended = empty(pairs * span, self._depth).reshape(pairs, span, self._depth)
        onednn.product(batch(dropped), batch(value), batch(attended))
        self._to_columns(attended, context, 0)
        self._saved = query, key, value, softmax, dropped

    def backward(self, grad_context: np.ndarray, grad_joined: np.ndarray) -> None:
        """The gradient of context → that of the first 3A columns of joined."""
        query, key, value, softmax, dropped = self._saved
        grad = self._by_head(grad_context, 0)
        grad_value, grad_query, grad_key = (np.empty_like(value) for _ in range(3))
        onednn.product(batch(dropped).transposed, batch(grad), batch(grad_value))
        grad_dropped, grad_scores = self._pairs(self._span, np.float32), self._pairs(self._span)
        onednn.product(batch(grad), batch(value).transposed, batch(grad_dropped))
        kernels.call(
            "bf16_softmax_gradient", softmax, self._layout.starts, *self._dropout, self._scale, grad_dropped,
            grad_scores, *self._sizes(),
        )  # fmt: skip
        onednn.product(batch(grad_scores), batch(key), batch(grad_query))
        onednn.product(batch(grad_scores).transposed, batch(query), batch(grad_key))
        for part, gradient in enumerate((grad_query, grad_key, grad_value)):
            self._to_columns(gradient, grad_joined, part * self._heads * self._depth)

    def _sizes(self) -> tuple[int, ...]:
        layout = self._layout
        return layout.tokens, layout.rows, self._heads, layout.length, self._span

    def _pairs(self, columns: int, dtype: Any = np.uint16) -> np.ndarray:
        pairs = self._layout.rows * self._heads
        return empty(pairs * self._span, columns, dtype).reshape(pairs, self._span, columns)

    def _by_head(self, x: np.ndarray, first: int) -> np.ndarray:
        result = self._pairs(self._depth)
        kernels.call("bf16_to_heads", x, self._layout.starts, result, first, *self._column_sizes(x))
        return result

    def _to_columns(self, x: np.ndarray, into: np.ndarray, first: int) -> None:
        kernels.call("bf16_from_heads", x, self._layout.starts, into, first, *self._column_sizes(into))

    def _column_sizes(self, x: np.ndarray) -> tuple[int, ...]:
        return self._layout.tokens, *x.shape, *self._sizes()[1:], self._depth


class DynamicConvolution:
    """The span-based dynamic convolution, of the layer's input and what it was multiplied to.

    Args:
        layout: Of the rows.
        heads, depth: h and d; A = h·d.
        parameters: Depthwise (K, H), pointwise (H, A), its bias (A,), kernel (A, h·K), its bias (h·K,).
        bfloat16: The weights.
    """

    def __init__(
        self, layout: Layout, heads: int, depth: int, parameters: Tensors, bfloat16: Bfloat16
    ) -> None:
        self._layout, self._heads, self._depth = layout, heads, depth
        self._parameters, self._bfloat16 = parameters, bfloat16

    def forward(self, x: np.ndarray, joined: np.ndarray, context: np.ndarray) -> None:
        """x: (R, H), joined: (R, 4A), of query, key, value and the convolution's values → the last A columns
        of context (R, 2A)."""
        depthwise, pointwise, bias, kernel, kernel_bias = self._parameters
        rows, width, (size, hidden) = len(x), self._heads * self._depth, depthwise.shape
        tokens, bounds = self._layout.tokens, self._layout.bounds
        local, key, product = empty(rows, hidden), empty(rows, width), empty(rows, width)
        kernels.call("bf16_depthwise", x, depthwise, bounds, local, tokens, rows, hidden, size)
        onednn.product(matrix(local), self._bfloat16.weights(pointwise), matrix(key), row(bias))
        kernels.call("bf16_multiply", key, joined, product, tokens, rows, width, joined.shape[1])
        scores = empty(rows, self._heads * size)
        onednn.product(matrix(product), self._bfloat16.weights(kernel), matrix(scores), row(kernel_bias))
        softmax = empty(tokens, self._heads * size, np.float32)
        kernels.call(
            "bf16_span", scores, joined, bounds, softmax, context, 3 * width, *self._sizes(joined, size)
        )
        self._saved = x, joined, local, key, product, softmax

    def backward(self, grad_context: np.ndarray, grad_joined: np.ndarray, grad_x: paddle.Tensor) -> Tensors:
        """Adds to the query's columns of grad_joined and to grad_x (R, H); → the parameters' gradients."""
        depthwise, pointwise, _, kernel, _ = self._parameters
        x, joined, local, key, product, softmax = self._saved
        rows, width, (size, hidden) = len(x), self._heads * self._depth, depthwise.shape
        tokens, bounds = self._layout.tokens, self._layout.bounds
        grad_scores = empty(rows, self._heads * size)
        kernels.call(
            "bf16_span_gradient", softmax, joined, bounds, grad_context, grad_scores, grad_joined, 3 * width,
            *self._sizes(joined, size),
        )  # fmt: skip
        grad_product, grad_key, grad_local = empty(rows, width), empty(rows, width), empty(rows, hidden)
        onednn.product(matrix(grad_scores), self._bfloat16.transposed(kernel), matrix(grad_product))
        kernels.call(
            "bf16_multiply_gradient", key, joined, grad_product, grad_key, grad_joined,
            tokens, rows, width, joined.shape[1],
        )  # fmt: skip
        onednn.product(matrix(grad_key), self._bfloat16.transposed(pointwise), matrix(grad_local))
        sizes = tokens, rows, hidden, size
        kernels.call("bf16_depthwise_gradient", grad_local, depthwise, bounds, grad_x, *sizes)
        grad_depthwise = paddle.empty(depthwise.shape)
        kernels.call("bf16_depthwise_weight_gradient", x, grad_local, bounds, grad_depthwise, *sizes)
        return (
            grad_depthwise,
            weight_gradient(matrix(local), matrix(grad_key)),
            column_sums(grad_key),
            weight_gradient(matrix(product), matrix(grad_scores)),
            column_sums(grad_scores),
        )

    def _sizes(self, joined: np.ndarray, size: int) -> tuple[int, ...]:
        heads, depth = self._heads, self._depth
        return self._layout.tokens, *joined.shape, heads, depth, size, heads * depth
