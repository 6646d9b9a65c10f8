"""Pickled weights: every kind of tensor that PyTorch and Paddle write is read, and nothing is ever run."""

import builtins
import os
import pickle
import pickletools
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints.formats.paddle_file import open_paddle, write_paddle
from checkpoints.formats.tensors import StoredTensor, as_float32
from checkpoints.formats.torch_file import open_torch
from common.errors import InputError
from tests.checkpoints.golden_folders import GOLDEN, check_error, error_of
from tests.checkpoints.hostile_pickles import integer, text

TORCH, PADDLE = GOLDEN / "torch", GOLDEN / "paddlenlp"
Open = Callable[[Path], dict[str, StoredTensor]]


# --- what PyTorch and Paddle wrote -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["zip.bin", "legacy.bin"])
def test_every_tensor_of_pytorch(name: str) -> None:
    """Shared storages, views, transposes, expanded and empty ones; golden values of PyTorch 2.13.0."""
    actual, wanted = open_torch(TORCH / name), np.load(TORCH / "expected.npz")
    assert set(actual) == set(wanted.files)
    kinds = {"double": "F64", "half": "F16", "brain": "BF16", "position_ids": "I64", "mask": "BOOL"}
    for key in wanted.files:
        tensor = actual[key]
        assert tensor.shape == wanted[key].shape
        assert tensor.kind == {**kinds, "bytes": "U8"}.get(key, "F32")
        if tensor.kind in ("I64", "BOOL", "U8"):
            np.testing.assert_array_equal(tensor.load(), wanted[key])
        else:
            array = as_float32(TORCH / name, key, tensor)
            np.testing.assert_array_equal(array, wanted[key].astype(np.float32))


@pytest.mark.parametrize("name", ["protocol2.pdparams", "kinds.pdparams"])
def test_every_tensor_of_paddle(name: str) -> None:
    """As paddle.save of Paddle 3.3.1 wrote them, with NumPy 1.26.4."""
    path = PADDLE / name
    actual = {key: as_float32(path, key, tensor) for key, tensor in open_paddle(path).items()}
    np.testing.assert_array_equal(actual["weight"], np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5)
    for key in set(actual) - {"weight"}:
        np.testing.assert_array_equal(actual[key], [0.5, -1, 200])
    assert set(actual) == {"weight", "bias"} | ({"half", "brain"} if name.startswith("kinds") else set())


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_of_this_numpy(tmp_path: Path, protocol: int) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    values = {"c": array, "fortran": np.asfortranarray(array), "number": np.array(3, np.float32)}
    (tmp_path / "x").write_bytes(pickle.dumps(values, protocol=protocol))
    for key, tensor in open_paddle(tmp_path / "x").items():
        np.testing.assert_array_equal(tensor.load(), values[key])


def test_arrays_that_paddle_cut_into_parts(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32)
    parts = {"w@@.0": array[:8], "w@@.1": array[8:], "b": array[:2]}
    info = {"w": {"OriginShape": (3, 4), "slices": ["w@@.0", "w@@.1"]}}
    (tmp_path / "x").write_bytes(pickle.dumps({**parts, "UnpackBigParamInfor@@": info}, protocol=2))
    actual = open_paddle(tmp_path / "x")
    assert set(actual) == {"w", "b"}
    assert actual["w"].shape == (3, 4)
    np.testing.assert_array_equal(actual["w"].load(), array.reshape(3, 4))
    info["w"]["OriginShape"] = (3, 5)
    (tmp_path / "x").write_bytes(pickle.dumps({**parts, "UnpackBigParamInfor@@": info}, protocol=2))
    assert "of another size" in error_of(lambda: open_paddle(tmp_path / "x"))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    arrays = {
        "turned": ("F32", np.arange(6, dtype=np.float32).reshape(2, 3).T),
        "half": ("F16", np.ones(3, np.float16)),
        "brain": ("BF16", np.array([0x3F80, 0xC000], np.uint16)),
    }
    with open(tmp_path / "x", "wb") as file:
        write_paddle(file, arrays)
    actual = open_paddle(tmp_path / "x")
    assert {key: (tensor.kind, tensor.load().tolist()) for key, tensor in actual.items()} == {
        key: (kind, array.tolist()) for key, (kind, array) in arrays.items()
    }
    np.testing.assert_array_equal(as_float32(tmp_path / "x", "brain", actual["brain"]), [1, -2])
    # The name of an array's maker that NumPy 1 and 2 both know.
    names = {text for op, text, _ in pickletools.genops((tmp_path / "x").read_bytes()) if op.name == "GLOBAL"}
    assert names == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}


# --- pickles that ask to run something -------------------------------------------------------------


class Calls:
    """Pickles into a call of a function with arguments."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


def attacks(trap: Path) -> dict[str, tuple[bytes, str]]:
    """Name → pickle, and the name that it must be refused by."""
    touch = f"touch {trap}"
    code = f"open({str(trap)!r}, 'w')"
    made: dict[str, tuple[Calls, str]] = {
        "system": (Calls(os.system, touch), f"{os.name}.system"),
        "eval": (Calls(eval, code), "builtins.eval"),
        "exec": (Calls(exec, code), "builtins.exec"),
        "open": (Calls(open, str(trap), "w"), f"{open.__module__}.open"),  # _io from Python 3.12 on
        "popen": (Calls(subprocess.Popen, ["touch", str(trap)]), "subprocess.Popen"),
        "import": (Calls(builtins.__import__, "os"), "builtins.__import__"),
        "socket": (Calls(socket.create_connection, ("127.0.0.1", 9)), "socket.create_connection"),
    }
    actual = {key: (pickle.dumps({"w": call}, protocol=4), name) for key, (call, name) in made.items()}
    for protocol in (0, 2):
        actual[f"system {protocol}"] = (pickle.dumps(Calls(os.system, touch), protocol), "posix.system")
    by_hand = {
        "os.system": b"cos\nsystem\n(S'" + touch.encode() + b"'\ntR.",
        "builtins.getattr": b"cbuiltins\ngetattr\n.",
        "torch.load": b"ctorch\nload\n(S'x'\ntR.",
        "numpy.load": b"cnumpy\nload\n(S'x'\ntR.",
        "numpy.core.multiarray.scalar": b"cnumpy.core.multiarray\nscalar\n.",
        "collections.OrderedDict.fromkeys": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.",
        "_codecs.decode": b"c_codecs\ndecode\n.",
        "checkpoints.formats.unpickling._Maker": b"ccheckpoints.formats.unpickling\n_Maker\n.",
        "posix.system": b"(" + text(touch) + b"iposix\nsystem\n.",  # INST
    }
    return actual | {f"by hand {name}": (raw, name) for name, raw in by_hand.items()}


NAMES = sorted(attacks(Path("trap")))


def as_zip(path: Path, content: bytes, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        for name, raw in members.items():
            archive.writestr(f"archive/{name}", raw)
    return path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["pdparams", "zip", "legacy"])
def test_a_malicious_pickle_is_refused_by_name_and_runs_nothing(tmp_path: Path, name: str, form: str) -> None:
    trap = tmp_path / "trap"
    content, refused = attacks(trap)[name]
    path = tmp_path / "weights"
    if form == "zip":
        as_zip(path, content)
    elif form == "legacy":
        head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
        path.write_bytes(head + content)
    else:
        path.write_bytes(content)
    reader = open_paddle if form == "pdparams" else open_torch
    check_error(lambda: reader(path), path, f" {refused.replace('nt.', 'posix.')},", "nothing was run")
    assert not trap.exists()


def test_the_attacks_would_work(tmp_path: Path) -> None:
    """What is refused above does run in an ordinary unpickler, so that the test above tests something."""
    trap = tmp_path / "trap"
    content, _ = attacks(trap)["system"]
    code = f"import pickle; pickle.loads({content!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert trap.exists()


def test_allowed_names_cannot_be_bent(tmp_path: Path) -> None:
    """State set on what a pickle may call, or on what it made, is refused."""
    makers = (
        b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n",
        b"cnumpy\ndtype\n" + text("f4") + b"\x85R", b"c_codecs\nencode\n", b"cbuiltins\ntuple\n",
    )  # fmt: skip
    for maker in makers:
        for state in (b"}" + text("make") + b"K\x01sb.", b"N}" + text("make") + b"K\x01s\x86b."):
            (tmp_path / "x").write_bytes(maker + state)
            assert "cannot be read" in error_of(lambda: open_paddle(tmp_path / "x"))


# --- damaged files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "open_it"),
    [
        (TORCH / "zip.bin", open_torch),
        (TORCH / "legacy.bin", open_torch),
        (PADDLE / "kinds.pdparams", open_paddle),
        (PADDLE / "protocol2.pdparams", open_paddle),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_files_cut_short_anywhere(tmp_path: Path, path: Path, open_it: Open) -> None:
    content = path.read_bytes()
    for kept in range(0, len(content), 7):
        (tmp_path / "x").write_bytes(content[:kept])
        check_error(lambda: open_it(tmp_path / "x"), tmp_path / "x")


@pytest.mark.parametrize("path", [TORCH / "zip.bin", TORCH / "legacy.bin", PADDLE / "kinds.pdparams"])
def test_flipped_bytes_never_raise_anything_else(tmp_path: Path, path: Path) -> None:
    open_it = open_torch if path.suffix == ".bin" else open_paddle
    content = bytearray(path.read_bytes())
    random = np.random.default_rng(0)
    refused = []
    for position in random.integers(0, len(content), 300):
        changed = bytearray(content)
        changed[position] ^= int(random.integers(1, 256))
        (tmp_path / "x").write_bytes(changed)
        try:
            for key, tensor in open_it(tmp_path / "x").items():
                if tensor.kind in ("F32", "F16", "F64", "BF16"):
                    assert np.isfinite(as_float32(tmp_path / "x", key, tensor)).all()
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > 30  # the flips do hit something
    for message in refused:
        assert message.startswith(f"{tmp_path / 'x'}: ")
        assert "\n" not in message


def tensor_pickle(shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, size: int = 4) -> bytes:
    """data.pkl of one tensor on a storage of 4 numbers, saying what it likes."""
    parts = [b"\x80\x02}", text("w"), b"ctorch._utils\n_rebuild_tensor_v2\n("]
    parts += [b"(", text("storage"), b"ctorch\nFloatStorage\n", text("0"), text("cpu"), integer(size), b"tQ"]
    parts.append(integer(offset))
    for numbers in (shape, strides):
        parts.append(b"(" + b"".join(integer(number) for number in numbers) + b"t")
    return b"".join(parts) + b"\x89}tRs."


@pytest.mark.parametrize(
    ("pickled", "fragment"),
    [
        (tensor_pickle((5,), (1,)), "a tensor beyond its storage"),
        (tensor_pickle((2, 2), (1, 3)), "a tensor beyond its storage"),
        (tensor_pickle((2,), (1,), 3), "a tensor beyond its storage"),
        (tensor_pickle((2,), (-1,), 3), "a tensor of impossible strides"),
        (tensor_pickle((-2,), (1,)), "a malformed shape"),
        (tensor_pickle((2,), (1,), -1), "a tensor without numbers"),
        (tensor_pickle((2**60, 2**60), (0, 0), 9), "a shape larger than any weights"),
        (tensor_pickle((0, 2**60, 2**60), (0, 0, 0)), "a shape larger than any weights"),
        (tensor_pickle((1,) * 9, (1,) * 9), "a shape larger than any weights"),
        (tensor_pickle((2**20,), (0,)), "describes 4194304 bytes of tensors and has"),
        (tensor_pickle((2,), (1,), 0, 5), "storage 0 of another size"),
        (tensor_pickle((2,), (1,), 0, -1), "a malformed storage"),
        (tensor_pickle((2, 1), (1,)), "a tensor of unequal dimensions"),
    ],
)
def test_tensors_that_lie_about_their_size(tmp_path: Path, pickled: bytes, fragment: str) -> None:
    path = as_zip(tmp_path / "x", pickled, **{"data/0": bytes(16)})
    assert fragment in error_of(lambda: open_torch(path))


def test_a_tensor_by_hand(tmp_path: Path) -> None:
    numbers = np.array([1, 2, 3, 4], np.float32)
    path = as_zip(tmp_path / "x", tensor_pickle((2, 2), (1, 2)), **{"data/0": numbers.tobytes()})
    np.testing.assert_array_equal(open_torch(path)["w"].load(), [[1, 3], [2, 4]])


def test_zip_archives_that_are_no_weights(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("readme", b"")
    assert "but not one of PyTorch: it has no data.pkl" in error_of(lambda: open_torch(tmp_path / "x"))
    big = as_zip(tmp_path / "y", tensor_pickle((2,), (1,)), **{"data/0": bytes(16), "byteorder": b"big"})
    assert "not little-endian" in error_of(lambda: open_torch(big))
    with zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_DEFLATED) as archive:  # a bomb would be compressed
        archive.writestr("a/data.pkl", tensor_pickle((2,), (1,)))
        archive.writestr("a/data/0", bytes(16))
    assert "compressed" in error_of(lambda: open_torch(tmp_path / "z"))


@pytest.mark.parametrize(
    ("value", "fragment"),
    [
        ([1, 2], "holds a list, not a mapping of names to tensors"),
        ({"model": {"w": 1}}, "model is a dict, not a tensor; save the state dict alone"),
        ({"epoch": 3}, "epoch is a int, not a tensor"),
        ({"w": np.array(["a"])}, "arrays of U1 are not weights"),
        ({"w": np.arange(3, dtype=">f4")}, "not little-endian"),
    ],
)
def test_pickles_of_something_else(tmp_path: Path, value: Any, fragment: str) -> None:
    (tmp_path / "x").write_bytes(pickle.dumps(value, 4))
    assert fragment in error_of(lambda: open_paddle(tmp_path / "x"))


def test_names_with_control_characters_are_shown_safely(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x80\x04\x8c\x05a\x1b[2J\x8c\x03b\nc\x93.")
    assert r"it names a\x1b[2J.b\nc, which" in error_of(lambda: open_paddle(tmp_path / "x"))
