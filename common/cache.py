"""Where downloads, tokenised features and compiled functions are kept between runs, and whose they are.

What is read back on trust (the compiled library, tokens, notes that name folders) has to belong to this user,
or to root, and nobody else may write it, nor a folder on the way to it from the cache folder.
"""

import os
import stat
from pathlib import Path

from common.errors import InputError

_REMEDY = "name a folder of your own with CONVBERT_GLUE_CACHE"


def cache_dir() -> Path:
    """``$CONVBERT_GLUE_CACHE``, else ``convbert-glue`` below ``$XDG_CACHE_HOME`` or ``~/.cache``.

    InputError where a home is needed and there is none, as in some containers.
    """
    named = os.environ.get("CONVBERT_GLUE_CACHE")
    everyones = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(named).expanduser() if named else Path(everyones).expanduser() / "convbert-glue"
    except RuntimeError:
        raise InputError("there is no home folder to cache in: name one with CONVBERT_GLUE_CACHE") from None


def make_dir(name: str) -> Path:
    """A folder of the cache. What is missing, the cache folder too, is made for this user alone (0700)."""
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
    """The same, for what has to be trusted when it is read back; InputError where others may write there."""
    folder = make_dir(name)
    if reason := distrust(folder):
        raise InputError(reason)
    return folder


def distrust(path: Path) -> str:
    """Why what stands at a path of the cache may be another user's work, and the remedy; empty if it cannot.

    Of a folder with the sticky bit, as /tmp has it, it does not matter who else may write: nobody can replace
    what is not theirs. What is not there is nobody's work.
    """
    if os.name != "posix":
        return ""
    root = cache_dir()
    parts = path.relative_to(root).parts
    try:
        reasons = (_distrust_one(root.joinpath(*parts[:depth])) for depth in range(len(parts) + 1))
        return next(filter(None, reasons), "")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{path}: {error.strerror}; {_REMEDY}"


def _distrust_one(path: Path) -> str:
    for status in (path.lstat(), path.stat()):  # of a link, and of what it leads to
        if status.st_uid not in (os.geteuid(), 0):
            return f"{path}: belongs to another user (id {status.st_uid}); {_REMEDY}"
    is_sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not is_sticky:
        mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
        return f"{path}: other users may write it ({mode}); `chmod go-w {path}`, or {_REMEDY}"
    return ""


def protect(path: Path) -> None:
    """Take from others the right to write a file, or a folder's files, whatever the umask gave them."""
    for each in (path, *path.iterdir()) if path.is_dir() else (path,):
        each.chmod(stat.S_IMODE(each.stat().st_mode) & ~0o022)
