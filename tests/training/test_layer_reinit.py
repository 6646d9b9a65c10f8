"""Which parameters begin new, and with what."""

import numpy as np
import pytest

from checkpoints.network import arrays_of
from common.errors import InputError
from encoders.config import EncoderConfig
from encoders.encoder import depth_rules
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from training.regularization.layer_reinit import initial_arrays, reinitialise

LAYERS = 11  # so that a layer 1 could be taken for 10
CONFIG = EncoderConfig(
    model_type="bert", vocab_size=40, embedding_size=16, hidden_size=16, num_hidden_layers=LAYERS,
    num_attention_heads=2, intermediate_size=64, max_position_embeddings=16, classifier_head="pooler",
    initializer_range=0.02,
)  # fmt: skip


def test_the_top_layers_and_the_head_begin_new_and_nothing_else() -> None:
    paddle.seed(1)
    model = SentenceClassifier(CONFIG)
    fresh = initial_arrays(model, depth_rules(CONFIG), LAYERS, 2)
    for parameter in model.parameters():  # stands for a checkpoint
        parameter.set_value(np.full(parameter.shape, 7.0, dtype=np.float32))
    (note,) = reinitialise(model, fresh)
    renewed = {name for name, array in arrays_of(model).items() if not (array == 7.0).all()}
    prefixes = ("encoder.layers.9.", "encoder.layers.10.", "head.")
    assert renewed == {name for name in arrays_of(model) if name.startswith(prefixes)}
    assert {
        "head.pooler.weight",
        "head.projection.weight",
        "encoder.layers.9.attention.query.weight",
    } <= renewed
    assert note == f"begins new (--reinit_layers): {', '.join(fresh)}"


def test_the_new_weights_are_berts_initial_ones() -> None:
    """Normal with the model's deviation; biases 0, LayerNorm 1 and 0."""
    paddle.seed(1)
    model = SentenceClassifier(CONFIG)
    fresh = initial_arrays(model, depth_rules(CONFIG), LAYERS, 3)
    sampled_values = []
    for name, array in fresh.items():
        if ".norm." in name:
            assert (array == (1.0 if name.endswith("weight") else 0.0)).all(), name
        elif name.endswith("bias"):
            assert (array == 0.0).all(), name
        else:
            sampled_values.append(array.ravel())
    weights = np.concatenate(sampled_values)
    assert 0.0172 < weights.std() < 0.0205  # 0.0176 where Paddle cuts at two deviations, else 0.02
    assert abs(weights.mean()) < 0.0005


def test_none_and_too_many() -> None:
    model = SentenceClassifier(CONFIG)
    assert initial_arrays(model, depth_rules(CONFIG), LAYERS, 0) == {}
    assert reinitialise(model, {}) == []
    with pytest.raises(InputError, match="--reinit_layers 12: the model has 11 layers"):
        initial_arrays(model, depth_rules(CONFIG), LAYERS, 12)
