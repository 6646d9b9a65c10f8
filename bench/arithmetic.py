"""The sums behind the tables: ratios, samples of an epoch, arithmetic per row. No clock, no Paddle."""

import statistics
from collections.abc import Sequence

import numpy as np

from encoders.config import EncoderConfig


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """How often ours fits into theirs: the median of the ratios round by round.

    Rounds are interleaved, so a machine that slows down slows both numbers of a round.
    """
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def strata(costs: Sequence[float], count: int) -> list[int]:
    """Which batches stand for all: sorted by cost, cut into ``count`` equal parts, the middle of each.

    Where all cost the same one is enough.
    """
    if len(set(costs)) == 1:
        return [0]
    order = np.argsort(np.asarray(costs), kind="stable")
    count = min(count, len(order))
    return [int(order[int((number + 0.5) * len(order) / count)]) for number in range(count)]


def stretched(rounds: Sequence[Sequence[float]], batches: int) -> list[float]:
    """Seconds of all batches, by round, from those of a sample by ``strata``: mean times their number."""
    return [statistics.fmean(seconds) * batches for seconds in rounds]


def forward_flop(config: EncoderConfig, length: int, first_only: bool = True) -> float:
    """Floating-point operations of the matrix products and convolutions for one row, forward.

    A multiplication and an addition count as two. first_only: a sentence head, for which the last
    layer's output and feed-forward are needed at the first token alone. The head itself is not counted.
    """
    hidden, width, inner = config.hidden_size, config.attention_width, config.intermediate_size
    heads, kernel_size = config.attention_heads, config.conv_kernel_size
    inputs = 3 * hidden * width + 2 * length * width  # query, key, value; scores and their sums
    if config.model_type == "deberta-v2":
        inputs += len(config.pos_att_type) * 2 * length * width  # each kind's scores of 2T distances
    if config.is_conv:
        inputs += 2 * hidden * width + width * heads * kernel_size  # value, pointwise; kernels
        inputs += hidden * kernel_size + width * kernel_size  # both convolutions
    halves = 3 if config.model_type == "modernbert" else 2  # its inner layer is two, one the other's gate
    outputs = hidden * hidden + halves * hidden * inner // config.num_groups
    projection = config.embedding_size * hidden if config.embedding_size != hidden else 0
    layers = config.num_hidden_layers
    tokens_out = length * (layers - 1) + (1 if first_only else length)
    return 2.0 * (length * (projection + layers * inputs) + tokens_out * outputs)


def rate(flop: float, seconds: float) -> float:
    """GFLOP/s."""
    return flop / seconds / 1e9
