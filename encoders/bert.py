"""The layers of BERT (arXiv:1810.04805), which ELECTRA (2003.10555) and ERNIE (1907.12412) have too.

B rows, T tokens, H hidden size, I intermediate size.
"""

from encoders import ops
from encoders.attention import Attention
from encoders.config import EncoderConfig
from encoders.framework import paddle
from encoders.layers import ACTIVATIONS, Dropout, GroupedLinear, Linear
from encoders.padding import Padding

nn = paddle.nn


class FeedForward(nn.Layer):
    """LayerNorm(x + dropout(outer(activation(inner(x)))))."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.inner = _linear(config.hidden_size, config.intermediate_size, config.num_groups)
        self.outer = _linear(config.intermediate_size, config.hidden_size, config.num_groups)
        self.norm = nn.LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, H) → (B, T, H)."""
        inner = ops.linear_activation(x, self.inner, self.activation)  # (B, T, I)
        return ops.add_norm(x, inner, self.outer, self.dropout, self.norm)


def _linear(width_in: int, width_out: int, groups: int) -> nn.Layer:
    return Linear(width_in, width_out) if groups == 1 else GroupedLinear(width_in, width_out, groups)


class BertLayer(nn.Layer):
    """Attention, then feed-forward."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config)

    def forward(self, x: paddle.Tensor, padding: Padding, first_only: bool = False) -> paddle.Tensor:
        """x: (B, T, H) → (B, T, H), with first_only (B, 1, H), the first token's."""
        return self.feed_forward(self.attention(x, padding, first_only))
