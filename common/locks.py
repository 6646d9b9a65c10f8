"""Locks between processes: a file that one process at a time can hold, through ``filelock``."""

import errno
import math
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InputError

if TYPE_CHECKING:
    from filelock import BaseFileLock

_POLL_SECONDS = 0.2
# What the system answers where a file system cannot lock: Lustre without `flock`, NFS without its daemon …
_UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


class Lock:
    """A lock on a file between processes; it is released when the process ends, in whatever way.

    The operating system keeps the lock. Where the file system does not support that, a second file
    ``NAME.held`` serves as the lock: it names its holder, and is taken over when that process has ended on
    the same machine.
    """

    def __init__(self, path: Path, seconds: float = 0.0, waiting: str = "") -> None:
        """Wait ``seconds`` (``math.inf``: for ever) for the lock and take it; a link is refused, not
        followed. If another process holds it ``waiting`` is printed once on stderr, and after that time there
        is an InputError."""
        from filelock import SoftFileLock  # takes 60 ms

        _refuse_what_is_no_lock(path)
        self._lock = _system_lock(path)
        try:
            self._acquire(path, seconds, waiting)
        except OSError as error:
            _refuse_what_is_no_lock(path)  # planted meanwhile
            if error.errno not in _UNSUPPORTED:
                raise
            self._lock = SoftFileLock(path.with_name(f"{path.name}.held"), thread_local=False)
            self._acquire(path, seconds, waiting)

    def _acquire(self, path: Path, seconds: float, waiting: str) -> None:
        from filelock import Timeout

        try:
            self._lock.acquire(blocking=False)
            return
        except Timeout:
            if seconds and waiting:
                print(waiting, file=sys.stderr, flush=True)
        try:
            timeout = -1 if math.isinf(seconds) else seconds
            self._lock.acquire(timeout=timeout, poll_interval=_POLL_SECONDS, blocking=seconds > 0)
        except Timeout:
            held = Path(self._lock.lock_file)
            remedy = "" if held == path else f" (if there is none, on any machine, remove {held})"
            message = f"another run is at work there; wait for it, or stop it{remedy}"
            raise InputError(message, path=path.parent) from None

    def free(self) -> None:
        """Release the lock."""
        self._lock.release()

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.free()


def _refuse_what_is_no_lock(path: Path) -> None:
    """Raise InputError for a link, which would be followed, and a file with content, which could be lost."""
    try:
        status = path.lstat()
    except OSError:
        return
    is_file = stat.S_ISREG(status.st_mode)
    if stat.S_ISLNK(status.st_mode) or (is_file and status.st_nlink > 1):
        raise InputError("is a link, and a lock never follows one; remove it", path=path)
    if is_file and status.st_size:
        raise InputError("is no lock, for it holds something; move it away", path=path)


def _system_lock(path: Path) -> "BaseFileLock":
    import filelock

    # Without `fcntl`, UnixFileLock fails with ENOSYS, as on a file system that cannot lock.
    kind = filelock.UnixFileLock if os.name == "posix" else filelock.FileLock
    return kind(path, thread_local=False, fallback_to_soft=False)
