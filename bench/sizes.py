"""The networks that are compared: ConvBERT's published sizes, and one of each other family. No Paddle."""

from typing import Any

from encoders.config import SIZES, EncoderConfig, from_json, named

# As config.json of the published model says.
_BASE = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
}  # fmt: skip
_FAMILIES: dict[str, dict[str, Any]] = {
    "roberta-base": {
        **_BASE, "model_type": "roberta", "vocab_size": 50265, "max_position_embeddings": 514,
        "type_vocab_size": 1, "layer_norm_eps": 1e-5,
    },
    "deberta-v3-small": {
        **_BASE, "model_type": "deberta-v2", "num_hidden_layers": 6, "vocab_size": 128100,
        "relative_attention": True, "position_buckets": 256, "pos_att_type": "p2c|c2p", "share_att_key": True,
        "norm_rel_ebd": "layer_norm", "position_biased_input": False,
    },
    "modernbert-base": {"model_type": "modernbert"},  # whose sizes are the defaults
}  # fmt: skip
NAMES = (*SIZES, *_FAMILIES)


def config_of(size: str) -> EncoderConfig:
    """The configuration of ``small``, … or of ``roberta-base``, …"""
    return named(size) if size in SIZES else from_json(_FAMILIES[size])


def title_of(size: str) -> str:
    """What a table calls it."""
    return f"ConvBERT-{size}" if size in SIZES else size
