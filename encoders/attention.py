"""Self-attention (Vaswani et al. 2017, arXiv:1706.03762), the first half of a layer.

B rows, T tokens, H hidden size, A attention width (H, in ConvBERT H/2), h heads of d = A/h.
"""

import math

from encoders import ops
from encoders.config import EncoderConfig
from encoders.framework import paddle
from encoders.layers import Dropout, Linear
from encoders.padding import Padding

nn = paddle.nn


def attend(
    query: paddle.Tensor,
    key: paddle.Tensor,
    value: paddle.Tensor,
    heads: int,
    padding: Padding,
    dropout: Dropout,
) -> paddle.Tensor:
    """dropout(softmax(query · keyᵀ / √d)) · value, head by head; padding is not attended to.

    Args:
        query, key, value: (B, T, A) each.
        heads: h, a divisor of A.
        padding: Which tokens are padding.
        dropout: Of the attention's weights.

    Returns:
        (B, T, A)
    """
    scale = 1 / math.sqrt(query.shape[-1] // heads)
    query, key, value = (padding.pad_to_heads(x, heads) for x in (query, key, value))  # (B, h, T, d)
    weights = ops.attention_weights(query, key, scale, padding.mask, dropout)  # (B, h, T, T)
    return padding.unpad_from_heads(paddle.matmul(weights, value))


class Attention(nn.Layer):
    """LayerNorm(x + dropout(output(attention of x)))."""

    has_fast_form = True  # encoders.ops can compute what ``forward`` says

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden, width = config.hidden_size, config.attention_width
        self.heads = config.attention_heads
        self.query = Linear(hidden, width)
        self.key = Linear(hidden, width)
        self.value = Linear(hidden, width)
        self.output = Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden, epsilon=config.layer_norm_eps)
        self.probability_dropout = Dropout(config.attention_probs_dropout_prob)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, x: paddle.Tensor, padding: Padding, first_only: bool = False) -> paddle.Tensor:
        """x: (B, T, H) → (B, T, H), with first_only (B, 1, H), the first token's."""
        query, key, value = self.query(x), self.key(x), self.value(x)  # (B, T, A)
        context = attend(query, key, value, self.heads, padding, self.probability_dropout)  # (B, T, H)
        if first_only:
            x, context = padding.first_token(x), padding.first_token(context)
        return ops.add_norm(x, context, self.output, self.dropout, self.norm)
