"""ModernBERT's rotations and windows as arrays. No Paddle: graphs need them too.

T tokens, d columns of a head.
"""

import numpy as np

from encoders.config import EncoderConfig

_MASKED = -10000.0  # as in encoders/ops.py


def is_local(config: EncoderConfig, number: int) -> bool:
    """Whether the tokens of a layer, counted from 0, attend to those near them alone."""
    return number % config.global_attn_every_n_layers != 0


def angles(config: EncoderConfig, local: bool, length: int) -> np.ndarray:
    """(T, d) float32: by what angle each column of each position is turned; both halves alike."""
    theta = config.local_rope_theta if local else config.global_rope_theta
    width = config.hidden_size // config.num_attention_heads
    speeds = 1.0 / np.float32(theta) ** (np.arange(0, width, 2, dtype=np.float32) / np.float32(width))
    turned = np.arange(length, dtype=np.float32)[:, None] * speeds.astype(np.float32)
    return np.concatenate([turned, turned], axis=1)


def window_bias(config: EncoderConfig, length: int) -> np.ndarray | None:
    """(T, T) float32: 0 where two tokens are within half a window of each other, very low elsewhere; None
    where all are."""
    half = config.local_attention // 2
    if length <= half + 1:
        return None
    at = np.arange(length)
    return np.where(np.abs(at[:, None] - at) <= half, 0.0, _MASKED).astype(np.float32)
