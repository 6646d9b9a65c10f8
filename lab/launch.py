"""Start a command bound to cores, and to the life of the process that wanted it.

``python launch.py PARENT CORES WORD…``: CORES is ``0,1,…`` or ``-``. Where the system can (Linux), the
command is killed when process PARENT ends, however that ends: a sweep that was killed leaves nobody at
work in a run's folder. Only the standard library: this stands between a sweep and every command it starts.
"""

import os
import sys

_PR_SET_PDEATHSIG, _SIGKILL = 1, 9  # names and numbers from Linux's prctl.h and signal.h


def main(parent: int, cores: str, words: list[str]) -> None:
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != parent:  # it ended before it could be watched
            sys.exit("the process that wanted this is gone")
    if cores != "-" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    os.execv(words[0], words)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
