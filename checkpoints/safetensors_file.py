"""Read ``model.safetensors`` tensor by tensor. The library checks the header; the bytes are read here,
because NumPy, which it reads into, lacks bfloat16."""

import json
import math
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors

from checkpoints.tensors import FLOATS, StoredTensor
from commands.errors import InputError

_WIDTH_ORDER = ("F16", "BF16", "F32", "F64")


def open_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Name → tensor; InputError if the file is cut short or no safetensors file."""
    header, begin = _read_header(path)
    _check_length(path, header, begin)
    try:
        with safetensors.safe_open(path, "np") as file:
            names = list(file.keys())
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: cannot be read: {error}; fetch it again") from None
    tensors = {}
    for name in names:
        kind, shape = header[name]["dtype"], tuple(header[name]["shape"])
        first, _ = header[name]["data_offsets"]
        tensors[name] = StoredTensor(kind, shape, partial(_load, path, kind, shape, begin + first))
    return tensors


def _load(path: Path, kind: str, shape: tuple[int, ...], offset: int) -> np.ndarray:
    dtype = np.dtype(FLOATS[kind])
    count = math.prod(shape)
    array = np.fromfile(path, dtype, count, offset=offset) if count else np.empty(0, dtype)
    return array.reshape(shape)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header (not yet checked beyond being a JSON object), and where the tensors' bytes begin."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise InputError(
                f"{path}: cannot be read: no safetensors header; is it cut short? fetch it again"
            )
        raw = file.read(length)
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise InputError(f"{path}: cannot be read: its header is not JSON; fetch it again")
    return header, 8 + length


def _check_length(path: Path, header: dict[str, Any], begin: int) -> None:
    """Say how much is missing, which the library does not."""
    try:
        ends = [int(row["data_offsets"][1]) for name, row in header.items() if name != "__metadata__"]
    except (TypeError, KeyError, IndexError, ValueError, OverflowError):
        return  # the library says what is wrong with the header
    size, wanted = path.stat().st_size, begin + max(ends, default=0)
    if size < wanted:
        raise InputError(
            f"{path}: is cut short: {size} of {wanted} bytes; fetch it again, or where a run wrote it "
            "take another checkpoint of that run"
        )
    if size > wanted:
        raise InputError(f"{path}: holds {size} bytes, its header says {wanted}; fetch it again")


def write_safetensors(file: IO[bytes], arrays: dict[str, tuple[str, np.ndarray]]) -> None:
    """Write name → (kind, array): byte for byte what the library writes, which NumPy's lack of bfloat16
    keeps from being used. Wider kinds come first, so that every tensor is aligned."""
    order = sorted(arrays.items(), key=lambda item: (-_WIDTH_ORDER.index(item[1][0]), item[0]))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (kind, array) in order:
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % 8)
    file.write(len(raw).to_bytes(8, "little") + raw)
    for _, (_, array) in order:
        file.write(np.ascontiguousarray(array).data)
