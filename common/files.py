"""Artefacts that appear whole or not at all: write beside, fsync, rename; manifests."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from common.errors import InputError
from common.json_files import read_json_object
from common.messages import escape_unprintable
from common.model_files import MODEL_CARD
from common.plain_files import open_plain

MANIFEST = "manifest.json"


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a binary file that takes its name only when the block ends without an error.

    The parent folder is created. On an error the half-written file is removed, and a file that was there
    before is left as it was.
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
    except OSError as error:
        beside.unlink(missing_ok=True)
        # A full disk names no file, and a forbidden one only the file beside.
        about_this = error.errno is not None and error.filename in (None, str(beside))
        raise (OSError(error.errno, error.strerror, str(path)) if about_this else error) from None
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable, where the system can do that with folders.

    Windows does not open them, and some file systems (network shares, FUSE) know no such thing.
    """
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF):
                raise
        finally:
            os.close(handle)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically, with the line ends as they are in ``text``."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def write_through(file: IO[bytes], content: bytes) -> None:
    """Write and make sure that it is on the disk: afterwards only the renaming can fail."""
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented, ASCII-escaped JSON, atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def why_missing(path: Path) -> str:
    """Why a file cannot be found; it may be a link to nothing, as git-annex leaves them."""
    if path.is_symlink():
        target = escape_unprintable(str(path.readlink()))
        return f"is a link to {target}, which is not there; fetch the file itself"
    return "no such file"


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a plain file's bytes, in hex; a pipe or a device is an InputError."""
    digest = hashlib.sha256()
    with open_plain(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def atomic_folder(path: str | Path, keep_before: str = "") -> Iterator[Path]:
    """Yield a new folder that takes the name ``path`` only when the block ends without an error; it gets a
    manifest. A link of this user or root is followed. After a crash ``recover_folder`` restores a consistent
    state. keep_before: the name to give the folder that is replaced; empty: it is removed."""
    if keep_before and Path(path).is_symlink():
        message = "is a link, and the folder before it is kept beside it: put a folder there"
        raise InputError(message, path=path)
    path = folder_meant(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    recover_folder(path)
    beside, before = _neighbours(path)
    kept = path.with_name(keep_before) if keep_before else before
    beside.mkdir()
    try:
        yield beside
        write_manifest(beside)
        sync_folder(beside)
        if path.exists():
            _remove(kept)
            os.replace(path, kept)
        os.replace(beside, path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        if kept.exists() and not path.exists():
            os.replace(kept, path)
        raise
    sync_folder(path.parent)
    _remove(before)


def recover_folder(path: str | Path) -> None:
    """Clean up after a killed ``atomic_folder``: restore the folder before it, remove a half-written one."""
    path = folder_meant(path)
    beside, before = _neighbours(path)
    _remove(beside)
    if before.is_dir() and not before.is_symlink() and not path.exists():  # killed between the two renames
        os.replace(before, path)
    _remove(before)


def check_replaceable(path: str | Path) -> None:
    """Raise InputError if ``atomic_folder`` could not replace the path, before hours are spent."""
    folder = folder_meant(path)
    if folder.exists() and not folder.is_dir():
        raise InputError("is no folder; remove it, or name another", path=path)
    if os.path.ismount(folder):
        message = "is where a file system is mounted; it cannot be replaced: name one in it"
        raise InputError(message, path=path)
    if folder.parent.is_dir() and not os.access(folder.parent, os.W_OK | os.X_OK):
        raise InputError(f"cannot be replaced: {folder.parent} may not be written to", path=path)


def folder_meant(path: str | Path) -> Path:
    """The absolute path of a folder; for a link of this user or root, that of the folder it leads to."""
    path = Path(path).absolute()
    if not path.is_symlink():
        return path
    if hasattr(os, "geteuid") and path.lstat().st_uid not in (0, os.geteuid()):
        raise InputError("is a link that another user made; it is not followed: remove it", path=path)
    folder = Path(os.path.realpath(path))
    if not folder.is_dir():
        raise InputError(f"is a link to what is no folder; remove it, or make the folder {folder}", path=path)
    return folder


def _remove(path: Path) -> None:
    """Remove a folder and all that is in it; of a link only the link."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _neighbours(path: Path) -> tuple[Path, Path]:
    return path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.before")


def write_manifest(folder: Path) -> None:
    """Write ``manifest.json``: the SHA-256 of every other file in a folder, but not of a card to edit."""
    files = [entry for entry in sorted(folder.iterdir()) if entry.name not in (MANIFEST, MODEL_CARD)]
    digests = {entry.name: sha256_of(entry) for entry in files}
    write_json(folder / MANIFEST, {"sha256": digests})


def verify_manifest(folder: Path) -> InputError | None:
    """How a folder differs from its manifest; None: not at all. A manifest must be there."""
    try:
        digests = read_json_object(folder / MANIFEST)["sha256"]
        if not all(re.fullmatch(r"[\w.-]+", name, re.ASCII) and name.strip(".") for name in digests):
            return InputError("not a manifest", path=folder / MANIFEST)  # such as one that names /dev/zero
        wrong = [name for name, digest in digests.items() if sha256_of(folder / name) != digest]
    except InputError as error:
        return error
    except FileNotFoundError as error:
        return InputError("no such file", path=error.filename)
    except OSError as error:
        return InputError(error.strerror or str(error), path=error.filename)
    except (KeyError, AttributeError, TypeError):
        return InputError("not a manifest", path=folder / MANIFEST)
    return InputError(f"is not what {MANIFEST} says (SHA-256)", path=folder / wrong[0]) if wrong else None
