"""The networks that can be pre-trained by name, without a folder. No Paddle."""

from typing import Any

from commands.errors import InputError
from convbert.config import SIZES, EncoderConfig, named

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
    """The shape of a network; InputError for a name that nobody knows."""
    if name not in NETWORKS:
        raise InputError(f"{name}: no such model folder, and no network of that name: {', '.join(NETWORKS)}")
    return EncoderConfig(**{**vars(NETWORKS[name]), "vocab_size": vocab_size})
