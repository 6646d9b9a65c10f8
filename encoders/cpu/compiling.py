"""The C files beside this one → a library in the cache, built once by the C compiler at hand.

The library's name holds what it was made from (source, compiler, flags, processor, Paddle) and the SHA-256 of
its bytes, so that one cut short is noticed and built again. One that others may have written is not loaded.
"""

import contextlib
import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common.cache import distrust, private_dir
from common.errors import InputError
from common.files import atomic_write
from common.messages import note_once
from encoders.framework import paddle
from encoders.runtime import cpu_info

SOURCES = tuple(Path(__file__).with_name(name) for name in ("kernels.c", "families.c", "bf16.c", "onednn.c"))
HEADER = Path(__file__).with_name("common.h")
# What -ffast-math has that changes no infinity, no NaN and not the processor's state.
_FLAGS = (
    "-O3", "-fPIC", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros",
    "-fassociative-math",
)  # fmt: skip
_X86 = ("x86_64", "amd64", "AMD64")
# The levels of x86-64 (psABI) that CONVBERT_KERNELS_MARCH names → what the processor must have for each.
_LEVELS = {
    "native": "",
    "x86-64": "",
    "x86-64-v2": "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3",
    "x86-64-v3": "abm avx avx2 bmi1 bmi2 f16c fma movbe",
    "x86-64-v4": "avx512bw avx512cd avx512dq avx512f avx512vl",
}


class Library(ctypes.CDLL):
    """The compiled functions, and what they were built by: their bits depend on that."""

    def __init__(self, path: Path, architecture: str, compiler: str) -> None:
        super().__init__(str(path))
        self.build = {
            "compiler": compiler,
            "architecture": architecture,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }


@dataclass(frozen=True)
class _Compiler:
    """A C compiler as it is called, and what it says of its version."""

    command: tuple[str, ...]
    version: str


def load() -> Library | None:
    """The library; None where it cannot be had, with a note unless that is the user's or the system's choice.

    InputError where ``CONVBERT_KERNELS_MARCH`` names what is unknown, or what this processor lacks.
    """
    if os.environ.get("CONVBERT_KERNELS") == "0" or not sys.platform.startswith("linux"):
        return None
    architecture = _architecture()
    command = shlex.split(os.environ.get("CC") or "cc")
    # The threads of Paddle's own matrix products: a second pool would fight them for the cores.
    threads = Path(paddle.__file__).with_name("libs") / "libiomp5.so"
    if not command or shutil.which(command[0]) is None or not threads.is_file():
        return None
    try:
        version = subprocess.run([*command, "--version"], capture_output=True, check=True).stdout
        compiler = _Compiler(tuple(command), version.decode(errors="replace"))
        path = _built(compiler, architecture, threads)
        return _opened(path, architecture, compiler.version.partition("\n")[0])
    except (InputError, OSError) as error:
        reason = str(error)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").splitlines() or [f"exit status {error.returncode}"]
        first = next((line for line in lines if "error" in line.lower()), lines[0])
        reason = f"{shlex.join(error.cmd[:2])} …: {first[:200]}"
    note_once(f"the compiled functions are off, so it is slower (CONVBERT_KERNELS=0 silences this): {reason}")
    return None


def _opened(path: Path, architecture: str, compiler: str) -> Library:
    try:
        return Library(path, architecture, compiler)
    except OSError as error:
        remedy = "is it on a disk that is mounted noexec? Then name another folder with CONVBERT_GLUE_CACHE"
        raise InputError(f"{error}; {remedy}") from None


def _architecture() -> str:
    """What the library is built for: ``native`` or what ``CONVBERT_KERNELS_MARCH`` names."""
    name = os.environ.get("CONVBERT_KERNELS_MARCH") or "native"
    levels = list(_LEVELS) if platform.machine() in _X86 else ["native"]
    if name not in levels:
        raise InputError(f"CONVBERT_KERNELS_MARCH: expected one of {', '.join(levels)}, found {name[:60]!r}")
    needed = [_LEVELS[level] for level in levels[: levels.index(name) + 1]]
    missing = sorted(set(" ".join(needed).split()) - set(cpu_info().get("flags", "").split()))
    if missing:
        raise InputError(f"CONVBERT_KERNELS_MARCH={name}: this processor has no {', '.join(missing)}")
    return name


def _flags(architecture: str) -> list[str]:
    """The compiler's flags on this machine; ``CONVBERT_KERNELS_CFLAGS`` adds some, as for sanitizers."""
    if platform.machine() in _X86:
        target = [f"-march={architecture}", "-mprefer-vector-width=512"]
    else:
        target = ["-mcpu=native"] if platform.machine() in ("aarch64", "arm64", "ppc64le") else []
    return [*_FLAGS, *target, *shlex.split(os.environ.get("CONVBERT_KERNELS_CFLAGS", ""))]


def _built(compiler: _Compiler, architecture: str, threads: Path) -> Path:
    """The library's file; built where it is missing, damaged, or possibly another user's work."""
    flags = _flags(architecture)
    known = cpu_info()
    model = [known.get(name) for name in ("model name", "cpu family", "model", "flags", "Features")]
    made_from = repr((compiler, flags, str(threads), model)).encode()
    sources = b"".join(path.read_bytes() for path in (HEADER, *SOURCES))
    key = hashlib.sha256(sources + made_from).hexdigest()[:32]
    folder = private_dir("kernels")
    for path in sorted(folder.glob(f"{key}-*.so")):
        if reason := distrust(path) or _damage(path):
            note_once(f"{reason}; the library is built again")
            with contextlib.suppress(OSError):
                path.unlink()
        else:
            return path
    content = _compiled(compiler, flags, threads, folder)
    path = folder / f"{key}-{_digest(content)}.so"
    with atomic_write(path) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
    if reason := distrust(path):
        raise reason
    return path


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _damage(path: Path) -> InputError | None:
    is_whole = path.is_file() and path.stem.endswith(f"-{_digest(path.read_bytes())}")
    return None if is_whole else InputError("is damaged (its SHA-256 is not that of its name)", path=path)


def _compiled(compiler: _Compiler, flags: list[str], threads: Path, folder: Path) -> bytes:
    extra = shlex.split(os.environ.get("CONVBERT_KERNELS_CFLAGS", ""))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        linked = Path(scratch, "kernels.so")
        objects = [Path(scratch, path.stem + ".o") for path in SOURCES]
        steps = [
            [*flags, "-c", str(path), "-o", str(compiled)]
            for path, compiled in zip(SOURCES, objects, strict=True)
        ]
        libraries = [str(threads), "-lm", "-ldl", "-lpthread"]
        steps.append(["-shared", *extra, *map(str, objects), *libraries, "-o", str(linked)])
        for arguments in steps:
            subprocess.run([*compiler.command, *arguments], capture_output=True, check=True)
        return linked.read_bytes()
