"""Pickles of weights, read without running anything. No Paddle.

A pickle names functions and calls them. Here a name is looked up in one table of stand-ins that build
tensors and plain containers; any other name ends the reading, before anything was called.
"""

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from checkpoints.tensors import StoredTensor
from commands.errors import InputError

# What the unpickler and the stand-ins raise for files that are damaged or lie about themselves.
_BROKEN = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError, RecursionError,
    MemoryError, OverflowError,
)  # fmt: skip
WIDTHS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip
# NumPy's codes of kinds. Paddle keeps a bfloat16 in an array of uint16, which no parameter is otherwise.
_NUMPY_CODES = {
    "f8": "F64", "f4": "F32", "f2": "F16", "u2": "BF16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8",
    "u1": "U8", "b1": "BOOL",
}  # fmt: skip


class _StandIn:
    """An object made by a pickle that the pickle cannot change afterwards."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise ValueError(f"a {type(self).__name__.lower()} takes no state")


class _Maker(_StandIn):
    """What a pickle may call."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make

    def __call__(self, *args: Any) -> Any:
        return self.make(*args)


class Kind(_StandIn):
    """A kind of numbers, such as F32; what the name ``torch.FloatStorage`` stands for."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Storage(_StandIn):
    """A row of numbers kept outside of the pickle, of which tensors are views."""

    __slots__ = ("kind", "read", "size")

    def __init__(self, kind: str, size: int, read: Callable[[], bytes]) -> None:
        self.kind, self.size, self.read = kind, size, read


class Tensor(_StandIn):
    """A tensor as a pickle describes it; ``stored`` is how the rest of the project knows it."""

    __slots__ = ("stored",)

    def __init__(self, stored: StoredTensor) -> None:
        self.stored = stored


class _Mapping(dict[Any, Any]):
    """An OrderedDict; what PyTorch pins to it (``_metadata``) is left out."""

    def __setstate__(self, state: Any) -> None:
        pass


class _NumpyType(_StandIn):
    __slots__ = ("kind",)

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        if code not in _NUMPY_CODES:
            raise ValueError(f"arrays of {code!r} are no weights")
        self.kind = _NUMPY_CODES[code]

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", "|"):
            raise ValueError("its numbers are not little-endian")


class _NumpyArray(Tensor):
    __slots__ = ()

    def __init__(self, *ignored: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        if not isinstance(kind, _NumpyType) or not isinstance(raw, bytes):
            raise ValueError("an array without numbers")
        size, dtype = _count(shape), np.dtype(WIDTHS[kind.kind])
        if len(raw) != size * dtype.itemsize:
            raise ValueError(f"an array of shape {shape} with {len(raw)} bytes")

        def load() -> np.ndarray:
            return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")

        self.stored = StoredTensor(kind.kind, shape, load)


def _count(shape: Any) -> int:
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("a shape that is none")
    return math.prod(shape)


def _torch_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    count = _count(shape)
    if not isinstance(storage, Storage) or type(offset) is not int or offset < 0:
        raise ValueError("a tensor without numbers")
    _count(strides)  # whole numbers from 0 on, as a shape's
    if len(strides) != len(shape):
        raise ValueError("a tensor of unequal dimensions")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if count and last >= storage.size:
        raise ValueError("a tensor beyond its storage")
    kind, dtype = storage.kind, np.dtype(WIDTHS[storage.kind])

    def load() -> np.ndarray:
        if not count:
            return np.empty(shape, dtype)
        row = np.frombuffer(storage.read(), dtype)
        if last >= row.size:
            raise InputError("a file of weights was changed while it was read; start again")
        steps = tuple(step * dtype.itemsize for step in strides)
        return np.ascontiguousarray(np.lib.stride_tricks.as_strided(row[offset:], shape, steps))

    return Tensor(StoredTensor(kind, shape, load))


def _encode(text: Any, encoding: Any) -> bytes:
    """How Python 3 writes bytes into a pickle of protocol 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("bytes in another encoding")
    return text.encode("latin1")


_ARRAY = _Maker(_NumpyArray)
_STORAGES = {
    "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "DoubleStorage": "F64",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8",
    "ByteStorage": "U8", "BoolStorage": "BOOL",
}  # fmt: skip

# Every name that a pickle may use. PyTorch: from collections on; NumPy 1 and 2, as Paddle writes arrays.
ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Maker(_Mapping),
    ("torch._utils", "_rebuild_tensor_v2"): _Maker(_torch_tensor),
    ("torch._utils", "_rebuild_tensor"): _Maker(_torch_tensor),
    ("torch._utils", "_rebuild_parameter"): _Maker(lambda tensor, *_: tensor),
    **{("torch", name): Kind(kind) for name, kind in _STORAGES.items()},
    ("numpy.core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy", "ndarray"): Kind("array"),
    ("numpy", "dtype"): _Maker(_NumpyType),
    ("_codecs", "encode"): _Maker(_encode),
    ("builtins", "tuple"): _Maker(tuple),  # Paddle writes a tensor as the tuple of its name and its array
    ("__builtin__", "tuple"): _Maker(tuple),
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], path: Path, storages: Callable[[Any], Storage] | None) -> None:
        super().__init__(file, encoding="latin1")
        self._path, self._storages = path, storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        raise InputError(
            f"{self._path}: refused: it names {shown(f'{module}.{name}')}, which weights have no use for; "
            "nothing was run. Take the model from a source you trust, best as model.safetensors"
        )

    def persistent_load(self, pid: Any) -> Storage:
        if self._storages is None:
            raise ValueError("a reference to something outside of the file")
        return self._storages(pid)


def shown(text: str) -> str:
    """A name from a file, safe to print in one line."""
    return ascii(text)[1:-1][:100]


def unpickle(file: IO[bytes], path: Path, storages: Callable[[Any], Storage] | None = None) -> Any:
    """Read one pickle. storages: what a reference to numbers outside of the pickle stands for.

    A name that is not allowed, and a damaged file: InputError.
    """
    try:
        return _Unpickler(file, path, storages).load()
    except _BROKEN as error:
        broken(path, error)


def broken(path: Path, error: Exception) -> NoReturn:
    reason = shown(str(error)) or type(error).__name__
    raise InputError(f"{path}: cannot be read: {reason}; is it cut short? fetch it again") from None


def tensors_in(path: Path, found: Any) -> dict[str, StoredTensor]:
    """The mapping of names to tensors that a file of weights holds; InputError if it holds anything else."""
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds a {type(found).__name__}, not a mapping of names to tensors")
    tensors = {}
    for name, value in found.items():
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Tensor):
            value = value[1]
        if not isinstance(name, str) or not isinstance(value, Tensor) or not hasattr(value, "stored"):
            raise InputError(
                f"{path}: {shown(str(name))} is a {type(value).__name__.strip('_').lower()}, not a tensor; "
                "save the state dict alone"
            )
        tensors[name] = value.stored
    return tensors
