"""Start a command bound to cores, and to the life of its parent process.

``python child_process.py PARENT CORES WORD…``: CORES is ``0,1,…`` or ``-``. The command is killed when
process PARENT ends, however that ends: a sweep that was killed leaves nobody at work in a run's folder. Linux
does that by itself; elsewhere a small process looks on. Only the standard library: this stands between a
sweep and every command it starts.
"""

import os
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG, _SIGKILL = 1, 9  # names and numbers from Linux's prctl.h and signal.h
_POLL_SECONDS = 0.5


def main(parent: int, cores: str, command: list[str]) -> None:
    if cores != "-" and hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
        except OSError as error:  # a sandbox forbids it, or a core was taken away
            print(f"warning: not bound to the cores {cores}: {error.strerror}", file=sys.stderr)
    is_watched = _system_watches()
    if os.getppid() != parent:  # it ended before it could be watched
        sys.exit("the parent process is gone")
    if not hasattr(os, "fork"):  # Windows, whose exec would leave the caller without a child to wait for
        sys.exit(subprocess.call(command))
    if not is_watched and os.fork() == 0:
        _watch(parent, os.getppid())
    os.execv(command[0], command)


def _system_watches() -> bool:
    """Have Linux kill this process, and what it becomes, when its parent ends."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        import ctypes

        return ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL) == 0
    except (ImportError, OSError, AttributeError):
        return False


def _watch(parent: int, child: int) -> None:
    """Kill the command when its parent is gone; end with the command. Does not return."""
    try:
        for stream in (0, 1, 2):  # pipes must not stay open for this process
            os.close(stream)
        while os.getppid() == child:
            try:
                os.kill(parent, 0)
            except PermissionError:  # it is alive
                pass
            except OSError:
                os.kill(child, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
