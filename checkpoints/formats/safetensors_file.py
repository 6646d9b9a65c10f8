"""Read and write ``model.safetensors`` tensor by tensor.

The library checks a file. Reading and writing the tensors is done here: NumPy, which the library works with,
has no bfloat16. No Paddle.
"""

import json
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from checkpoints.formats.tensors import DTYPES, StoredTensor, count_of, read_exactly
from common.errors import InputError
from common.json_files import parse_json
from common.messages import escape_unprintable

_WIDTH_ORDER = ("F16", "BF16", "F32", "F64")
_MAX_HEADER = 20_000_000  # bytes; a tensor takes about 120


def open_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Name → tensor; InputError if the file is cut short or no safetensors file."""
    header, begin = _read_header(path)
    _check_length(path, header, begin)
    try:
        with safe_open(path, framework="numpy"):
            pass  # it is whole, and no two tensors share bytes
        return {name: _tensor(path, row, begin) for name, row in header.items() if name != "__metadata__"}
    except (SafetensorError, ValueError, OSError) as error:
        reason = escape_unprintable(str(error), 200)
        raise InputError(f"cannot be read: {reason}; fetch it again", path=path) from None


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header (not yet checked beyond being a JSON object), and where the tensors' bytes begin."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            reason = "cannot be read: no safetensors header; is it cut short? fetch it again"
            raise InputError(reason, path=path)
        if length > _MAX_HEADER:
            raise InputError(f"cannot be read: a header of {length} bytes; fetch it again", path=path)
        raw = file.read(length)
    try:
        header = parse_json(raw.decode("utf-8"))  # each name once, which the library lets pass
    except (UnicodeError, InputError):
        header = None
    if not isinstance(header, dict):
        message = "cannot be read: its header is not JSON with each name once; fetch it again"
        raise InputError(message, path=path)
    return header, 8 + length


def _check_length(path: Path, header: dict[str, Any], begin: int) -> None:
    """InputError that says by how many bytes a file is cut short or too long."""
    rows = [row for name, row in header.items() if name != "__metadata__" and isinstance(row, dict)]
    ends = [
        row["data_offsets"][-1]
        for row in rows
        if isinstance(row.get("data_offsets"), list) and row["data_offsets"]
    ]
    size, wanted = path.stat().st_size, begin + max((end for end in ends if type(end) is int), default=0)
    if size < wanted:
        remedy = "fetch it again, or where a run wrote it take another checkpoint of that run"
        reason = f"is cut short: {size} of {escape_unprintable(str(wanted), 100)} bytes; {remedy}"
        raise InputError(reason, path=path)
    if size > wanted:
        raise InputError(f"holds {size} bytes, its header says {wanted}; fetch it again", path=path)


def _tensor(path: Path, row: dict[str, Any], begin: int) -> StoredTensor:
    """A tensor of a header that the library has checked."""
    shape, (first, end) = tuple(row["shape"]), row["data_offsets"]
    count_of(shape)

    def load() -> np.ndarray:
        raw = read_exactly(path, begin + first, end - first)
        return np.frombuffer(raw, DTYPES[row["dtype"]]).reshape(shape)

    return StoredTensor(row["dtype"], shape, load)


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
