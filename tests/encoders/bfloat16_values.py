"""Values in bfloat16, and how far they may lie from the exact ones."""

import numpy as np
import pytest

from encoders.cpu import bfloat16, onednn
from encoders.framework import paddle

FAULT = onednn.status().fault


needs_bfloat16 = pytest.mark.skipif(bool(FAULT), reason=FAULT or "here it can")


ROUNDING = 2.0**-8  # half of bfloat16's last digit, of 1


def rounded(array: np.ndarray) -> np.ndarray:
    return bfloat16.rounded(paddle.to_tensor(array.astype(np.float32)))[: len(array)].copy()


def widened(array: np.ndarray) -> np.ndarray:
    return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)
