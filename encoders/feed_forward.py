"""The second half of a layer, which works on every token by itself.

B rows, T tokens, H hidden size, I intermediate size.
"""

from encoders import ops
from encoders.config import EncoderConfig
from encoders.framework import paddle
from encoders.layers import ACTIVATIONS, Dropout, GroupedLinear, Linear

nn = paddle.nn


class FeedForward(nn.Layer):
    """LayerNorm(x + dropout(outer(activation(inner(x)))))."""

    has_fast_form = True  # encoders.ops can compute what ``forward`` says

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
