"""Run-time settings that must stand before Paddle is imported. They change speed, not results' meaning.

Paddle forces one thread when ``OMP_NUM_THREADS`` is unset, its bundled MKL takes a slow path on AMD
processors, glibc gives every large temporary back to the system, to be faulted in again, and Paddle's
strided views make the products after a transposition copy through a slow generic kernel.
Each setting is left alone where the environment already has it:

=========================== =====================================================================
``OMP_NUM_THREADS``         default: the cores this process may use, divided by the ranks here
``MKL_DEBUG_CPU_TYPE``      default on AMD: 5
``MALLOC_MMAP_MAX_`` or     either one set (they are glibc's own): our malloc settings are skipped
``MALLOC_TRIM_THRESHOLD_``
``FLAGS_use_stride_kernel`` default: 0
=========================== =====================================================================
"""

import os
import platform
import re
import sys
from pathlib import Path

from common.errors import InputError

_RECORDED = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MKL_DYNAMIC", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE",
    "FLAGS_use_stride_kernel",
)  # fmt: skip
# Of a processor's features those that decide which instructions MKL, oneDNN or a compiler choose.
_FEATURES = re.compile(r"(sse|ssse|avx|fma|f16c|amx|bmi|abm|movbe|asimd|sve|bf16|i8mm).*")
_M_TRIM_THRESHOLD = -1  # names and numbers from glibc's malloc.h
_M_MMAP_MAX = -4


def set_up() -> None:
    """Apply the settings to this process; has an effect only before Paddle is imported."""
    if not os.environ.get("OMP_NUM_THREADS"):  # empty is as good as unset
        os.environ["OMP_NUM_THREADS"] = str(default_threads())
    if _is_amd():
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    os.environ.setdefault("FLAGS_use_stride_kernel", "0")
    _keep_freed_memory()


def settings_in_force() -> dict[str, str | None]:
    """The environment variables that decide which kernels run, for a record beside results."""
    return {name: os.environ.get(name) for name in _RECORDED}


def processor() -> dict[str, str]:
    """The processor's model and what it can do, as far as the bits of a result depend on it."""
    known = cpu_info()
    numbers = [f"{name} {known[name]}" for name in ("cpu family", "model", "stepping") if name in known]
    features = (known.get("flags") or known.get("Features") or "").split()
    return {
        "model": ", ".join([known.get("model name") or platform.machine(), *numbers]),
        "features": " ".join(sorted(filter(_FEATURES.fullmatch, features))),
    }


def cpu_info() -> dict[str, str]:
    """What Linux says of the first core; empty elsewhere."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    lines = [line.partition(":") for line in first.splitlines()]
    return {name.strip(): value.strip() for name, _, value in lines}


def thread_count() -> int:
    """Threads that Paddle computes with in this process."""
    text = os.environ.get("OMP_NUM_THREADS", "1")
    try:
        return int(text.split(",")[0])
    except ValueError:
        raise InputError(f"OMP_NUM_THREADS: expected a whole number, found {text!r}") from None


def threads_to_use() -> int:
    """What is set, or the default; for whatever computes without Paddle."""
    return thread_count() if os.environ.get("OMP_NUM_THREADS") else default_threads()


def default_threads() -> int:
    """The cores this process may use, divided by the ranks on this machine; at least 1."""
    return max(1, min(usable_cores(), _cgroup_cores()) // ranks_here())


def usable_cores() -> int:
    """The cores this process may use; where the system does not say, all."""
    return len(core_numbers()) or os.cpu_count() or 1


def core_numbers() -> list[int]:
    """Which cores these are; empty where the system does not say (macOS, Windows, some sandboxes)."""
    try:
        return sorted(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return []


def ranks_here() -> int:
    """Processes that ``paddle.distributed.launch`` started on this machine (1 without it)."""
    return max(1, int(os.environ.get("PADDLE_LOCAL_SIZE") or os.environ.get("PADDLE_TRAINERS_NUM") or 1))


def _cgroup_cores() -> int:
    """The CPU quota of the container (cgroup v2), rounded up; a large number where there is none."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return 1 << 20
    return 1 << 20 if quota == "max" else -(-int(quota) // int(period))


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def _keep_freed_memory() -> None:
    if not sys.platform.startswith("linux"):
        return
    if "MALLOC_MMAP_MAX_" in os.environ or "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return
    try:
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
    except (ImportError, OSError, AttributeError):  # musl has no mallopt, a static Python no libraries
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
