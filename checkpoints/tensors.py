"""A tensor as it lies in a file, and as the network takes it: float32, every value finite. No Paddle."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from commands.errors import InputError

# Kinds of numbers, under safetensors' names. NumPy has no bfloat16: it is the upper half of a float32,
# and its array holds these 16 bits.
FLOATS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}
_REMEDY = "the weights are damaged: take an earlier checkpoint, or fetch them again"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file. kind: its kind of numbers (F32, BF16, I64, …). load: reads its array, with
    FLOATS' data type where the kind is one of them."""

    kind: str
    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]


def as_float32(path: Path, name: str, tensor: StoredTensor) -> np.ndarray:
    """Read a tensor. Whole numbers, floats of eight bits, NaN, infinity and what float32 cannot hold:
    InputError names file and tensor."""
    if tensor.kind not in FLOATS:
        raise InputError(
            f"{path}: {name} is stored as {tensor.kind}; weights are read from F32, F16, BF16 and F64: "
            "save them again as one of these"
        )
    found = tensor.load()
    if tensor.kind == "BF16":
        found = (found.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        array = found.astype(np.float32, copy=False)
    finite = np.isfinite(array)
    if not finite.all():
        value = found[~finite].flat[0]
        count = f"{array.size - int(finite.sum())} of its {array.size} values"
        said = f"holds {value:.6g}, beyond float32 ({count})"
        if not np.isfinite(value):
            said = f"holds {value} ({count} is not finite)"
        raise InputError(f"{path}: {name} {said}; {_REMEDY}")
    return array
