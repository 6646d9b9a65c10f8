"""Read and write ``model.safetensors`` tensor by tensor. By hand: NumPy, which the library reads into, lacks
bfloat16, and the library says neither how much of a file is missing nor, in a short line, what is wrong."""

import json
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from checkpoints.formats.pickle_machine import shown
from checkpoints.formats.tensors import FLOATS, StoredTensor, count_of, read_exactly
from common.errors import InputError

_WIDTH_ORDER = ("F16", "BF16", "F32", "F64")
_LONGEST_HEADER = 20_000_000  # bytes; a tensor takes about 120
# Bytes of a number, of the kinds that weights are read from and those that may stand beside them.
_WIDTHS = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "I32": 4, "U32": 4, "I64": 8, "U64": 8}
_WIDTHS |= {kind: np.dtype(code).itemsize for kind, code in FLOATS.items()}


class _Row(NamedTuple):
    """A tensor as the header describes it; begin and end: bytes behind the header."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


def open_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Name → tensor; InputError if the file is cut short or no safetensors file."""
    header, begin = _read_header(path)
    try:
        rows = {name: _row(name, row) for name, row in header.items() if name != "__metadata__"}
        _check_length(path, rows, begin)
        _check_places(rows)
    except ValueError as error:
        raise InputError(f"{path}: cannot be read: {error}; fetch it again") from None
    return {
        name: StoredTensor(row.kind, row.shape, partial(_load, path, row, begin))
        for name, row in rows.items()
    }


def _load(path: Path, row: _Row, begin: int) -> np.ndarray:
    raw = read_exactly(path, begin + row.begin, row.end - row.begin)
    return np.frombuffer(raw, np.dtype(FLOATS[row.kind])).reshape(row.shape)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header (not yet checked beyond being a JSON object), and where the tensors' bytes begin."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise InputError(
                f"{path}: cannot be read: no safetensors header; is it cut short? fetch it again"
            )
        if length > _LONGEST_HEADER:
            raise InputError(f"{path}: cannot be read: a header of {length} bytes; fetch it again")
        raw = file.read(length)
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise InputError(f"{path}: cannot be read: its header is not JSON, each name once; fetch it again")
    return header, 8 + length


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _row(name: str, row: Any) -> _Row:
    """A tensor's description; ValueError where it is none."""
    if not isinstance(row, dict) or not {"dtype", "shape", "data_offsets"} <= row.keys():
        raise ValueError(f"{shown(name)} lacks dtype, shape or data_offsets")
    kind, shape, places = row["dtype"], row["shape"], row["data_offsets"]
    if not isinstance(kind, str) or not isinstance(shape, list):
        raise ValueError(f"{shown(name)} has no dtype and shape")
    count = count_of(tuple(shape))
    if not isinstance(places, list) or len(places) != 2 or not all(type(n) is int for n in places):
        raise ValueError(f"{shown(name)} has no data_offsets")
    if not 0 <= places[0] <= places[1]:
        raise ValueError(f"{shown(name)} ends before it begins")
    if kind in _WIDTHS and places[1] - places[0] != count * _WIDTHS[kind]:
        raise ValueError(f"{shown(name)} has more or fewer bytes than its shape says")
    return _Row(shown(kind), tuple(shape), *places)


def _check_length(path: Path, rows: dict[str, _Row], begin: int) -> None:
    size, wanted = path.stat().st_size, begin + max((row.end for row in rows.values()), default=0)
    if size < wanted:
        raise InputError(
            f"{path}: is cut short: {size} of {shown(str(wanted))} bytes; fetch it again, or where a run "
            "wrote it take another checkpoint of that run"
        )
    if size > wanted:
        raise InputError(f"{path}: holds {size} bytes, its header says {wanted}; fetch it again")


def _check_places(rows: dict[str, _Row]) -> None:
    """ValueError where two tensors share bytes, or bytes belong to none."""
    end = 0
    for name, row in sorted(rows.items(), key=lambda item: (item[1].begin, item[1].end)):
        if row.begin != end:
            raise ValueError(f"{shown(name)} does not begin where the tensor before it ends")
        end = row.end


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
