"""Heads that answer with a span of tokens, with their losses.

An answer may begin and end at the first token (no answer) and in the second segment with its [SEP]. Elsewhere
logits are lowered by 1000, as in the authors' code, so question and padding have no part in any softmax.

B rows, T tokens, H hidden size, K beam.
"""

from typing import NamedTuple

from encoders.config import EncoderConfig
from encoders.encoder import Encoder, initialise
from encoders.framework import paddle
from encoders.layers import Linear

nn = paddle.nn
F = paddle.nn.functional

_LOWERED_BY = 1000.0
_JOINT_WIDTH = 512


class Beams(NamedTuple):
    """What the joint head answers.

    Attributes:
        start: (B, K) log probabilities of the likeliest starts.
        start_at: (B, K) int64, their positions.
        end: (B, K, K) log probabilities of the likeliest ends of each start.
        end_at: (B, K, K) int64, their positions.
        impossible: (B,) logits, above 0 where there is no answer.
    """

    start: paddle.Tensor
    start_at: paddle.Tensor
    end: paddle.Tensor
    end_at: paddle.Tensor
    impossible: paddle.Tensor


def mask_question(logits: paddle.Tensor, token_types: paddle.Tensor) -> paddle.Tensor:
    """Lower the logits where no answer may be.

    Args:
        logits: (…, T)
        token_types: (B, T), 1 in the second segment, 0 at padding.

    Returns:
        (…, T) float32
    """
    allowed = token_types.astype("float32")
    first = paddle.arange(token_types.shape[1]) == 0
    return logits.astype("float32") + _LOWERED_BY * (paddle.maximum(allowed, first.astype("float32")) - 1.0)


def span_loss(start: paddle.Tensor, end: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
    """Sum over the rows of the mean of both cross-entropies.

    start, end: (B, T) masked logits; targets: (B, 2) int64 positions of the first and the last token.
    """
    losses = F.cross_entropy(start, targets[:, 0], reduction="sum")
    return (losses + F.cross_entropy(end, targets[:, 1], reduction="sum")) / 2.0


class LinearSpanHead(nn.Layer):
    """BERT's: one linear layer gives every token a start and an end logit."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.projection = Linear(config.hidden_size, 2)

    def forward(
        self, hidden: paddle.Tensor, token_types: paddle.Tensor
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """hidden: (B, T, H) → start and end logits, (B, T) each."""
        logits = self.projection(hidden)  # (B, T, 2)
        return mask_question(logits[:, :, 0], token_types), mask_question(logits[:, :, 1], token_types)

    def loss(
        self,
        hidden: paddle.Tensor,
        token_types: paddle.Tensor,
        targets: paddle.Tensor,
        impossible: paddle.Tensor,
    ) -> paddle.Tensor:
        """Sum over the rows, as ``JointSpanHead.loss``; impossible is not used: it shows in the targets."""
        start, end = self(hidden, token_types)
        return span_loss(start, end, targets)


class JointSpanHead(nn.Layer):
    """The ELECTRA and ConvBERT authors' (``finetune/qa/qa_tasks.py``): the end is chosen knowing the start,
    by a beam over starts, and a classifier says whether there is an answer.

    Args:
        config: Of the encoder.
        beam: How many starts, and how many ends of each.
        answerable_weight: Weight of the classifier's loss.
    """

    def __init__(self, config: EncoderConfig, beam: int = 20, answerable_weight: float = 0.5) -> None:
        super().__init__()
        width = config.hidden_size
        self.beam, self.answerable_weight = beam, answerable_weight
        self.start = Linear(width, 1)
        self.end_hidden = Linear(2 * width, _JOINT_WIDTH)
        self.end = Linear(_JOINT_WIDTH, 1)
        self.answerable_hidden = Linear(2 * width, _JOINT_WIDTH)
        self.answerable = Linear(_JOINT_WIDTH, 1)

    def loss(
        self,
        hidden: paddle.Tensor,
        token_types: paddle.Tensor,
        targets: paddle.Tensor,
        impossible: paddle.Tensor,
    ) -> paddle.Tensor:
        """Sum over the rows of span loss + answerable_weight · the classifier's. The end is learnt from the
        true start.

        Args:
            hidden: (B, T, H)
            token_types: (B, T)
            targets: (B, 2) int64, the answer's first and last token.
            impossible: (B,) float32, 1 for questions without an answer, whose targets are the first token.
        """
        start = self.start_logits(hidden, token_types)
        end = self._end_logits(hidden, token_types, targets[:, 0])
        doubt = self.impossible_logits(hidden, start)
        classifier_loss = F.binary_cross_entropy_with_logits(doubt, impossible, reduction="sum")
        return span_loss(start, end, targets) + self.answerable_weight * classifier_loss

    def forward(self, hidden: paddle.Tensor, token_types: paddle.Tensor) -> Beams:
        """hidden: (B, T, H) → the beams."""
        start = self.start_logits(hidden, token_types)
        beam = min(self.beam, hidden.shape[1])
        starts, starts_at = paddle.topk(F.log_softmax(start, axis=-1), beam, axis=-1)
        ends = []
        for rank in range(beam):  # one start at a time: all at once need K times the memory
            end = self._end_logits(hidden, token_types, starts_at[:, rank])
            ends.append(paddle.topk(F.log_softmax(end, axis=-1), beam, axis=-1))
        end, end_at = (paddle.stack(list(parts), axis=1) for parts in zip(*ends, strict=True))
        return Beams(starts, starts_at, end, end_at, self.impossible_logits(hidden, start))

    def start_logits(self, hidden: paddle.Tensor, token_types: paddle.Tensor) -> paddle.Tensor:
        """(B, T, H) → (B, T), masked."""
        return mask_question(self.start(hidden).squeeze(-1), token_types)

    def _end_logits(
        self, hidden: paddle.Tensor, token_types: paddle.Tensor, start_at: paddle.Tensor
    ) -> paddle.Tensor:
        """(B, T, H), start positions (B,) → (B, T), masked."""
        # The state at the start as a product: slices are slow backwards.
        at_start = F.one_hot(start_at, hidden.shape[1]).unsqueeze(1).astype(hidden.dtype)  # (B, 1, T)
        start = paddle.matmul(at_start, hidden)  # (B, 1, H)
        both = paddle.concat([start.expand(hidden.shape), hidden], axis=-1)  # (B, T, 2H)
        return mask_question(self.end(F.gelu(self.end_hidden(both))).squeeze(-1), token_types)

    def impossible_logits(self, hidden: paddle.Tensor, start: paddle.Tensor) -> paddle.Tensor:
        """(B,), from the first token and the mean of all states by the probabilities of start (B, T)."""
        weights = F.softmax(start, axis=-1).unsqueeze(1)  # (B, 1, T)
        mean = paddle.matmul(weights, hidden.astype("float32")).squeeze(1).astype(hidden.dtype)
        both = paddle.concat([hidden[:, 0], mean], axis=-1)  # (B, 2H)
        return self.answerable(F.gelu(self.answerable_hidden(both))).squeeze(-1).astype("float32")


class SpanModel(nn.Layer):
    """An encoder with a span head."""

    def __init__(self, config: EncoderConfig, head: LinearSpanHead | JointSpanHead) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.span_head = head
        initialise(self, config.initializer_range)

    def forward(
        self, ids: paddle.Tensor, token_types: paddle.Tensor, mask: paddle.Tensor | None = None
    ) -> tuple[paddle.Tensor, paddle.Tensor] | Beams:
        """ids, token_types: (B, T); mask: (B, T) or None → what the head answers."""
        return self.span_head(self.encoder(ids, token_types, mask), token_types)

    def loss(
        self,
        ids: paddle.Tensor,
        token_types: paddle.Tensor,
        mask: paddle.Tensor | None,
        targets: paddle.Tensor,
        impossible: paddle.Tensor,
    ) -> paddle.Tensor:
        """The sum of the rows' losses; see the heads."""
        return self.span_head.loss(self.encoder(ids, token_types, mask), token_types, targets, impossible)
