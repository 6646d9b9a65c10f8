"""All that a pickle of weights may name: what builds tensors and plain containers. No Paddle.

Any other name ends the reading, before anything was called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from checkpoints.formats.pickles.machine import AllowedCallable, LazyBytes, PickleMachine, PickleValue
from checkpoints.formats.tensors import DTYPES, StoredTensor, count_of
from common.errors import InputError
from common.messages import escape_unprintable

# What files that are damaged or lie about themselves raise; only the message of a ValueError, which is ours,
# says what is wrong.
_WITHOUT_REASON = (TypeError, AttributeError, LookupError, MemoryError, OverflowError, UnicodeError)
_DAMAGED = (ValueError, *_WITHOUT_REASON)
# NumPy's codes of kinds, such as f4. Paddle keeps a bfloat16 in an array of uint16, which no parameter is
# otherwise.
_NUMPY_CODES = {dtype.str.lstrip("<|"): kind for kind, dtype in DTYPES.items()}
_MAX_REPEATED = 4  # tied weights are stored once and read by each of their names


@dataclass(eq=False, slots=True)
class NumberKind(PickleValue):
    """A kind of numbers, such as F32; what the name ``torch.FloatStorage`` stands for."""

    name: str


@dataclass(eq=False, slots=True)
class Storage(PickleValue):
    """A row of numbers kept outside of the pickle, of which tensors are views."""

    kind: str
    size: int
    read: Callable[[int, int], bytearray]  # number of the first byte, how many → these bytes


@dataclass(eq=False, slots=True)
class PickledTensor(PickleValue):
    """A tensor as a pickle describes it; ``stored`` is how the rest of the project knows it."""

    stored: StoredTensor


class _Mapping(dict[str, Any], PickleValue):
    """An OrderedDict; what PyTorch pins to it (``_metadata``) is left out."""

    def build(self, state: Any) -> None:
        pass


class _NumpyType(PickleValue):
    __slots__ = ("kind",)

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or code not in _NUMPY_CODES:
            name = escape_unprintable(code, 100) if isinstance(code, str) else "?"
            raise ValueError(f"arrays of {name} are not weights")
        self.kind = _NUMPY_CODES[code]

    def build(self, state: Any) -> None:
        if not isinstance(state, tuple) or state[1] not in ("<", "|"):
            raise ValueError("its numbers are not little-endian")


class _NumpyArray(PickledTensor):
    __slots__ = ()

    def __init__(self, *ignored: Any) -> None:
        pass

    def build(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("an array with a malformed state")
        _, shape, kind, fortran, raw = state
        if not isinstance(kind, _NumpyType) or not isinstance(raw, bytes | LazyBytes):
            raise ValueError("an array without numbers")
        dtype = DTYPES[kind.kind]
        size = count_of(shape) * dtype.itemsize
        if not (raw.may_hold(size) if isinstance(raw, LazyBytes) else len(raw) == size):
            raise ValueError(f"an array of shape {shape} that holds more or fewer bytes")

        def load() -> np.ndarray:
            numbers = raw.read() if isinstance(raw, LazyBytes) else raw
            if isinstance(raw, LazyBytes) and len(numbers) != size:
                raise InputError("an array in it is damaged; fetch it again", path=raw.path)
            return np.frombuffer(numbers, dtype).reshape(shape, order="F" if fortran is True else "C")

        self.stored = StoredTensor(kind.kind, shape, load)


def _torch_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> PickledTensor:
    count = count_of(shape)
    if not isinstance(storage, Storage) or type(offset) is not int or offset < 0:
        raise ValueError("a tensor without numbers")
    if not isinstance(strides, tuple) or len(strides) != len(shape):
        raise ValueError("a tensor of unequal dimensions")
    if not all(type(step) is int and 0 <= step < 2**40 for step in strides):
        raise ValueError("a tensor of impossible strides")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if count and last >= storage.size:
        raise ValueError("a tensor beyond its storage")
    kind, dtype = storage.kind, DTYPES[storage.kind]
    width = dtype.itemsize

    def load() -> np.ndarray:
        if not count:
            return np.empty(shape, dtype)
        row = np.frombuffer(storage.read(offset * width, (last + 1 - offset) * width), dtype)
        steps = tuple(step * width for step in strides)
        return np.ascontiguousarray(np.lib.stride_tricks.as_strided(row, shape, steps))

    return PickledTensor(StoredTensor(kind, shape, load))


def _encode(text: Any, encoding: Any) -> bytes | LazyBytes:
    """How Python 3 writes bytes into a pickle of protocol 2."""
    if encoding != "latin1":
        raise ValueError("bytes in another encoding")
    if isinstance(text, str):
        return text.encode("latin1")
    if not isinstance(text, LazyBytes) or not text.encoded:
        raise ValueError("bytes made from something that is not text")
    return text


def _same(value: Any, *_: Any) -> Any:
    if not isinstance(value, tuple | PickledTensor):
        raise ValueError("a copy of something that is never copied")
    return value


_ARRAY = AllowedCallable(_NumpyArray)
_STORAGES = {
    "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "DoubleStorage": "F64",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8",
    "ByteStorage": "U8", "BoolStorage": "BOOL",
}  # fmt: skip

# Every name that a pickle may use. PyTorch: from collections on; NumPy 1 and 2, as Paddle writes arrays.
ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): AllowedCallable(lambda: _Mapping()),
    ("torch._utils", "_rebuild_tensor_v2"): AllowedCallable(_torch_tensor),
    ("torch._utils", "_rebuild_tensor"): AllowedCallable(_torch_tensor),
    ("torch._utils", "_rebuild_parameter"): AllowedCallable(_same),
    **{("torch", name): NumberKind(kind) for name, kind in _STORAGES.items()},
    ("numpy.core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy", "ndarray"): NumberKind("array"),
    ("numpy", "dtype"): AllowedCallable(_NumpyType),
    ("_codecs", "encode"): AllowedCallable(_encode),
    ("builtins", "tuple"): AllowedCallable(_same),  # Paddle: a tensor is the tuple of its name and its array
    ("__builtin__", "tuple"): AllowedCallable(_same),
}


def unpickle(file: IO[bytes], path: Path, end: int, storages: Callable[[Any], Storage] | None = None) -> Any:
    """Read one pickle, from where the file stands to ``end`` at the most.

    storages: what a reference to numbers outside of the pickle stands for. What is not allowed, and a
    damaged file: InputError.
    """
    try:
        return PickleMachine(file, path, end, ALLOWED, storages).load()
    except _DAMAGED as error:
        raise_damaged(path, error)


def raise_damaged(path: Path, error: Exception) -> NoReturn:
    reason = "it is damaged" if isinstance(error, _WITHOUT_REASON) else escape_unprintable(str(error), 100)
    raise InputError(f"cannot be read: {reason}; is it cut short? fetch it again", path=path) from None


def _type_name(value: Any) -> str:
    return type(value).__name__.strip("_").lower()


def tensors_in(path: Path, content: Any) -> dict[str, StoredTensor]:
    """The mapping of names to tensors that a file of weights holds; InputError if it holds anything else."""
    if not isinstance(content, dict):
        raise InputError(f"holds a {_type_name(content)}, not a mapping of names to tensors", path=path)
    tensors, size = {}, 0
    for name, value in content.items():
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], PickledTensor):
            value = value[1]
        if not isinstance(value, PickledTensor) or not hasattr(value, "stored"):
            reason = f"{escape_unprintable(name, 100)} is a {_type_name(value)}, not a tensor"
            raise InputError(f"{reason}; save the state dict alone", path=path)
        tensors[name] = value.stored
        size += count_of(value.stored.shape) * DTYPES[value.stored.kind].itemsize
    length = path.stat().st_size
    if size > _MAX_REPEATED * length:
        reason = f"describes {size} bytes of tensors and has {length}: most of it would be the same numbers"
        raise InputError(f"{reason} again and again; save the state dict of one model", path=path)
    return tensors
