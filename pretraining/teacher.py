"""The larger network that is learned from: its hidden states, and how much its values vary.

B rows, T tokens, W the teacher's hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import InputError
from encoders import distributed
from encoders.batching import Batch
from encoders.encoder import Encoder
from encoders.framework import paddle
from inference.network_engine import tensors
from pretraining.batches import own_share, real_of
from pretraining.pairs import PairSimilarity, has_pairs, pair_similarity, separate_texts

F = paddle.nn.functional


def matched_depths(layers: int, matched: int) -> list[int]:
    """After which layers (counted from 1) two networks are compared: evenly spread, the last among them."""
    return [round(layers * (number + 1) / matched) for number in range(matched)]


def hidden_states(encoder: Encoder, batch: Batch, depths: Sequence[int]) -> list[paddle.Tensor]:
    """The hidden states (B, T, H) after the given layers, counted from 1."""
    ids, token_types, mask = tensors(batch)
    return encoder.states(ids, token_types, mask, depths)


def sentence_vectors(states: paddle.Tensor, batch: Batch) -> paddle.Tensor:
    """The mean of each row's real tokens, at length 1: (B, T, H) → (B, H)."""
    if batch.mask is not None:
        states = states * paddle.to_tensor(batch.mask).unsqueeze(-1)
    return F.normalize(states.sum(axis=1), axis=-1)


def cosines_between(rows: paddle.Tensor) -> paddle.Tensor:
    """The cosine of every two rows of length 1: (B, H) → (B, B)."""
    return paddle.matmul(rows, rows, transpose_y=True)


@dataclass(frozen=True)
class ValueScale:
    """What a kind of the teacher's values varies by."""

    mean: float
    deviation: float  # their standard deviation; 1 where all are equal or there are none
    tokens_per_value: float  # for how many tokens of text there is one value

    @classmethod
    def from_sums(cls, sums: np.ndarray, tokens: float) -> "ValueScale":
        """Of count, sum and sum of squares; tokens: of the text that they were counted in."""
        count, total, squares = sums
        if not count:
            return cls(0.0, 1.0, 0.0)
        deviation = max(0.0, squares / count - (total / count) ** 2) ** 0.5
        return cls(float(total / count), float(deviation) or 1.0, float(tokens / count))


@dataclass(frozen=True)
class LossScale:
    """What losses are divided by, measured on the teacher; a loss of 1 is that of always giving the mean."""

    hidden: tuple[float, ...]  # the variance of the hidden states of each matched layer
    cosines: float  # the variance of the cosines between sentences
    texts: ValueScale  # of the cosine of a pair's two texts
    tokens: ValueScale  # of the cosine of a token to the nearest of the other text


class Teacher:
    """A network whose hidden states are the targets; it learns nothing itself."""

    def __init__(self, encoder: Encoder, matched: int) -> None:
        self.encoder, self.depths = encoder, matched_depths(len(encoder.layers), matched)
        encoder.eval()

    def states(self, batch: Batch) -> list[paddle.Tensor]:
        """The hidden states (B, T, W) of the matched layers."""
        with paddle.no_grad():
            return hidden_states(self.encoder, batch, self.depths)

    def pairs(self, batch: Batch) -> PairSimilarity:
        """How near it sees the two texts of each pair, reading each by itself; there must be pairs."""
        config = self.encoder.config
        texts, rows = separate_texts(batch, config.pad_token_id, config.type.separators)
        with paddle.no_grad():
            (states,) = hidden_states(self.encoder, texts, self.depths[-1:])
        return pair_similarity(batch, rows, texts, states.astype("float32").numpy(), config.type.separators)

    def measure(self, batches: Sequence[Batch], with_pairs: bool) -> LossScale:
        """Measure what its values vary by, on batches of which each process takes its share."""
        layers, width = len(self.depths), self.encoder.config.hidden_size
        tokens = np.zeros(layers)
        columns = np.zeros((layers, 2, width))  # sum and sum of squares of each column
        cosines = np.zeros(3)  # count, sum and sum of squares
        pairs = np.zeros((2, 3))  # the same of texts and of tokens
        for batch in own_share(batches):
            states, real = self.states(batch), real_of(batch)
            for number, state in enumerate(states):
                values = state.numpy()[real].astype(np.float64)
                columns[number] += values.sum(axis=0), (values**2).sum(axis=0)
                tokens[number] += len(values)
            between = cosines_between(sentence_vectors(states[-1], batch)).numpy()
            cosines += _sums(between[~np.eye(len(batch), dtype=bool)])
            if with_pairs and has_pairs(batch):
                similarity = self.pairs(batch)
                pairs += [_sums(similarity.text_cosines), _sums(similarity.token_cosines)]
        pairs = distributed.all_reduce(pairs)
        if with_pairs and not pairs[0, 0]:
            raise InputError(
                "--pair_weight: no held-out example has two texts; give it a corpus of pairs, or leave it out"
            )
        tokens, columns, cosines = (distributed.all_reduce(sums) for sums in (tokens, columns, cosines))
        means = columns / tokens[:, None, None]
        variances = (means[:, 1] - means[:, 0] ** 2).mean(axis=1)
        texts, token_scale = (ValueScale.from_sums(sums, tokens[0]) for sums in pairs)
        between_sentences = ValueScale.from_sums(cosines, tokens[0]).deviation ** 2
        return LossScale(tuple(map(float, variances)), between_sentences, texts, token_scale)


def _sums(values: np.ndarray) -> tuple[float, float, float]:
    """Count, sum and sum of squares, exactly."""
    exact = values.astype(np.float64)
    return exact.size, exact.sum(), (exact**2).sum()
