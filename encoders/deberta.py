"""DeBERTa-v2 and -v3 (He et al., arXiv:2006.03654, arXiv:2111.09543): attention to content and to distance.

B rows, T tokens, H hidden size, h heads of d = H/h columns, S how many distances have an embedding.
"""

import math
from typing import NamedTuple

from encoders import family_ops, ops
from encoders.attention import Attention
from encoders.config import EncoderConfig
from encoders.encoder_layer import EncoderLayer
from encoders.feed_forward import FeedForward
from encoders.framework import paddle
from encoders.layers import ACTIVATIONS, Dropout, Linear
from encoders.padding import Padding
from encoders.relative_positions import distance_rows

nn = paddle.nn


class Distances(NamedTuple):
    """What the attention of all layers knows of the distances between the tokens of a batch.

    Attributes:
        table: (S, H) the embeddings of the distances.
        to_key: (2T,) int64, which of them belongs to T − 1, T − 2, … tokens from the query back to the key.
        to_query: (2T,) int64, the same from the key back to the query.
    """

    table: paddle.Tensor
    to_key: paddle.Tensor
    to_query: paddle.Tensor


class RelativePositions(nn.Layer):
    """The embeddings of distances, which all layers share."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.distance = nn.Embedding(2 * config.position_span, config.hidden_size)
        has_norm = "layer_norm" in config.norm_rel_ebd
        self.norm = nn.LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps) if has_norm else None
        self.most, self._rows = config.max_tokens, distance_rows(config)

    def forward(self, length: int | paddle.Tensor) -> Distances:
        """length: T, in a graph a tensor. Otherwise the table holds the rows alone that T tokens can need."""
        begin, end = self.most - length, self.most + length
        if not isinstance(length, int):
            rows = [paddle.to_tensor(every)[begin:end] for every in self._rows]
            return Distances(self._normalised(self.distance.weight), *rows)
        to_key, to_query = (every[begin:end] for every in self._rows)
        first, last = min(to_key.min(), to_query.min()), max(to_key.max(), to_query.max())
        table = self._normalised(self.distance.weight[int(first) : int(last) + 1])
        return Distances(table, paddle.to_tensor(to_key - first), paddle.to_tensor(to_query - first))

    def _normalised(self, table: paddle.Tensor) -> paddle.Tensor:
        return table if self.norm is None else self.norm(table)


class DisentangledAttention(Attention):
    """LayerNorm(x + dropout(output(attention of x))), whose scores have up to three terms.

    With q, k the query and key of the tokens and q′, k′ those of the distances, the score of token j for
    token i is (q_i · k_j + q_i · k′(i − j) + k_j · q′(i − j)) / √(terms · d): section 3.1 of the paper. q′
    and k′ come from the layer's own query and key (``share_att_key``), or from two more linear layers.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        hidden, self.kinds = config.hidden_size, config.pos_att_type
        self.position_key, self.position_query = (
            Linear(hidden, hidden) if kind in self.kinds and not config.share_att_key else None
            for kind in ("c2p", "p2c")
        )
        self.position_dropout = Dropout(config.hidden_dropout_prob)
        self.scale = 1 / math.sqrt(hidden // self.heads * (1 + len(self.kinds)))

    def forward(
        self,
        x: paddle.Tensor,
        padding: Padding,
        first_only: bool = False,
        distances: Distances | None = None,
    ) -> paddle.Tensor:
        """x: (B, T, H) → (B, T, H), with first_only (B, 1, H), the first token's."""
        assert distances is not None
        query, key, value = (
            padding.pad_to_heads(part(x), self.heads) for part in (self.query, self.key, self.value)
        )  # (B, h, T, d)
        scores = paddle.matmul(query, key, transpose_y=True)  # (B, h, T, T)
        table = self.position_dropout(distances.table)
        to_key = to_query = None  # what each query gives by distance, and each key
        if "c2p" in self.kinds:
            rows = self._heads(self.position_key or self.key, table, distances.to_key)
            to_key = paddle.matmul(query, rows)  # (B, h, T, 2T)
        if "p2c" in self.kinds:
            rows = self._heads(self.position_query or self.query, table, distances.to_query)
            to_query = paddle.matmul(key, rows)
        scores = family_ops.add_distance_scores(scores, to_key, to_query)
        weights = ops.softmax_weights(scores, self.scale, padding.mask, self.probability_dropout)
        context = padding.unpad_from_heads(paddle.matmul(weights, value))  # (B, T, H)
        if first_only:
            x, context = padding.first_token(x), padding.first_token(context)
        return ops.add_norm(x, context, self.output, self.dropout, self.norm)

    def _heads(self, linear: Linear, table: paddle.Tensor, rows: paddle.Tensor) -> paddle.Tensor:
        """linear(table) row by row: (S, H) and (2T,) → (1, h, d, 2T)."""
        projected = paddle.gather(linear(table), rows)  # (2T, H)
        return projected.reshape([projected.shape[0], self.heads, -1]).transpose([1, 2, 0]).unsqueeze(0)


class TokenConvolution(nn.Layer):
    """LayerNorm(y + activation(dropout(convolution of x over K tokens)))."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden, kernel_size = config.hidden_size, config.conv_kernel_size
        self.conv = nn.Conv1D(
            hidden, hidden, kernel_size, padding=(kernel_size - 1) // 2, groups=config.conv_groups
        )
        self.norm = nn.LayerNorm(hidden, epsilon=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.activation = ACTIVATIONS[config.conv_act]

    def forward(self, x: paddle.Tensor, y: paddle.Tensor, padding: Padding) -> paddle.Tensor:
        """x, y: (B, T, H) → (B, T, H); x counts as 0 at padding."""
        x = padding.pad(x)
        if padding.mask is not None:
            x = x * padding.mask.unsqueeze(-1)
        x = self.conv(x.transpose([0, 2, 1])).transpose([0, 2, 1])
        return self.norm(y + self.activation(self.dropout(padding.unpad(x))))


class ConvolvedLayer(EncoderLayer):
    """The first layer where a convolution is configured: what it gives meets that of the layer's input."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(DisentangledAttention(config), FeedForward(config))
        self.convolution = TokenConvolution(config)

    def forward(
        self, x: paddle.Tensor, padding: Padding, first_only: bool = False, *shared: Distances
    ) -> paddle.Tensor:
        """x: (B, T, H) → (B, T, H), with first_only (B, 1, H), the first token's."""
        y = self.convolution(x, super().forward(x, padding, False, *shared), padding)
        return padding.first_token(y) if first_only else y


def deberta_layer(config: EncoderConfig, number: int) -> EncoderLayer:
    """The layer of this number, counted from 0."""
    if number == 0 and config.conv_kernel_size:
        return ConvolvedLayer(config)
    return EncoderLayer(DisentangledAttention(config), FeedForward(config))
