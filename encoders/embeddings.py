"""The embeddings of BERT, and of the families that have the same.

B rows, T tokens, E embedding size, H hidden size.
"""

from encoders.config import EncoderConfig
from encoders.framework import paddle
from encoders.layers import Dropout, Linear
from encoders.padding import Padding

nn = paddle.nn


class Embeddings(nn.Layer):
    """Word + token-type + position (+ ERNIE's task-type) embeddings, LayerNorm, dropout, projection to H."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.embedding_size
        self.word = nn.Embedding(config.vocab_size, width)
        count = config.max_position_embeddings if config.has_position_table else 0
        self.position = nn.Embedding(count, width) if count else None
        self.token_type = nn.Embedding(config.token_types, width) if config.token_types else None
        self.task_type = nn.Embedding(config.task_type_vocab_size, width) if config.has_task_types else None
        bias = None if config.norm_bias else False
        self.norm = nn.LayerNorm(width, epsilon=config.layer_norm_eps, bias_attr=bias)
        rate = config.embedding_dropout
        self.dropout = Dropout(config.hidden_dropout_prob if rate is None else rate)
        self.projection = Linear(width, config.hidden_size) if width != config.hidden_size else None

    def forward(self, ids: paddle.Tensor, token_types: paddle.Tensor, padding: Padding) -> paddle.Tensor:
        """Embed a batch.

        Args:
            ids: (B, T) int64. They are looked up in this shape, which training/regularization/fgm.py needs.
            token_types: (B, T) int64.
            padding: The layout of the result.

        Returns:
            (B, T, H). Positions count from 0; every task type is 0.
        """
        x = padding.unpad(self.word(ids))  # (B, T, E)
        if self.token_type is not None:
            x = x + self.token_type_rows(token_types, padding)
        if self.position is not None:
            x = x + self.position_rows(ids, padding)
        if self.task_type is not None:
            x = x + self.task_type.weight[0]
        x = self.dropout(self.norm(x))
        return x if self.projection is None else self.projection(x)

    def token_type_rows(self, token_types: paddle.Tensor, padding: Padding) -> paddle.Tensor:
        """The token-type embeddings: (B, T, E), or what broadcasts to that."""
        assert self.token_type is not None
        return self.token_type(padding.unpad_ids(token_types))

    def position_rows(self, ids: paddle.Tensor, padding: Padding) -> paddle.Tensor:
        """The position embeddings: (T, E), or (B, T, E)."""
        assert self.position is not None
        return padding.position_rows(self.position, ids.shape[1])
