"""One layer of an encoder: attention, then feed-forward.

B rows, T tokens, H hidden size.
"""

from typing import Any

from encoders import ops
from encoders.framework import paddle
from encoders.padding import Padding

nn = paddle.nn


class EncoderLayer(nn.Layer):
    """Attention, then feed-forward; each adds to x and normalises."""

    def __init__(self, attention: nn.Layer, feed_forward: nn.Layer) -> None:
        super().__init__()
        self.attention, self.feed_forward = attention, feed_forward

    def forward(
        self, x: paddle.Tensor, padding: Padding, first_only: bool = False, *shared: Any
    ) -> paddle.Tensor:
        """x: (B, T, H) → (B, T, H), with first_only (B, 1, H), the first token's.

        shared: what the attention of all layers shares, where the family has such a thing.
        """
        return ops.feed_forward(
            self.feed_forward, ops.attention(self.attention, x, padding, first_only, *shared)
        )
