"""DistilBERT (Sanh et al. 2019, arXiv:1910.01108): BERT without token types, with one dropout less."""

from encoders.attention import Attention
from encoders.config import EncoderConfig
from encoders.layers import Dropout


class UndroppedAttention(Attention):
    """LayerNorm(x + output(attention of x)): the sum has no dropout."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.dropout = Dropout(0.0)
