"""Heads: what turns hidden states into answers, with their losses.

B rows, T tokens, H hidden size, L outputs (labels, or 1 for regression).
"""

from encoders.config import EncoderConfig
from encoders.encoder import Encoder, initialise
from encoders.framework import paddle
from encoders.layers import ACTIVATIONS, Dropout, Linear

nn = paddle.nn
F = paddle.nn.functional


class LinearHead(nn.Layer):
    """The ConvBERT authors' head: dropout, one linear layer on the first token."""

    def __init__(self, config: EncoderConfig, outputs: int) -> None:
        super().__init__()
        self.dropout = Dropout(config.head_dropout)
        self.projection = Linear(config.hidden_size, outputs)

    def forward(self, first: paddle.Tensor) -> paddle.Tensor:
        """first: (B, H) → (B, L)."""
        return self.projection(self.dropout(first))


class DenseHead(nn.Layer):
    """Hugging Face's head for most model types: dropout, dense, activation (ModernBERT: LayerNorm), dropout,
    projection."""

    def __init__(self, config: EncoderConfig, outputs: int) -> None:
        super().__init__()
        self.input_dropout = Dropout(config.head_dropout if config.type.drops_head_input else 0.0)
        self.dropout = Dropout(config.head_dropout)
        bias = None if config.classifier_bias else False
        self.dense = Linear(config.hidden_size, config.hidden_size, bias_attr=bias)
        self.activation = ACTIVATIONS[config.type.head_activation or config.hidden_act]
        has_bias = None if config.norm_bias else False
        self.norm = (
            nn.LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps, bias_attr=has_bias)
            if config.type.has_head_norm
            else None
        )
        self.projection = Linear(config.hidden_size, outputs)

    def forward(self, first: paddle.Tensor) -> paddle.Tensor:
        """first: (B, H) → (B, L)."""
        x = self.activation(self.dense(self.input_dropout(first)))
        return self.projection(self.dropout(x if self.norm is None else self.norm(x)))


class PoolerHead(nn.Layer):
    """BERT's and ERNIE's: through the pretrained pooler (dense, tanh), dropout, projection."""

    def __init__(self, config: EncoderConfig, outputs: int) -> None:
        super().__init__()
        self.pooler = Linear(config.hidden_size, config.hidden_size)
        self.dropout = Dropout(config.head_dropout)
        self.projection = Linear(config.hidden_size, outputs)

    def forward(self, first: paddle.Tensor) -> paddle.Tensor:
        """first: (B, H) → (B, L)."""
        return self.projection(self.dropout(paddle.tanh(self.pooler(first))))


SENTENCE_HEADS = {"linear": LinearHead, "dense": DenseHead, "pooler": PoolerHead}


class SentenceClassifier(nn.Layer):
    """An encoder with a sentence head: classification, or regression with one output."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.outputs = max(1, len(config.id2label))
        self.encoder = Encoder(config)
        self.head = SENTENCE_HEADS[config.classifier_head](config, self.outputs)
        initialise(self, config.initializer_range)

    def initialise_head(self, seed: int) -> None:
        """Draw the head's weights again, from their own seed; what is drawn afterwards stays as it was."""
        state = paddle.get_rng_state()
        paddle.seed(seed)
        initialise(self.head, self.config.initializer_range)
        paddle.set_rng_state(state)

    def forward(
        self, ids: paddle.Tensor, token_types: paddle.Tensor, mask: paddle.Tensor | None = None
    ) -> paddle.Tensor:
        """ids, token_types: (B, T); mask: (B, T) or None → logits (B, L)."""
        if self.config.classifier_pooling == "mean":
            return self.head(_mean(self.encoder(ids, token_types, mask), mask))
        first = self.encoder(ids, token_types, mask, first_only=True)
        return self.head(first.squeeze(1))


def _mean(states: paddle.Tensor, mask: paddle.Tensor | None) -> paddle.Tensor:
    """The mean over the real tokens: (B, T, H) → (B, H)."""
    if mask is None:
        return states.mean(axis=1)
    real = mask.astype(states.dtype).unsqueeze(-1)  # (B, T, 1)
    return (states * real).sum(axis=1) / real.sum(axis=1)


def sentence_loss(logits: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
    """Sum over the rows of cross-entropy (L > 1) or squared error (L = 1).

    logits: (B, L); targets: (B,) int64 label ids or float32 values → scalar. Divide by the number of
    rows that make one step, so that accumulated and uneven batches weigh every row alike.
    """
    logits = logits.astype("float32")
    if logits.shape[1] == 1:
        return F.square_error_cost(logits.squeeze(1), targets).sum()
    return F.cross_entropy(logits, targets, reduction="sum")
