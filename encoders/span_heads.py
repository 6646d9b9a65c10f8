"""Heads that answer with a span of tokens, with their losses.

B rows, T tokens, H hidden size, K beam. Where an answer may be: the first token (for no answer) and the
second segment with its [SEP]; elsewhere logits are lowered by 1000, as in the authors' code, so question
and padding have no part in any softmax.
"""

from typing import NamedTuple

from encoders.config import EncoderConfig
from encoders.encoder import Encoder, initialise
from encoders.framework import paddle
from encoders.layers import Linear

nn = paddle.nn
F = paddle.nn.functional

_LOWERED = 1000.0
_JOINT_WIDTH = 512


class Beams(NamedTuple):
    """What the joint head answers. start: (B, K) and end: (B, K, K) log probabilities, end given its
    start; start_at, end_at: their positions, int64; impossible: (B,) logits."""

    start: paddle.Tensor
    start_at: paddle.Tensor
    end: paddle.Tensor
    end_at: paddle.Tensor
    impossible: paddle.Tensor


def lowered(logits: paddle.Tensor, token_types: paddle.Tensor) -> paddle.Tensor:
    """logits: (…, T), as float32 and lowered where no answer may be; token_types: (B, T), 0 where padded."""
    allowed = token_types.astype("float32")
    first = paddle.arange(token_types.shape[1]) == 0
    return logits.astype("float32") + _LOWERED * (paddle.maximum(allowed, first.astype("float32")) - 1.0)


def span_loss(start: paddle.Tensor, end: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
    """Sum over the rows of the mean of both cross-entropies.

    start, end: (B, T) lowered logits; targets: (B, 2) int64 positions of the first and the last token.
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
        return lowered(logits[:, :, 0], token_types), lowered(logits[:, :, 1], token_types)

    def loss(
        self,
        hidden: paddle.Tensor,
        token_types: paddle.Tensor,
        targets: paddle.Tensor,
        impossible: paddle.Tensor,
    ) -> paddle.Tensor:
        """Sum over the rows; impossible has no part in it (these rows' targets are the first token)."""
        start, end = self(hidden, token_types)
        return span_loss(start, end, targets)


class JointSpanHead(nn.Layer):
    """The ELECTRA and ConvBERT authors' (``finetune/qa/qa_tasks.py``): the end is chosen knowing the start,
    by a beam over starts, and a classifier says whether there is an answer.

    answerable_weight: of the classifier's loss. beam: starts, and ends of each.
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
        """Sum over the rows of span loss + answerable_weight · the classifier's.

        hidden: (B, T, H); targets: (B, 2) int64; impossible: (B,) float32, 1 for unanswerable questions.
        The end is learnt from the true start.
        """
        start = self._start(hidden, token_types)
        at_start = F.one_hot(
            targets[:, 0], hidden.shape[1]
        )  # (B, T); a product, as slices are slow backwards
        chosen = paddle.matmul(at_start.unsqueeze(1).astype(hidden.dtype), hidden)  # (B, 1, H)
        end = lowered(self._end(chosen, hidden), token_types)
        doubt = F.binary_cross_entropy_with_logits(
            self._impossible(hidden, start), impossible, reduction="sum"
        )
        return span_loss(start, end, targets) + self.answerable_weight * doubt

    def forward(self, hidden: paddle.Tensor, token_types: paddle.Tensor) -> Beams:
        """hidden: (B, T, H) → the beams."""
        start = self._start(hidden, token_types)
        beam = min(self.beam, hidden.shape[1])
        start_log, start_at = paddle.topk(F.log_softmax(start, axis=-1), beam, axis=-1)
        ends, ends_at = [], []
        for place in range(beam):  # one start at a time: all at once need K times the memory
            at = F.one_hot(start_at[:, place], hidden.shape[1]).unsqueeze(1).astype(hidden.dtype)
            end = lowered(self._end(paddle.matmul(at, hidden), hidden), token_types)
            end_log, end_at = paddle.topk(F.log_softmax(end, axis=-1), beam, axis=-1)
            ends.append(end_log)
            ends_at.append(end_at)
        return Beams(
            start_log,
            start_at,
            paddle.stack(ends, axis=1),
            paddle.stack(ends_at, axis=1),
            self._impossible(hidden, start),
        )

    def _start(self, hidden: paddle.Tensor, token_types: paddle.Tensor) -> paddle.Tensor:
        return lowered(self.start(hidden).squeeze(-1), token_types)

    def _end(self, chosen: paddle.Tensor, hidden: paddle.Tensor) -> paddle.Tensor:
        """chosen: (B, 1, H), the start's hidden state → (B, T) logits of the end."""
        both = paddle.concat([chosen.expand(hidden.shape), hidden], axis=-1)  # (B, T, 2H)
        return self.end(F.gelu(self.end_hidden(both))).squeeze(-1)

    def _impossible(self, hidden: paddle.Tensor, start: paddle.Tensor) -> paddle.Tensor:
        """(B,) logits, from the first token and the states weighted by the start's probabilities."""
        share = F.softmax(start, axis=-1).unsqueeze(1)  # (B, 1, T)
        mean = paddle.matmul(share, hidden.astype("float32")).squeeze(1).astype(hidden.dtype)
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
