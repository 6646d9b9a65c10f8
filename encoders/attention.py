"""Self-attention, and ConvBERT's mixture of it with span-based dynamic convolution.

B rows, T tokens, H hidden size, A attention width (H, in ConvBERT H/2), h heads of d = A/h, K taps.
"""

import math

from encoders.config import EncoderConfig
from encoders.convolution import Mask, depthwise, modulated, span_beside
from encoders.cpu.fused import add_norm, attention_weights
from encoders.cpu.unpadding import Packing
from encoders.dropout import Dropout
from encoders.framework import paddle
from encoders.linear import Linear

nn = paddle.nn


class SpanConvolution(nn.Layer):
    """Span-based dynamic convolution (arXiv:2008.02496, section 3.2).

    A depthwise-separable convolution of the input gives the span-aware key; times the query it gives,
    for every position and head, a softmax kernel over K neighbours, applied to values of its own.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width, heads, self.taps = config.attention_width, config.attention_heads, config.conv_kernel_size
        self.heads = heads
        self.depthwise = self.create_parameter([self.taps, config.hidden_size])
        self.pointwise = self.create_parameter([config.hidden_size, width])
        self.bias = self.create_parameter([width], is_bias=True)
        self.kernel = Linear(width, heads * self.taps)
        self.value = Linear(config.hidden_size, width)

    def forward(
        self, other: paddle.Tensor, x: paddle.Tensor, query: paddle.Tensor, mask: Mask
    ) -> paddle.Tensor:
        """What attention gave, and behind it the convolution: other, query: (B, T, A); x: (B, T, H);
        mask: (B, T), 0 at padding, a packing, or None → (B, T, 2A)."""
        mixed = modulated(depthwise(x, self.depthwise, mask), self.pointwise, self.bias, query)  # (B, T, A)
        scores = self.kernel(mixed).reshape([x.shape[0], x.shape[1], self.heads, self.taps])
        return span_beside(other, scores, x, self.value, mask)


class Attention(nn.Layer):
    """One layer's attention with its output projection, residual and LayerNorm."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.attention_width
        self.heads = config.attention_heads
        self.query = Linear(config.hidden_size, width)
        self.key = Linear(config.hidden_size, width)
        self.value = Linear(config.hidden_size, width)
        self.span_conv = SpanConvolution(config) if config.is_conv else None
        self.reference_padding = config.reference_padding
        self.output = Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps)
        self.probability_dropout = Dropout(config.attention_probs_dropout_prob)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, x: paddle.Tensor, mask: Mask, first_only: bool = False) -> paddle.Tensor:
        """x: (B, T, H); mask: (B, T), 1 real and 0 padding, or None → (B, T, H), or (B, 1, H).

        Where the mask is a packing x is (1, P, H), and so is the result.
        """
        query = self.query(x)  # (B, T, A)
        mixed = self._attend(query, self.key(x), self.value(x), mask)
        if self.span_conv is not None:
            seen = None if self.reference_padding else mask
            mixed = self.span_conv(mixed, x, query, seen)  # (B, T, H)
        if first_only:
            x, mixed = (mask.first(part) if isinstance(mask, Packing) else part[:, :1] for part in (x, mixed))
        return add_norm(x, mixed, self.output, self.dropout, self.norm)

    def _attend(
        self, query: paddle.Tensor, key: paddle.Tensor, value: paddle.Tensor, mask: Mask
    ) -> paddle.Tensor:
        depth = query.shape[-1] // self.heads
        query, key, value = (self._by_head(part, mask) for part in (query, key, value))  # (B, h, T, d)
        weights = attention_weights(query, key, 1 / math.sqrt(depth), mask, self.probability_dropout)
        mixed = paddle.matmul(weights, value)
        if isinstance(mask, Packing):
            return mask.by_token(mixed)
        mixed = mixed.transpose([0, 2, 1, 3])  # (B, T, h, d)
        return mixed.reshape([mixed.shape[0], mixed.shape[1], -1])  # (B, T, A)

    def _by_head(self, x: paddle.Tensor, mask: Mask) -> paddle.Tensor:
        if isinstance(mask, Packing):
            return mask.by_head(x, self.heads)
        return x.reshape([x.shape[0], x.shape[1], self.heads, -1]).transpose([0, 2, 1, 3])
