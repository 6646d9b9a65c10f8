"""RoBERTa (Liu et al. 2019, arXiv:1907.11692) and XLM-RoBERTa (arXiv:1911.02116): BERT with other positions.

B rows, T tokens, E embedding size.
"""

from encoders.config import EncoderConfig
from encoders.embeddings import Embeddings
from encoders.framework import paddle
from encoders.padding import Padding


class RobertaEmbeddings(Embeddings):
    """BERT's, but that positions begin behind pad_token_id, and that all tokens are of one type."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.pad_id = config.pad_token_id

    def token_type_rows(self, token_types: paddle.Tensor, padding: Padding) -> paddle.Tensor:
        """(E,): that of type 0."""
        assert self.token_type is not None
        return self.token_type.weight[0]

    def position_rows(self, ids: paddle.Tensor, padding: Padding) -> paddle.Tensor:
        """(B, T, E). Padding has the position pad_token_id, and is not counted where a text holds it."""
        assert self.position is not None
        is_real = (ids != self.pad_id).astype("int64")  # (B, T)
        positions = paddle.cumsum(is_real, axis=1) * is_real + self.pad_id
        return self.position(padding.unpad_ids(positions))
