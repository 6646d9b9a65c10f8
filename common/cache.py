"""The folder of downloads, tokenised features and compiled functions, and who may write it.

What is trusted when it is read back (the compiled library, tokens, notes that name folders) must belong to
this user or to root, and no other user may write it or a folder between it and the cache folder.
"""

import os
import stat
from pathlib import Path

from common.errors import InputError

_REMEDY = "name a folder of your own with CONVBERT_GLUE_CACHE"


def cache_dir() -> Path:
    """``$CONVBERT_GLUE_CACHE``, else ``convbert-glue`` below ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    named = os.environ.get("CONVBERT_GLUE_CACHE")
    everyones = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(named).expanduser() if named else Path(everyones).expanduser() / "convbert-glue"
    except RuntimeError:
        raise InputError("there is no home folder to cache in: name one with CONVBERT_GLUE_CACHE") from None


def make_dir(name: str) -> Path:
    """A folder of the cache; it and the cache folder are created for this user alone (0700) where missing."""
    root = cache_dir()
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        for folder in (root, root / name):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot be made: {reason}; {_REMEDY}", path=root / name) from None
    return root / name


def private_dir(name: str) -> Path:
    """A folder of the cache for files that are trusted later; InputError if others may write there."""
    folder = make_dir(name)
    if reason := distrust(folder):
        raise reason
    return folder


def distrust(path: Path) -> InputError | None:
    """Why a file or folder of the cache cannot be trusted, and the remedy; None: it can be.

    It cannot if another user owns it or may write it. Others may write to a folder with the sticky bit, such
    as /tmp, for there they cannot replace the files of this user. What does not exist is trusted.
    """
    if os.name != "posix":
        return None
    root = cache_dir()
    parts = path.relative_to(root).parts
    try:
        reasons = (_distrust_one(root.joinpath(*parts[:depth])) for depth in range(len(parts) + 1))
        return next(filter(None, reasons), None)
    except FileNotFoundError:
        return None
    except OSError as error:
        return InputError(f"{error.strerror}; {_REMEDY}", path=path)


def _distrust_one(path: Path) -> InputError | None:
    for status in (path.lstat(), path.stat()):  # of a link, and of its target
        if status.st_uid not in (os.geteuid(), 0):
            return InputError(f"belongs to another user (id {status.st_uid}); {_REMEDY}", path=path)
    is_sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not is_sticky:
        mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
        return InputError(f"other users may write it ({mode}); `chmod go-w {path}`, or {_REMEDY}", path=path)
    return None


def protect(path: Path) -> None:
    """Forbid other users to write a file, or a folder and its files, whatever the umask allowed."""
    for each in (path, *path.iterdir()) if path.is_dir() else (path,):
        each.chmod(stat.S_IMODE(each.stat().st_mode) & ~0o022)
