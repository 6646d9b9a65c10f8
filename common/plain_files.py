"""Opening files safely: no waiting for a pipe, no endless device, no link that another user planted."""

import os
import select
import stat
import time
from io import BufferedReader
from pathlib import Path
from typing import IO

from common.errors import InputError

_NONBLOCK, _NOFOLLOW = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_NOFOLLOW", 0)
_BLOCK = 1 << 16
_KINDS = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)


def open_plain(path: str | Path) -> BufferedReader:
    """Open a plain file for reading; InputError for a pipe, a device or a folder, else OSError."""
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NONBLOCK))  # noqa: SIM115 (the caller closes it)
    except IsADirectoryError:
        raise InputError("is a folder; expected a plain file", path=path) from None
    if kind := _odd_kind(os.fstat(file.fileno()).st_mode):
        file.close()
        raise InputError(f"{kind}; expected a plain file", path=path)
    return file


def read_plain(path: str | Path, most: int) -> bytes:
    """The bytes of a plain file; InputError if there are more than ``most``."""
    with open_plain(path) as file:
        return _bounded(path, file.read(most + 1), most)


def read_input(path: str | Path, most: int, patience: float = 5.0) -> bytes:
    """The bytes of a file that a user names, which may be a pipe such as ``/dev/stdin``; each byte is read
    once. InputError for more than ``most`` bytes, or where nobody has opened the pipe for writing after
    ``patience`` seconds."""
    handle = os.open(path, os.O_RDONLY | _NONBLOCK)
    try:
        mode = os.fstat(handle).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)) and (kind := _odd_kind(mode)):
            raise InputError(f"{kind}; expected a file", path=path)
        content = _read_to_end(handle, most, patience if stat.S_ISFIFO(mode) else 0.0)
    finally:
        os.close(handle)
    if stat.S_ISFIFO(mode) and not content:
        raise InputError("nothing came through this pipe; did the command that fills it fail?", path=path)
    return _bounded(path, content, most)


def open_to_append(path: str | Path) -> IO[bytes]:
    """Open a file at its end, made where there is none; InputError if it is a link or no plain file.

    For names that somebody else can guess, in folders where somebody else may write.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NOFOLLOW | _NONBLOCK | getattr(os, "O_BINARY", 0)
    return _open_own(path, flags, "ab")


def open_to_go_on(path: str | Path) -> IO[bytes]:
    """Open a file for reading and writing at any position, likewise."""
    flags = os.O_RDWR | os.O_CREAT | _NOFOLLOW | _NONBLOCK | getattr(os, "O_BINARY", 0)
    return _open_own(path, flags, "r+b")


def is_of_this_user(path: str | Path) -> bool:
    """Whether a file, or a link itself, belongs to this process's user; yes where there are no users."""
    return not hasattr(os, "geteuid") or os.lstat(path).st_uid == os.geteuid()


def why_not_written(path: str | Path) -> str:
    """Why a file should not be written in place: it is a link or no plain file; empty if it may be."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return ""
    if stat.S_ISLNK(status.st_mode):
        return "is a link"
    if kind := _odd_kind(status.st_mode):
        return kind
    return "has a second name (a hard link)" if status.st_nlink > 1 else ""


def _open_own(path: str | Path, flags: int, mode: str) -> IO[bytes]:
    remedy = "it is not written to: remove it"
    if problem := why_not_written(path):
        raise InputError(f"{problem}; {remedy}", path=path)
    try:
        file: IO[bytes] = open(path, mode, opener=lambda name, _: os.open(name, flags, 0o666))  # noqa: SIM115
    except OSError as error:
        if problem := why_not_written(path):  # put there this very moment
            raise InputError(f"{problem}; {remedy}", path=path) from None
        raise InputError(f"cannot be written: {error.strerror}", path=path) from None
    status = os.fstat(file.fileno())
    if _odd_kind(status.st_mode) or status.st_nlink > 1:
        file.close()
        raise InputError(f"is not a plain file of one name; {remedy}", path=path)
    return file


def _odd_kind(mode: int) -> str:
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "")


def _bounded(path: str | Path, content: bytes, most: int) -> bytes:
    if len(content) > most:
        raise InputError(f"has more than {most} bytes, too many for a file of its kind", path=path)
    return content


def _read_to_end(handle: int, most: int, patience: float) -> bytes:
    """At most ``most`` + 1 bytes. A pipe that no process has opened for writing reads as if it had ended."""
    content, until = bytearray(), time.monotonic() + patience
    while len(content) <= most:
        try:
            block = os.read(handle, min(_BLOCK, most + 1 - len(content)))
        except BlockingIOError:  # somebody has it open and has written nothing yet
            select.select([handle], [], [])
            continue
        content += block
        if not block:
            if content or time.monotonic() >= until:
                break
            time.sleep(min(0.02, patience))
    return bytes(content)
