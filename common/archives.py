"""Untrusted archives: the entries of a zip, and the headers of arrays, are checked before they are read."""

import io
import tokenize
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from common.plain_files import open_plain

if TYPE_CHECKING:
    import numpy as np

MAX_ENTRIES = 1000
_DIRECTORY_ENTRY = b"PK\x01\x02"
_MAX_HEADER = 2000  # bytes; an array of numbers or words takes 118
_MAX_TEXT = 10_000  # characters of one item
_MIN_ROOM = 1 << 20  # bytes that any archive's array may have
_MAX_RATIO = 100  # else the size of an array by that of the archive it is packed in

# Whatever NumPy and zipfile say of bytes that are not as they should be.
DAMAGED: tuple[type[Exception], ...] = (
    zipfile.BadZipFile, tokenize.TokenError, EOFError, OSError, RuntimeError, ValueError, SyntaxError,
    TypeError, LookupError, AttributeError, ArithmeticError, MemoryError, SystemError,
)  # fmt: skip


def has_many_entries(file: IO[bytes]) -> bool:
    """Whether a zip may list more than MAX_ENTRIES files. The file is left at its beginning."""
    count, kept = 0, b""
    file.seek(0)
    while count <= MAX_ENTRIES and (block := file.read(1 << 20)):
        count += (kept + block).count(_DIRECTORY_ENTRY)
        kept = block[-len(_DIRECTORY_ENTRY) + 1 :]
    file.seek(0)
    return count > MAX_ENTRIES


def is_read_in_bounds(entry: zipfile.ZipInfo) -> bool:
    """Whether reading n bytes of an entry takes memory for n: stored and deflated ones do.

    ``zipfile`` unpacks bzip2 and LZMA a whole block at a time, however large it becomes.
    """
    return entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_arrays(
    path: str | Path, limits: Mapping[str, int], compressed: bool = True
) -> "dict[str, np.ndarray[Any, Any]]":
    """Read named arrays of an .npz, each with at most so many bytes; never a pickle.

    Other arrays are not read, nor, unless ``compressed``, packed ones. One of ``DAMAGED`` is raised where it
    is not a whole .npz, or an array does not fit its header or limit; by then nothing larger than the file
    itself was allocated.
    """
    arrays = {}
    with open_plain(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the error below says enough
        if has_many_entries(file):
            raise ValueError(f"it holds more than {MAX_ENTRIES} arrays")
        largest = max(_MIN_ROOM, _MAX_RATIO * file.seek(0, io.SEEK_END))
        with zipfile.ZipFile(file) as archive:
            present = set(archive.namelist())
            for name, most in limits.items():
                if f"{name}.npy" in present:
                    entry = archive.getinfo(f"{name}.npy")
                    if not is_read_in_bounds(entry):
                        raise ValueError(f"{name} is not packed as NumPy packs arrays")
                    if entry.compress_type and not compressed:
                        raise ValueError(f"{name} is compressed")
                    if entry.file_size > min(most + _MAX_HEADER, largest):
                        raise ValueError(f"{name} has {entry.file_size} bytes")
                    with archive.open(entry) as stored:
                        arrays[name] = _read_array(name, stored, entry.file_size)
    return arrays


def _read_array(name: str, stored: Any, size: int) -> "np.ndarray[Any, Any]":
    import numpy as np
    from numpy.lib import format as npy

    start = stored.read(8)
    version = npy.read_magic(io.BytesIO(start))
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} is of version {version}")
    width = 2 if version == (1, 0) else 4
    length = stored.read(width)
    count = int.from_bytes(length, "little")
    if count > _MAX_HEADER:
        raise ValueError(f"{name} has a header of {count} bytes")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, by_columns, dtype = read_header(io.BytesIO(length + stored.read(count)))
    if dtype.hasobject or dtype.subdtype or not dtype.itemsize:
        raise ValueError(f"{name} is of type {dtype}")
    if dtype.kind == "U" and dtype.itemsize > 4 * _MAX_TEXT:
        raise ValueError(f"{name} holds texts of {dtype.itemsize // 4} characters")
    items = 1
    for length_of_axis in shape:
        items *= int(length_of_axis)
    if min(shape, default=0) < 0 or len(start) + width + count + items * dtype.itemsize != size:
        raise ValueError(f"{name} is said to have shape {shape} and has {size} bytes in all")
    content = bytearray(stored.read(items * dtype.itemsize + 1))  # to the end, where the checksum is compared
    if len(content) != items * dtype.itemsize:
        raise ValueError(f"{name} has {len(content)} of {items * dtype.itemsize} bytes")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")
