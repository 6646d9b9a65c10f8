"""A tensor as it lies in a file, and as the network takes it: float32, every value finite. No Paddle."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError

# Kinds of numbers, under safetensors' names. NumPy has no bfloat16: it is the upper half of a float32,
# and its array holds these 16 bits.
DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1"),
    "U8": np.dtype("u1"), "BOOL": np.dtype("?"),
}  # fmt: skip
FLOATS = ("F64", "F32", "F16", "BF16")  # those that weights are read from
# NumPy takes more dimensions and more numbers, but no weights have them.
_MAX_DIMENSIONS, _MAX_NUMBERS = 8, 2**40
_REMEDY = "the weights are damaged: take an earlier checkpoint, or fetch them again"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file."""

    kind: str  # of numbers, under safetensors' names: F32, BF16, I64, …
    shape: tuple[int, ...]  # as it is stored
    load: Callable[[], np.ndarray]  # reads its array, of the data type that DTYPES names


def count_of(shape: Any) -> int:
    """How many numbers a tensor of this shape, as a file states it, has; ValueError where it is no shape."""
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("a malformed shape")
    if len(shape) > _MAX_DIMENSIONS or math.prod(max(n, 1) for n in shape) > _MAX_NUMBERS:
        raise ValueError("a shape larger than any weights")
    return math.prod(shape)


def read_exactly(path: Path, begin: int, length: int) -> bytearray:
    """Bytes that a file of weights was seen to have; InputError where it has become shorter meanwhile."""
    raw = bytearray(length)
    with open(path, "rb") as file:
        file.seek(begin)
        read = file.readinto(raw)
    if read != length:
        raise InputError("was changed while it was read; start again", path=path)
    return raw


def as_float32(path: Path, name: str, tensor: StoredTensor) -> np.ndarray:
    """Read a tensor. Whole numbers, floats of eight bits, NaN, infinity and what float32 cannot hold:
    InputError names file and tensor."""
    if tensor.kind not in FLOATS:
        reason = f"{name} is stored as {tensor.kind}; weights are read from F32, F16, BF16 and F64"
        raise InputError(f"{reason}: save them again as one of these", path=path)
    stored = tensor.load()
    if tensor.kind == "BF16":
        stored = (stored.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        array = stored.astype(np.float32, copy=False)
    finite = np.isfinite(array)
    if not finite.all():
        value = stored[~finite].flat[0]
        count = f"{array.size - int(finite.sum())} of its {array.size} values"
        problem = f"{value:.6g}, beyond float32 ({count})"
        if not np.isfinite(value):
            problem = f"{value} ({count} is not finite)"
        raise InputError(f"{name} holds {problem}; {_REMEDY}", path=path)
    return array
