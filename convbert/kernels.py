"""The compiled part: ``kernels.c``, built once by the C compiler at hand, and used where it fits.

Without a compiler, on another system than Linux, on a GPU, in graphs or in float64 nothing of it is used:
every caller has the plain formulation, its tested definition. ``CONVBERT_KERNELS=0`` turns it off.
"""

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from commands.cache import cache_dir
from convbert.framework import paddle

_SOURCE = Path(__file__).with_name("kernels.c")
# What -ffast-math has that changes no infinity, no NaN and not the processor's state.
_FLAGS = (
    "-O3", "-march=native", "-mprefer-vector-width=512", "-fPIC", "-fopenmp", "-fno-math-errno",
    "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math",
)  # fmt: skip
PIECES = 16  # as in kernels.c


def usable(*tensors: paddle.Tensor) -> bool:
    """Whether the compiled functions can take these: float32 on a CPU, outside graphs.

    Where gradients are wanted they must be wanted of all: a frozen parameter's cannot be left out.
    """
    if not paddle.in_dynamic_mode():
        return False
    if any(t.dtype != paddle.float32 or not t.place.is_cpu_place() for t in tensors) or library() is None:
        return False
    return not paddle.is_grad_enabled() or len({t.stop_gradient for t in tensors}) == 1


def call(name: str, *arguments: Any) -> None:
    """Run a function of ``kernels.c``: tensors and arrays by their address, None as a null pointer."""
    getattr(library(), name)(*map(_as_c, arguments))


def _as_c(value: Any) -> Any:
    if isinstance(value, bool | int):
        return ctypes.c_int64(value)
    if isinstance(value, float):
        return ctypes.c_float(value)
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.c_void_p(None if value is None else value.data_ptr())


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled functions, or None where they cannot be had."""
    if os.environ.get("CONVBERT_KERNELS") == "0" or not sys.platform.startswith("linux"):
        return None
    if paddle.get_flags("FLAGS_use_stride_kernel")["FLAGS_use_stride_kernel"]:
        return None  # then tensors need not be contiguous
    compiler = shutil.which(os.environ.get("CC", "cc"))
    # The threads of Paddle's own matrix products: a second pool would fight them for the cores.
    threads = Path(paddle.__file__).with_name("libs") / "libiomp5.so"
    if compiler is None or not threads.is_file():
        return None
    try:
        return ctypes.CDLL(str(_built(compiler, threads)))
    except (OSError, subprocess.CalledProcessError):
        return None


def _built(compiler: str, threads: Path) -> Path:
    """The library's file, of this source, compiler, processor and Paddle; built where it is missing."""
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
    processor = [
        line
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("flags")
    ]
    parts = [_SOURCE.read_bytes(), version, repr((_FLAGS, str(threads), processor[:1])).encode()]
    target = cache_dir() / "kernels" / f"{hashlib.sha256(b'|'.join(parts)).hexdigest()}.so"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            compiled, linked = Path(scratch, "kernels.o"), Path(scratch, "kernels.so")
            for words in (
                [*_FLAGS, "-c", str(_SOURCE), "-o", str(compiled)],
                ["-shared", str(compiled), str(threads), "-lm", "-o", str(linked)],
            ):
                subprocess.run([compiler, *words], capture_output=True, check=True)
            linked.replace(target)  # whole or not at all, whoever else builds it
    return target
