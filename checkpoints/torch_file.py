"""Read ``pytorch_model.bin`` tensor by tensor, without PyTorch and without running anything. No Paddle.

Two formats: a zip archive (``…/data.pkl`` beside ``…/data/0``, ``…/data/1`` …; since PyTorch 1.6), and
the older one, pickles in a row with the numbers behind them.
"""

import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from checkpoints.tensors import StoredTensor
from checkpoints.unpickling import WIDTHS, Kind, Storage, broken, tensors_in, unpickle
from commands.errors import InputError

# What the older format begins with, PyTorch's own magic number, pickled with protocol 2.
_MAGIC = 0x1950A86A20F9469CFC6C
_BAD_ZIP = (zipfile.BadZipFile, KeyError, EOFError, ValueError, NotImplementedError, OSError, zlib.error)


def open_torch(path: Path) -> dict[str, StoredTensor]:
    """Name → tensor. A damaged file, and one that asks to run something: InputError."""
    with open(path, "rb") as file:
        return _open_zip(path) if file.read(2) == b"PK" else _open_pickles(path)


def _width(kind: str) -> int:
    return np.dtype(WIDTHS[kind]).itemsize


def _reference(pid: Any, length: int) -> tuple[str, str, int]:
    """Kind, key and how many numbers, from a reference to a storage."""
    if not isinstance(pid, tuple) or len(pid) != length or pid[0] != "storage":
        raise ValueError("a reference that is none")
    kind, key, size = pid[1], pid[2], pid[4]
    if not isinstance(kind, Kind) or kind.name not in WIDTHS or type(size) is not int or size < 0:
        raise ValueError("a storage that is none")
    return kind.name, str(key), size


def _open_zip(path: Path) -> dict[str, StoredTensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            pickles = [name for name in members if name.endswith("/data.pkl") or name == "data.pkl"]
            if len(pickles) != 1:
                raise InputError(f"{path}: is a zip archive, but not one of PyTorch: it has no data.pkl")
            root = pickles[0].removesuffix("data.pkl")
            if f"{root}byteorder" in members and archive.read(f"{root}byteorder") != b"little":
                raise InputError(f"{path}: its numbers are not little-endian; save it on another machine")

            def storage(pid: Any) -> Storage:
                kind, key, size = _reference(pid, 5)
                info = members[f"{root}data/{key}"]
                # Never compressed by PyTorch: what claims to be could be of any size.
                if info.compress_type != zipfile.ZIP_STORED or info.file_size < size * _width(kind):
                    raise ValueError(f"storage {key} of another size")
                return Storage(kind, size, partial(_read_member, path, info))

            if members[pickles[0]].compress_type != zipfile.ZIP_STORED:
                raise ValueError("a compressed data.pkl")
            with archive.open(pickles[0]) as file:
                return tensors_in(path, unpickle(file, path, storage))
    except _BAD_ZIP as error:
        broken(path, error)


def _read_member(path: Path, info: zipfile.ZipInfo) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(info)
    except _BAD_ZIP as error:
        broken(path, error)


def _open_pickles(path: Path) -> dict[str, StoredTensor]:
    sizes: dict[str, tuple[str, int]] = {}
    places: dict[str, int] = {}

    def storage(pid: Any) -> Storage:
        kind, key, size = _reference(pid, 6)
        if pid[5] is not None:
            raise ValueError("a view of a storage, which PyTorch has not written since 0.4")
        sizes[key] = (kind, size)
        return Storage(kind, size, lambda: _read_at(path, places[key], size * _width(kind)))

    with open(path, "rb") as file:
        if unpickle(file, path) != _MAGIC:
            raise InputError(f"{path}: is no file of PyTorch's; weights are read from what torch.save wrote")
        protocol, system = unpickle(file, path), unpickle(file, path)
        if protocol != 1001 or not isinstance(system, dict) or not system.get("little_endian", True):
            raise InputError(
                f"{path}: its format {protocol!r} is not known; save it again with a new PyTorch"
            )
        tensors = tensors_in(path, unpickle(file, path, storage))
        keys = unpickle(file, path)
        end = path.stat().st_size
        for key in keys if isinstance(keys, list) else []:
            kind, size = sizes.get(str(key), ("", -1))
            if int.from_bytes(file.read(8), "little") != size:
                broken(path, ValueError(f"storage {key} of another size"))
            places[str(key)] = file.tell()
            if file.seek(size * _width(kind), 1) > end:
                raise InputError(f"{path}: is cut short: {end} bytes; fetch it again")
    if sizes.keys() != places.keys():
        broken(path, ValueError("storages are missing"))
    return tensors


def _read_at(path: Path, place: int, length: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(place)
        return file.read(length)
