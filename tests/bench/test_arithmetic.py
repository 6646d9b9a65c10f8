"""The sums behind the speed tables, worked out by hand."""

import math

import numpy as np
import pytest

from bench.arithmetic import forward_flop, rate, ratio, strata, stretched
from bench.sizes import config_of
from bench.workload import batches, same_length, sample
from checkpoints.mapping import expected_shapes
from encoders.batching import Features
from encoders.config import EncoderConfig, named


def test_ratio_is_of_rounds_and_not_of_medians() -> None:
    # Round by round 3, 2, 10: the median is 3, while the medians of both are 6 and 2.
    assert ratio([6, 4, 10], [2, 2, 1]) == 3


def test_a_machine_that_slows_down_leaves_the_ratio() -> None:
    assert ratio([4, 8, 40], [2, 4, 20]) == 2


def test_strata_are_the_middles_of_equal_parts() -> None:
    # Sorted 10 20 30 40 50 60: the middles of three parts are the 2nd, the 4th and the 6th.
    costs = [60, 10, 50, 20, 40, 30]
    assert [costs[i] for i in strata(costs, 3)] == [20, 40, 60]
    assert [costs[i] for i in strata(costs, 1)] == [40]
    assert sorted(strata(costs, 99)) == [0, 1, 2, 3, 4, 5]


def test_batches_of_one_cost_need_one_stratum() -> None:
    assert strata([128.0] * 50, 6) == [0]


def test_the_sample_of_a_linear_cost_gives_the_whole() -> None:
    # 101 costs 0 … 100: the whole is 5050, and so is the mean of one, three or 101 middles times 101.
    costs = [float(cost) for cost in range(101)]
    for count in (1, 101):
        seconds = [costs[i] for i in strata(costs, count)]
        assert stretched([seconds], 101) == [5050]


def test_stretched_is_mean_times_number_by_round() -> None:
    assert stretched([[1, 3], [2, 6]], 10) == [20, 40]


def test_flop_of_a_layer_by_hand() -> None:
    # H 4, attention width 2 of one head, inner 8, one layer, 3 taps, rows of 5 tokens.
    config = EncoderConfig(
        embedding_size=4, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        conv_kernel_size=3,
    )  # fmt: skip
    # A token's products: query, key, value 3·4·2 = 24; scores and sums 2·5·2 = 20; value and pointwise
    # 2·4·2 = 16; kernels 2·1·3 = 6; convolutions 4·3 + 2·3 = 18; output 4·4 + 2·4·8 = 80.
    assert forward_flop(config, 5, first_only=False) == 2 * 5 * (24 + 20 + 16 + 6 + 18 + 80)
    assert forward_flop(config, 5) == 2 * (5 * (24 + 20 + 16 + 6 + 18) + 80)


def test_flop_of_a_projection_and_of_groups() -> None:
    config = EncoderConfig(
        model_type="electra", embedding_size=3, hidden_size=4, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=8, num_groups=2,
    )  # fmt: skip
    # Projection 3·4 = 12; a layer: 3·4·4 + 2·1·4 = 56 and 16 + 2·4·8/2 = 48.
    assert forward_flop(config, 1, first_only=False) == 2 * (12 + 2 * (56 + 48))


def test_flop_of_distances_and_of_gates() -> None:
    sizes = {
        "embedding_size": 4, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 8,
    }  # fmt: skip
    # Three projections 3·4·4 = 48, scores and sums 2·3·4 = 24; output 4·4 = 16, feed-forward 2·4·8 = 64.
    for model_type, more in (("bert", 0), ("deberta-v2", 2 * 6 * 4), ("modernbert", 4 * 8)):
        config = EncoderConfig(model_type=model_type, **sizes)
        assert forward_flop(config, 3, first_only=False) == 2 * 3 * (48 + 24 + 16 + 64 + more)


@pytest.mark.parametrize("size", ["roberta-base", "deberta-v3-small", "modernbert-base"])
def test_sizes_of_the_other_families_are_the_published_ones(size: str) -> None:
    """Parameters without a head, in millions, as the models' cards say: 125, 44 + 98 of embeddings, 149."""
    config = config_of(size)
    count = sum(
        math.prod(shape) for name, shape in expected_shapes(config).items() if name.startswith("encoder.")
    )
    published = {"roberta-base": 124.1e6, "deberta-v3-small": 141.3e6, "modernbert-base": 149.0e6}
    assert count == pytest.approx(published[size], rel=2e-3)


@pytest.mark.parametrize(("size", "megaflop"), [("small", 18.5), ("base", 164.2)])
def test_flop_of_a_token_of_the_published_sizes(size: str, megaflop: float) -> None:
    config = named(size)
    weights = 12 * (
        5 * config.hidden_size * config.attention_width + config.hidden_size**2
        + 2 * config.hidden_size * config.intermediate_size
    )  # fmt: skip
    result = forward_flop(config, 32, first_only=False) / 32 / 1e6
    assert result == pytest.approx(megaflop, rel=0.01)
    assert 2e-6 * weights < result < 2.1e-6 * weights  # the large matrices are nearly all of it


def test_rate() -> None:
    assert rate(6e9, 2.0) == 3.0


def of_lengths(*lengths: int) -> Features:
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Features(
        np.ones(starts[-1], np.int32), starts, np.array(lengths, np.int32), np.zeros(len(lengths), np.int64)
    )


@pytest.mark.parametrize("order", ["random", "grouped", "sorted", "given"])
def test_every_order_has_every_row_once(order: str) -> None:
    features = of_lengths(*range(1, 101))
    result = batches(features, order)
    assert sorted(np.concatenate(result).tolist()) == list(range(100))
    assert sorted(len(rows) for rows in result) == [4, 32, 32, 32]


def test_a_sample_leaves_out_the_short_batch() -> None:
    rows, of = sample(of_lengths(*range(1, 69)), "given", 0, 99)
    assert (rows, of) == ([list(range(32)), list(range(32, 64))], 3)


def test_padded_to_one_width_a_batch_stands_for_all() -> None:
    rows, of = sample(of_lengths(*range(1, 65)), "random", 128, 5)
    assert (len(rows), of) == (1, 2)


def test_rows_of_one_length() -> None:
    features = same_length(3, 4)
    assert features.lengths.tolist() == [4, 4, 4]
    assert features.ids.min() >= 5  # no special token
