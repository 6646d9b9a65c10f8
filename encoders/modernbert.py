"""ModernBERT (Warner et al. 2024, arXiv:2412.13663): rotary positions, local attention, gated feed-forward.

Each half of a layer is x + f(LayerNorm(x)); linear layers and LayerNorms have no biases unless configured.

B rows, T tokens, H hidden size, h heads of d = H/h columns, I intermediate size.
"""

import math
from typing import NamedTuple

from encoders import family_ops, ops
from encoders.config import EncoderConfig
from encoders.encoder_layer import EncoderLayer
from encoders.framework import paddle
from encoders.layers import ACTIVATIONS, Dropout, Linear
from encoders.padding import Padding
from encoders.rotary import is_local, speeds

nn = paddle.nn


class Rotation(NamedTuple):
    """By what angles the queries and keys of a kind of layer are turned, and how far its tokens see.

    Attributes:
        cos, sin: (T, d)
        bias: (T, T), added to the scores: 0 within the window, very low beyond; None: all is within.
    """

    cos: paddle.Tensor
    sin: paddle.Tensor
    bias: paddle.Tensor | None


class RotaryPositions(nn.Layer):
    """The rotations of the global and of the local layers (Su et al. 2021, arXiv:2104.09864)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, length: int) -> tuple[Rotation, Rotation]:
        """length: T, in a graph a tensor → of the global layers, of the local ones."""
        bias = _window_bias(self.config, length)
        return self._rotation(length, False, None), self._rotation(length, True, bias)

    def _rotation(self, length: int, local: bool, bias: paddle.Tensor | None) -> Rotation:
        turned = _positions(length) * paddle.to_tensor(speeds(self.config, local))
        return Rotation(paddle.cos(turned), paddle.sin(turned), bias)


def _positions(length: int) -> paddle.Tensor:
    """(T, 1) float32."""
    return paddle.arange(length, dtype="float32").unsqueeze(1)


def _window_bias(config: EncoderConfig, length: int) -> paddle.Tensor | None:
    """(T, T): 0 where two tokens are within half a window of each other, very low elsewhere; None where all
    are."""
    half, at = config.local_attention // 2, _positions(length)
    if isinstance(length, int) and length <= half + 1:
        return None
    return ((at - at.transpose([1, 0])).abs() > half).astype("float32") * ops.MASKED


class RotaryAttention(nn.Layer):
    """x + dropout(output(attention of LayerNorm(x))); the first layer's input is normalised already."""

    def __init__(self, config: EncoderConfig, number: int) -> None:
        super().__init__()
        hidden, self.heads = config.hidden_size, config.num_attention_heads
        bias = None if config.attention_bias else False
        self.norm = _norm(config) if number else None
        self.qkv = Linear(hidden, 3 * hidden, bias_attr=bias)
        self.output = Linear(hidden, hidden, bias_attr=bias)
        self.kind = int(is_local(config, number))
        self.scale = 1 / math.sqrt(hidden // self.heads)
        self.probability_dropout = Dropout(config.attention_probs_dropout_prob)
        self.dropout = Dropout(config.attention_probs_dropout_prob)

    def forward(
        self,
        x: paddle.Tensor,
        padding: Padding,
        first_only: bool = False,
        rotations: tuple[Rotation, Rotation] | None = None,
    ) -> paddle.Tensor:
        """x: (B, T, H) → (B, T, H), with first_only (B, 1, H), the first token's."""
        assert rotations is not None
        rotation = rotations[self.kind]
        parts = self.qkv(x if self.norm is None else self.norm(x)).split(3, axis=-1)  # (B, T, H) each
        query, key, value = (padding.pad_to_heads(part, self.heads) for part in parts)  # (B, h, T, d)
        query, key = (family_ops.rotate(part, rotation.cos, rotation.sin) for part in (query, key))
        scores = paddle.matmul(query, key, transpose_y=True)
        if rotation.bias is not None:
            scores = scores + rotation.bias.astype(scores.dtype) / self.scale
        weights = ops.softmax_weights(scores, self.scale, padding.mask, self.probability_dropout)
        context = padding.unpad_from_heads(paddle.matmul(weights, value))  # (B, T, H)
        if first_only:
            x, context = padding.first_token(x), padding.first_token(context)
        return x + self.dropout(self.output(context))


class GatedFeedForward(nn.Layer):
    """x + outer(dropout(activation(a) · b)), where a and b are the halves of inner(LayerNorm(x))."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden, inner = config.hidden_size, config.intermediate_size
        bias = None if config.mlp_bias else False
        self.norm = _norm(config)
        self.inner = Linear(hidden, 2 * inner, bias_attr=bias)
        self.outer = Linear(inner, hidden, bias_attr=bias)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, H) → (B, T, H)."""
        gated = family_ops.gated(self.inner(self.norm(x)), self.activation)  # (B, T, I)
        return x + self.outer(self.dropout(gated))


class FinalNorm(nn.Layer):
    """LayerNorm of the last layer's states, which the layers themselves leave as a sum."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.norm = _norm(config)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, H) → (B, T, H)."""
        return self.norm(x)


def modernbert_layer(config: EncoderConfig, number: int) -> EncoderLayer:
    """The layer of this number, counted from 0."""
    return EncoderLayer(RotaryAttention(config, number), GatedFeedForward(config))


def _norm(config: EncoderConfig) -> nn.Layer:
    bias = None if config.norm_bias else False
    return nn.LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps, bias_attr=bias)
