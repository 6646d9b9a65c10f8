"""ModernBERT's rotations and which of its layers are local. No Paddle: ONNX graphs need them too.

d columns of a head.
"""

import numpy as np

from encoders.config import EncoderConfig


def is_local(config: EncoderConfig, number: int) -> bool:
    """Whether the tokens of a layer, counted from 0, attend to those near them alone."""
    return number % config.global_attn_every_n_layers != 0


def speeds(config: EncoderConfig, local: bool) -> np.ndarray:
    """(d,) float32: by what angle each column turns from a position to the next; both halves alike."""
    theta = config.local_rope_theta if local else config.global_rope_theta
    width = config.hidden_size // config.num_attention_heads
    half = 1.0 / np.float32(theta) ** (np.arange(0, width, 2, dtype=np.float32) / np.float32(width))
    return np.concatenate([half, half]).astype(np.float32)
