"""Artefacts that appear whole or not at all: write beside, fsync, rename."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from commands.errors import InputError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a binary file that takes its name only when the block ends without an error.

    The parent folder is created. On an error the half-written file is removed and whatever
    stood at ``path`` before is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable; a no-op where folders cannot be opened (Windows)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically, with the line ends as they are in ``text``."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented, ASCII-escaped JSON, atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json_object(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file; InputError says what is wrong with it."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object, found a {type(values).__name__}")
    return values


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new folder that takes the name ``path`` only when the block ends without an error.

    A folder that stood there is replaced. After a crash ``settle_folder`` puts things right.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    settle_folder(path)
    beside, before = _neighbours(path)
    beside.mkdir()
    try:
        yield beside
        sync_folder(beside)
        if path.exists():
            os.replace(path, before)
        os.replace(beside, path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        if before.exists() and not path.exists():
            os.replace(before, path)
        raise
    sync_folder(path.parent)
    shutil.rmtree(before, ignore_errors=True)


def settle_folder(path: str | Path) -> None:
    """Undo what a killed ``atomic_folder`` left: the folder before it is back, half-written ones are gone."""
    path = Path(path)
    beside, before = _neighbours(path)
    shutil.rmtree(beside, ignore_errors=True)
    if before.exists() and not path.exists():  # killed between the two renames
        os.replace(before, path)
    shutil.rmtree(before, ignore_errors=True)


def _neighbours(path: Path) -> tuple[Path, Path]:
    return path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.before")
