"""Matrix products in bfloat16 with float32 sums, by the oneDNN that Paddle brings along (``onednn.c``).

Its version, functions and processor are looked at once. Numbers in bfloat16 are arrays of uint16.
"""

import ctypes
import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from encoders.cpu import compiling, kernels
from encoders.framework import paddle

# dnnl_cpu_isa_t is a set of bits, one instruction set within the next.
_AVX512_BF16, _AMX = 0xE7, 0xFEF
_VERSIONS = ((3, 6),)  # major, minor: those whose answers were tested
_OPEN_FAULTS = ("", "it cannot be opened", "it lacks a function that is needed", "it cannot be started")

_TRANSPOSE_A, _TRANSPOSE_B, _PACKED_B, _FLOAT_C, _ACCUMULATE, _GELU, _HAS_BIAS = (1 << i for i in range(7))
_ALIGNMENT = 64  # bytes: a line of the cache


@dataclass(frozen=True)
class Status:
    """Whether products in bfloat16 can be had here.

    Attributes:
        fault: Why not; empty if they can.
        instructions: ``amx`` or ``avx512_bf16``.
        version: oneDNN's.
    """

    fault: str
    instructions: str = ""
    version: str = ""


@functools.cache
def status() -> Status:
    """Look, once, whether oneDNN and the processor fit."""
    library = kernels.library()
    if library is None:
        return Status("nothing is compiled for the network here")
    path = _library_path()
    if not path.is_file():
        return Status("this PaddlePaddle comes without oneDNN 3")
    _declare(library)
    numbers = (ctypes.c_int * 4)()
    fault = _OPEN_FAULTS[library.onednn_open(str(path).encode(), numbers)]
    version = ".".join(map(str, numbers[:3]))
    if fault:
        return Status(f"oneDNN ({path.name}): {fault}")
    if tuple(numbers[:2]) not in _VERSIONS:
        return Status(f"this PaddlePaddle comes with oneDNN {version}; 3.6 is needed")
    instructions = _instructions(numbers[3])
    if not instructions:
        return Status("the processor has no bfloat16, or ONEDNN_MAX_CPU_ISA forbids it")
    return Status("", instructions, version)


def _library_path() -> Path:
    return Path(paddle.__file__).with_name("libs") / "libdnnl.so.3"


def _instructions(isa: int) -> str:
    """The name of the instructions in bfloat16 among those of a dnnl_cpu_isa_t; empty: none."""
    return next(
        (name for name, bits in (("amx", _AMX), ("avx512_bf16", _AVX512_BF16)) if isa & bits == bits), ""
    )


def _declare(library: compiling.Library) -> None:
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    library.onednn_product.argtypes = [pointer] * 4 + [number] * 11
    library.onednn_takes_packed.argtypes = [number] * 2


def empty(rows: int, columns: int, dtype: Any = np.uint16) -> np.ndarray:
    """An array (rows, columns), by default of bfloat16, whose first number stands at a line of the cache."""
    size = rows * columns * np.dtype(dtype).itemsize
    memory = np.empty(size + _ALIGNMENT, dtype=np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    return memory[first : first + size].view(dtype).reshape(rows, columns)


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix, or a batch of matrices, within a contiguous array.

    Attributes:
        data: The array: NumPy's, or a float32 tensor.
        rows, columns: Of the matrix.
        first: Where in the array it begins.
        step: How far its rows are apart.
        is_transposed: Whether rows and columns have changed places.
        batch: Matrices, one behind the other.
    """

    data: Any
    rows: int
    columns: int
    first: int
    step: int
    is_transposed: bool = False
    batch: int = 1

    @property
    def transposed(self) -> "Matrix":
        """With rows and columns exchanged, without moving anything."""
        return replace(self, rows=self.columns, columns=self.rows, is_transposed=not self.is_transposed)

    @property
    def distance(self) -> int:
        """How far the matrices of a batch are apart."""
        return self.step * (self.columns if self.is_transposed else self.rows)

    @property
    def end(self) -> int:
        """Behind the last number."""
        rows, columns = (self.columns, self.rows) if self.is_transposed else (self.rows, self.columns)
        return self.first + (self.batch * rows - 1) * self.step + columns


@dataclass(frozen=True, slots=True)
class Packed:
    """Weights (rows, columns) in bfloat16 in the order that products like."""

    data: np.ndarray
    rows: int
    columns: int


def matrix(data: Any, first: int = 0, columns: int | None = None) -> Matrix:
    """An array (rows, width), or so many of its columns from the ``first``."""
    rows, width = data.shape
    return Matrix(data, rows, width if columns is None else columns, first, width)


def row(data: paddle.Tensor, first: int = 0, columns: int | None = None) -> Matrix:
    """A tensor (width,) as a matrix of one row, or so many of its columns from the ``first``."""
    width = data.shape[0]
    return Matrix(data, 1, width if columns is None else columns, first, width)


def batch(data: Any) -> Matrix:
    """An array (batch, rows, columns) as so many matrices."""
    count, rows, columns = data.shape
    return Matrix(data, rows, columns, 0, columns, batch=count)


def product(
    a: Matrix,
    b: Matrix | Packed,
    c: Matrix,
    bias: Matrix | None = None,
    accumulate: bool = False,
    gelu: bool = False,
) -> None:
    """c = gelu(a @ b + bias), with what is asked for; or c + a @ b.

    Args:
        a, b: Of bfloat16.
        c: Of bfloat16 or float32.
        bias: (1, columns of c) float32, or None.
        accumulate: Add to what is in c.
        gelu: Put the gelu of it into c.

    Raises:
        ValueError: Sizes do not match.
        RuntimeError: oneDNN fails.
    """
    is_float = not (isinstance(c.data, np.ndarray) and c.data.dtype == np.uint16)
    flags = a.is_transposed * _TRANSPOSE_A | is_float * _FLOAT_C | accumulate * _ACCUMULATE | gelu * _GELU
    flags |= (bias is not None) * _HAS_BIAS
    if isinstance(b, Packed):
        flags, step_b, distance_b, matches = flags | _PACKED_B, b.columns, 0, a.batch == 1
    else:
        flags, step_b, distance_b = flags | b.is_transposed * _TRANSPOSE_B, b.step, b.distance
        matches = a.batch == b.batch and b.end <= b.data.size
    matches = matches and a.columns == b.rows and (a.rows, b.columns) == (c.rows, c.columns)
    matches = matches and not c.is_transposed and a.batch == c.batch
    if bias is not None:
        matches = matches and bias.columns == c.columns and bias.end <= _size(bias.data)
    if not matches or a.end > a.data.size or c.end > _size(c.data):
        raise ValueError(f"product: {_text(a)} @ {_text(b)} → {_text(c)}")
    failed = kernels.library().onednn_product(  # type: ignore[union-attr]
        _address(a), b.data.ctypes.data if isinstance(b, Packed) else _address(b),
        None if bias is None else _address(bias), _address(c), flags,
        a.batch, a.rows, a.columns, c.columns, a.step, step_b, c.step, a.distance, distance_b, c.distance,
    )  # fmt: skip
    if failed:
        raise RuntimeError(f"oneDNN cannot compute {_text(a)} @ {_text(b)} → {_text(c)}")


def _size(data: Any) -> int:
    return int(data.size)


def _address(x: Matrix) -> int:
    if isinstance(x.data, np.ndarray):
        return x.data.ctypes.data + x.first * x.data.itemsize
    return int(x.data.data_ptr()) + x.first * 4


def _text(x: Matrix | Packed) -> str:
    return f"({x.rows}, {x.columns})"


def pack(weights: Matrix) -> Matrix | Packed:
    """Weights in the order that products like, where there is one."""
    if not _is_packed(weights.rows, weights.columns):
        return weights
    packed = empty(-(-weights.rows // 32) * -(-weights.columns // 64), 2048)
    kernels.call("bf16_pack", weights.data, packed, weights.is_transposed, weights.rows, weights.columns)
    return Packed(packed, weights.rows, weights.columns)


@functools.cache
def _is_packed(rows: int, columns: int) -> bool:
    library: Any = kernels.library()
    return bool(library.onednn_takes_packed(rows, columns))
