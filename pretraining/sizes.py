"""The networks that can be pre-trained by name, without a folder, and their generators. No Paddle."""

import dataclasses
from typing import Any

from encoders.config import SIZES, EncoderConfig, named

_MINI: dict[str, Any] = {
    "embedding_size": 128, "hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8,
    "intermediate_size": 768,
}  # fmt: skip
NETWORKS: dict[str, EncoderConfig] = {
    **{f"convbert-{size}": named(size) for size in SIZES},
    "convbert-mini": EncoderConfig("convbert", **_MINI),
    # The same without convolution: its attention is wider, its feed-forward so much narrower.
    "electra-mini": EncoderConfig("electra", **{**_MINI, "intermediate_size": 720}),
}


def network_named(name: str, vocab_size: int) -> EncoderConfig:
    """The shape of one of NETWORKS, for a vocabulary."""
    return dataclasses.replace(NETWORKS[name], vocab_size=vocab_size)


def generator_of(config: EncoderConfig, ratio: float) -> EncoderConfig:
    """The generator beside a network: ``ratio`` of its width, as deep, with its embeddings.

    As the authors' ``get_generator_config``: the feed-forward four times as wide, a head for every 64
    columns. Widths that do not divide among groups and heads, which no published size has, are rounded.
    """
    grain = 2 * config.num_groups
    width = max(1, round(config.hidden_size * ratio / grain)) * grain
    heads = max(1, width // 64)
    while width % (2 * max(1, heads // config.head_ratio)) or width % heads:
        heads -= 1
    return dataclasses.replace(
        config, hidden_size=width, intermediate_size=4 * width, num_attention_heads=heads
    )
