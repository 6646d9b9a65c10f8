"""Layer-wise decay: the table of every size worked out by hand, and names that must not slip."""

import pytest

from common.errors import InputError
from encoders.config import EncoderConfig, named
from encoders.encoder import depth_rules
from encoders.heads import SentenceClassifier
from training.config import TrainingConfig
from training.layer_decay import depths, scale, scales

# 0.8 to the power 14 − depth; depth of the embeddings 0, of layer i i+1, of the head 14.
# No parameter has depth 13, so the last layer (depth 12) gets 0.8² = 0.64.
BY_HAND_12_LAYERS = {
    "encoder.embeddings.": 0.04398046511104, "encoder.layers.0.": 0.0549755813888,
    "encoder.layers.1.": 0.068719476736, "encoder.layers.2.": 0.08589934592,
    "encoder.layers.3.": 0.1073741824, "encoder.layers.4.": 0.134217728,
    "encoder.layers.5.": 0.16777216, "encoder.layers.6.": 0.2097152, "encoder.layers.7.": 0.262144,
    "encoder.layers.8.": 0.32768, "encoder.layers.9.": 0.4096, "encoder.layers.10.": 0.512,
    "encoder.layers.11.": 0.64, "head.": 1.0,
}  # fmt: skip
LABELS = {0: "no", 1: "yes"}


@pytest.fixture(scope="module", params=["small", "medium-small", "base"])
def sized(request: pytest.FixtureRequest) -> tuple[EncoderConfig, list[str]]:
    # Same names as the published size, narrow, so that three networks are made in no time.
    narrow = {"hidden_size": 48, "intermediate_size": 24, "vocab_size": 10, "max_position_embeddings": 8}
    published = named(request.param)
    narrow["embedding_size"] = 48 if published.embedding_size == published.hidden_size else 8
    config = named(request.param, **narrow, id2label=LABELS)
    return config, [name for name, _ in SentenceClassifier(config).named_parameters()]


@pytest.mark.parametrize("mode", ["published", "fixed"])
def test_every_parameter_of_every_size(sized: tuple[EncoderConfig, list[str]], mode: str) -> None:
    config, parameters = sized
    training = TrainingConfig(layer_lr_decay=0.8, layer_lr_decay_mode=mode)
    actual = scales(parameters, depth_rules(config), 12, training)
    assert sorted(actual) == sorted(parameters)
    for name, value in actual.items():
        (wanted,) = [v for prefix, v in BY_HAND_12_LAYERS.items() if name.startswith(prefix)]
        if mode == "fixed" and not name.startswith("head."):
            wanted /= 0.8  # the last layer gets 0.8, the one below 0.64, …
        assert value == pytest.approx(wanted, rel=1e-12), name


def test_the_projection_of_small_embeddings_has_their_depth(
    sized: tuple[EncoderConfig, list[str]],
) -> None:
    config, parameters = sized
    actual = depths(parameters, depth_rules(config))
    projections = {actual[name] for name in parameters if "embeddings.projection" in name}
    assert projections == (set() if config.embedding_size == config.hidden_size else {0})


def test_without_decay_every_rate_is_whole() -> None:
    assert {scale(depth, 12, 1.0) for depth in range(15)} == {1.0}


def test_layer_1_is_not_layer_10() -> None:
    rules = depth_rules(named("small"))
    assert depths(["encoder.layers.1.x", "encoder.layers.10.x"], rules) == {
        "encoder.layers.1.x": 2,
        "encoder.layers.10.x": 11,
    }


def test_unmatched_and_twice_matched_parameters_are_listed() -> None:
    rules = [("head.", 4), ("head.dense.", 3), ("encoder.", 0)]
    with pytest.raises(InputError) as error:
        depths(["head.dense.weight", "pooler.weight", "encoder.x"], rules)
    assert "head.dense.weight (matched by head. and head.dense.)" in str(error.value)
    assert "pooler.weight (unmatched)" in str(error.value)
    assert "encoder.x" not in str(error.value)
