"""Read ``pytorch_model.bin`` tensor by tensor, without PyTorch and without running anything. No Paddle.

Two formats: a zip archive (``…/data.pkl`` beside ``…/data/0``, ``…/data/1`` …; since PyTorch 1.6), and
the older one, pickles in a row with the numbers behind them.
"""

import io
import struct
import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import IO, Any

from checkpoints.formats.pickles.allowed import NumberKind, Storage, raise_damaged, tensors_in, unpickle
from checkpoints.formats.tensors import DTYPES, StoredTensor, read_exactly
from common.errors import InputError
from common.messages import escape_unprintable

# What the older format begins with, PyTorch's own magic number, pickled with protocol 2.
_MAGIC = 0x1950A86A20F9469CFC6C
_BAD_ZIP = (zipfile.BadZipFile, LookupError, EOFError, ValueError, NotImplementedError, struct.error)
_MAX_DIRECTORY = 10_000_000  # bytes; a tensor takes about 60


def open_torch(path: Path) -> dict[str, StoredTensor]:
    """Name → tensor. A damaged file, and one that asks to run something: InputError."""
    with open(path, "rb") as file:
        return _open_zip(path) if file.read(2) == b"PK" else _open_pickles(path)


def _reference(pid: Any, length: int) -> tuple[str, str, int]:
    """Kind, key and how many numbers, from a reference to a storage."""
    if not isinstance(pid, tuple) or len(pid) != length or pid[0] != "storage":
        raise ValueError("a malformed reference")
    kind, key, size = pid[1], pid[2], pid[4]
    if not isinstance(kind, NumberKind) or kind.name not in DTYPES or type(size) is not int or size < 0:
        raise ValueError("a malformed storage")
    if not isinstance(key, str):
        raise ValueError("a storage without a name")
    return kind.name, key, size


# --- zip archives ----------------------------------------------------------------------------------


class _Directory(io.FileIO):
    """An archive of which only the list of members is read, and no list of any length."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _MAX_DIRECTORY:
            raise zipfile.BadZipFile("its list of members is too long")
        return super().read(-1 if size is None else size) or b""


def _members(path: Path) -> dict[str, zipfile.ZipInfo]:
    with _Directory(path) as file, zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if len(members) != len(archive.infolist()):
            raise ValueError("two members of one name")
    return members


def _offset_of(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin. PyTorch never compresses: what claims to be could be of any size."""
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise ValueError(f"{info.filename} is compressed")
    end = file.seek(0, io.SEEK_END)
    if not 0 <= info.header_offset < end:  # a damaged list can make it negative
        raise ValueError(f"{info.filename} is not where it should be")
    file.seek(info.header_offset)
    header = file.read(30)
    if header[:4] != b"PK\x03\x04" or len(header) != 30:
        raise ValueError(f"{info.filename} is not where it should be")
    begin = info.header_offset + 30 + sum(struct.unpack("<HH", header[26:]))
    if begin + info.file_size > end:
        raise ValueError(f"{info.filename} is cut short")
    return begin


def _open_zip(path: Path) -> dict[str, StoredTensor]:
    try:
        members = _members(path)
        pickles = [name for name in members if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(pickles) != 1:
            raise InputError("is a zip archive, but not one of PyTorch: it has no data.pkl", path=path)
        root = pickles[0].removesuffix("data.pkl")
        with open(path, "rb") as file:
            order = members.get(f"{root}byteorder")
            if order is not None and _read_member(path, _offset_of(file, order), order, 0, 6) != b"little":
                raise InputError("its numbers are not little-endian; save it on another machine", path=path)
            offsets: dict[str, int] = {}

            def storage(pid: Any) -> Storage:
                kind, key, size = _reference(pid, 5)
                info = members[f"{root}data/{key}"]
                if info.file_size < size * DTYPES[kind].itemsize:
                    raise ValueError(f"storage {key} of another size")
                if key not in offsets:
                    position = file.tell()
                    offsets[key] = _offset_of(file, info)
                    file.seek(position)
                return Storage(kind, size, partial(_read_member, path, offsets[key], info))

            begin = _offset_of(file, members[pickles[0]])
            file.seek(begin)
            content = unpickle(file, path, begin + members[pickles[0]].file_size, storage)
        return tensors_in(path, content)
    except _BAD_ZIP as error:
        raise_damaged(path, error)


def _read_member(path: Path, offset: int, info: zipfile.ZipInfo, begin: int, length: int) -> bytearray:
    raw = read_exactly(path, offset + begin, length)
    if length == info.file_size and zlib.crc32(raw) != info.CRC:
        name = escape_unprintable(info.filename, 100)
        raise InputError(f"{name} in it is damaged (CRC-32); fetch it again", path=path)
    return raw


# --- pickles in a row ------------------------------------------------------------------------------


def _open_pickles(path: Path) -> dict[str, StoredTensor]:
    sizes: dict[str, tuple[str, int]] = {}
    offsets: dict[str, int] = {}
    end = path.stat().st_size

    def storage(pid: Any) -> Storage:
        kind, key, size = _reference(pid, 6)
        if pid[5] is not None:
            raise ValueError("a view of a storage, which PyTorch has not written since 0.4")
        if sizes.setdefault(key, (kind, size)) != (kind, size):
            raise ValueError(f"storage {key} of two sizes")
        return Storage(kind, size, lambda begin, length: read_exactly(path, offsets[key] + begin, length))

    with open(path, "rb") as file:
        if unpickle(file, path, end) != _MAGIC:
            reason = "is not a file of PyTorch; weights are read from what torch.save wrote"
            raise InputError(reason, path=path)
        protocol, system = unpickle(file, path, end), unpickle(file, path, end)
        if protocol != 1001 or not isinstance(system, dict) or system.get("little_endian", True) is not True:
            raise InputError("is of a format that is not known; save it again with a new PyTorch", path=path)
        tensors = tensors_in(path, unpickle(file, path, end, storage))
        keys = unpickle(file, path, end)
        for key in keys if isinstance(keys, list) else []:
            if not isinstance(key, str) or key not in sizes:
                raise_damaged(path, ValueError("a storage that no tensor has"))
            kind, size = sizes[key]
            if int.from_bytes(file.read(8), "little") != size:
                raise_damaged(path, ValueError(f"storage {key} of another size"))
            offsets[key] = file.tell()
            if size * DTYPES[kind].itemsize > end - offsets[key]:
                raise InputError(f"is cut short: {end} bytes; fetch it again", path=path)
            file.seek(size * DTYPES[kind].itemsize, io.SEEK_CUR)
    if sizes.keys() != offsets.keys():
        raise_damaged(path, ValueError("storages are missing"))
    return tensors
