"""What is the families' own: settings that are refused by name, positions, buckets, windows."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from checkpoints.folder import read_config
from checkpoints.network import load_classifier
from common.errors import InputError
from encoders.config import EncoderConfig, from_json
from encoders.deberta import RelativePositions
from encoders.model_types import MODEL_TYPES
from encoders.modernbert import RotaryPositions
from encoders.relative_positions import buckets

GOLDEN = Path(__file__).parents[1] / "golden"


def edited(folder: Path, name: str, **settings: Any) -> Path:
    values = json.loads((GOLDEN / name / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**values, **settings}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("roberta", {"position_embedding_type": "relative_key"}),
        ("roberta", {"max_position_embeddings": 2}),
        ("roberta", {"is_decoder": True}),
        ("roberta", {"quantization_config": {"bits": 8}}),
        ("distilbert", {"activation": "mish"}),
        ("distilbert", {"position_embedding_type": "relative_key"}),
        ("deberta_v3", {"relative_attention": False}),
        ("deberta_v3", {"pos_att_type": ["p2c", "p2p"]}),
        ("deberta_v3", {"norm_rel_ebd": "batch_norm"}),
        ("deberta_v3", {"pooler_hidden_act": "relu"}),
        ("deberta_v3", {"pooler_hidden_size": 16}),
        ("deberta_v3", {"pooler_dropout": 0.5}),
        ("deberta_v3", {"position_buckets": "many"}),
        ("deberta_v2", {"conv_kernel_size": 4}),
        ("deberta_v2", {"conv_act": "mish"}),
        ("deberta_v2", {"conv_groups": 5}),
        ("modernbert", {"local_attention": 7}),
        ("modernbert", {"local_attention": 0}),
        ("modernbert", {"classifier_pooling": "max"}),
        ("modernbert", {"classifier_activation": "relu"}),
        ("modernbert", {"hidden_activation": "mish"}),
        ("modernbert", {"rope_scaling": {"rope_type": "yarn"}}),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2.0}}}),
        ("modernbert", {"layer_types": ["sliding_attention", "full_attention"]}),
        ("modernbert", {"layer_types": ["full_attention"]}),
        ("modernbert", {"norm_bias": "no"}),
        ("modernbert", {"max_position_embeddings": 1 << 40}),
        ("bert", {"relative_attention": True}),
    ],
)
def test_settings_that_are_refused_by_name(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_config(edited(tmp_path, name, **settings))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "config.json"))
    ours = {"activation": "hidden_act", "hidden_activation": "hidden_act"}
    assert ours.get(next(iter(settings)), next(iter(settings))) in message
    assert "\n" not in message


def test_settings_as_published_and_as_transformers_writes_them() -> None:
    """ModernBERT-base's config.json, whose keys transformers 5 replaced by lists and maps."""
    old = from_json(
        {"model_type": "modernbert", "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0}
    )
    types = ["sliding_attention" if number % 3 else "full_attention" for number in range(22)]
    ropes = {
        kind: {"rope_type": "default", "rope_theta": theta}
        for kind, theta in (("full_attention", 160000.0), ("sliding_attention", 10000.0))
    }
    assert from_json({"model_type": "modernbert", "layer_types": types, "rope_parameters": ropes}) == old
    deberta = {"model_type": "deberta-v2", "relative_attention": True}
    assert from_json({**deberta, "pos_att_type": "p2c|c2p"}) == from_json(
        {**deberta, "pos_att_type": ["p2c", "c2p"]}
    )


def test_how_many_tokens_an_input_may_have() -> None:
    assert from_json({"model_type": "roberta", "max_position_embeddings": 514}).max_tokens == 512
    assert from_json({"model_type": "bert"}).max_tokens == 512
    assert from_json({"model_type": "modernbert"}).max_tokens == 8192


def test_which_models_read_pairs() -> None:
    for model_type in MODEL_TYPES:
        config = EncoderConfig(model_type=model_type, type_vocab_size=1)
        assert config.reads_pairs == (not config.type.knows_segments)
        assert EncoderConfig(model_type=model_type).reads_pairs


def test_buckets_by_hand() -> None:
    """Of 8 to a side and distances below 40: each its own up to 4, then wider ones."""
    distances = np.array([0, 1, -3, 4, 5, -5, 8, 39, -39])
    assert buckets(distances, 8, 40).tolist() == [0, 1, -3, 4, 5, -5, 5, 7, -7]


def test_distances_of_few_tokens_take_few_rows() -> None:
    """Of 512 embeddings; what they give is held against transformers' answers."""
    positions = RelativePositions(EncoderConfig(model_type="deberta-v2", position_buckets=256))
    table, to_key, to_query = positions(5)
    assert table.shape[0] == 11  # of the distances −5, …, 5
    assert to_key.tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]  # 4 back, …, 5 ahead
    assert to_query.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def test_windows_by_hand() -> None:
    positions = RotaryPositions(EncoderConfig(model_type="modernbert", local_attention=4))
    whole, local = positions(5)
    assert whole.bias is None
    assert positions(3)[1].bias is None
    assert local.bias is not None
    assert (local.bias.numpy() == 0).astype(int).tolist() == [
        [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1], [0, 0, 1, 1, 1],
    ]  # fmt: skip


def test_rotations_of_far_positions_by_hand() -> None:
    """Of position p, column i and i + d/2 turn by p · θ^(−2i/d), here d = 64."""
    config = EncoderConfig(model_type="modernbert", hidden_size=128, num_attention_heads=2)
    for rotation, theta in zip(RotaryPositions(config)(8192), (160000.0, 10000.0), strict=True):
        for at, column in ((0, 5), (1, 1), (8191, 3), (8191, 31), (4000, 20)):
            angle = np.float32(at) * np.float32(theta ** (-2 * column / 64))
            for i in (column, column + 32):
                assert rotation.cos.numpy()[at, i] == pytest.approx(np.cos(angle), abs=2e-3)
                assert rotation.sin.numpy()[at, i] == pytest.approx(np.sin(angle), abs=2e-3)


def test_what_published_deberta_files_hold_besides_is_left_aside(tmp_path: Path) -> None:
    """Position embeddings that the configuration does not use, and the heads of pre-training."""
    shutil.copytree(GOLDEN / "deberta_v3", tmp_path / "model")
    tensors = safetensors.numpy.load_file(tmp_path / "model" / "model.safetensors")
    for name in ("deberta.embeddings.position_embeddings.weight", "lm_predictions.lm_head.dense.weight",
                 "mask_predictions.dense.weight"):  # fmt: skip
        tensors[name] = np.zeros((32, 32), np.float32)
    safetensors.numpy.save_file(tensors, tmp_path / "model" / "model.safetensors")
    before = load_classifier(GOLDEN / "deberta_v3").state_dict()
    for name, value in load_classifier(tmp_path / "model").state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
