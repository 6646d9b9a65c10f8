"""Hostile .npz archives are refused before anything larger than they are is made."""

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.archives import DAMAGED, read_arrays
from common.errors import InputError

FEW = 4 << 20  # bytes
LIMITS = {"a": 1 << 26, "b": 1 << 10}


def header(descr: str, shape: Any, version: int = 1, fortran: bool = False) -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    width = 2 if version == 1 else 4
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(width, "little") + text


def archive(path: Path, content: bytes, method: int = zipfile.ZIP_STORED, name: str = "a.npy") -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr(name, content)
    return path


def peak_of_refusal(path: Path, message: str | None) -> int:
    tracemalloc.start()
    try:
        with pytest.raises((*DAMAGED, InputError), match=message):
            read_arrays(path, LIMITS)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header("<U0", (300_000_000,)), "is of type <U0"),
        (header("|S0", (300_000_000,)), "is of type"),
        (header("|V0", (300_000_000,)), "is of type"),
        (header("<U1", (300_000_000,)), "is said to have shape"),
        (header("<f4", (10**12,)), "is said to have shape"),
        (header("<f4", (10**30,)), "is said to have shape"),
        (header("<f4", (2**32, 2**32)) + bytes(8), "is said to have shape"),
        (header("<f4", (-1, -2)) + bytes(8), "is said to have shape"),
        (header("<f4", (2,)) + bytes(7), "is said to have shape"),
        (header("<f4", (2,)) + bytes(9), "is said to have shape"),
        (header("<f4", (0, 10**18)) + bytes(4), "is said to have shape"),
        (header("<U100000000", (0,)), "holds texts of 100000000 characters"),
        (header("|O", (1,)) + b"cos\nsystem\n", "is of type"),
        (header("<f4", (1,), version=2)[:8] + b"\xff\xff\xff\x7f", "has a header of 2147483647 bytes"),
        (b"\x93NUMPY\x03\0" + bytes(100), "is of version"),
        (b"\x93NUMPY\x01\0\xd0\x07" + b"(" * 2000, None),
        (b"PK" * 50, None),
        (b"", None),
    ],
)
def test_what_a_header_claims_is_not_made(content: bytes, message: str | None, tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert peak_of_refusal(archive(tmp_path / "x.npz", content, method), message) < FEW


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    items = 1 << 24
    content = header("<f4", (items,)) + bytes(4 * items)
    path = archive(tmp_path / "x.npz", content, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert peak_of_refusal(path, "a has 67") < FEW


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_unpacks_by_whole_blocks_is_not_unpacked(method: int, tmp_path: Path) -> None:
    """However small its entry claims to be."""
    path = archive(tmp_path / "x.npz", header("<f4", (1 << 24,)) + bytes(1 << 26), method)
    size = zipfile.ZipFile(path).getinfo("a.npy").file_size.to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (900_000).to_bytes(4, "little")))
    assert peak_of_refusal(path, "not packed as NumPy") < FEW


def test_a_size_that_is_untrue_is_not_believed(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.npz", header("<f4", (1 << 24,)) + bytes(1 << 26), zipfile.ZIP_DEFLATED)
    raw = bytearray(path.read_bytes())
    size = zipfile.ZipFile(path).getinfo("a.npy").file_size.to_bytes(4, "little")
    assert raw.count(size) == 2
    path.write_bytes(raw.replace(size, (200).to_bytes(4, "little")))
    assert peak_of_refusal(path, "CRC") < FEW


def test_more_than_the_limit_of_an_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", b=np.zeros(20_000))
    assert peak_of_refusal(tmp_path / "x.npz", "b has 160128 bytes") < FEW


def test_very_many_entries_are_not_listed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        for number in range(2000):
            file.writestr(f"{number}.npy", b"")
    assert peak_of_refusal(tmp_path / "x.npz", "holds more than 1000 arrays") < FEW


def test_arrays_of_every_usual_kind_are_read(tmp_path: Path) -> None:
    arrays = {
        "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "words": np.array(["entailment", "é"]),
        "word": np.array("digest"),
        "empty word": np.array(""),
        "none": np.array([]),
        "no rows": np.zeros((0, 3), dtype=np.int32),
        "swapped": np.arange(3, dtype=">i8"),
        "truth": np.array([True, False]),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", **arrays)
        read = read_arrays(tmp_path / "x.npz", dict.fromkeys([*arrays, "missing"], 1 << 20))
        assert list(read) == list(arrays)
        for name, array in arrays.items():
            assert read[name].dtype == array.dtype
            np.testing.assert_array_equal(read[name], array)
            if array.size and array.ndim:
                read[name][0] = read[name][-1]  # they may be written to


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.arange(1000, dtype=np.int32))
    path = archive(tmp_path / "x.npz", content.getvalue())
    raw = bytearray(path.read_bytes())
    raw[3000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        read_arrays(path, LIMITS)


def test_only_stored_arrays_where_asked_for(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="a is compressed"):
        read_arrays(tmp_path / "x.npz", LIMITS, compressed=False)
