"""The run-time settings: their defaults, and that the environment has the last word."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from encoders import runtime

PROJECT = Path(__file__).resolve().parents[2]
NAMES = (
    "OMP_NUM_THREADS", "MKL_DEBUG_CPU_TYPE", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_",
    "FLAGS_use_stride_kernel", "PADDLE_LOCAL_SIZE", "PADDLE_TRAINERS_NUM",
)  # fmt: skip
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's files")


class Machine:
    """A made-up machine: its environment, cores, quota, processor, and what malloc was told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.environ, self.cores = folder, dict[str, str](), 8
        self.mallopt_calls: list[tuple[int, int]] = []
        self.mallopt: Callable[..., int] | None = lambda name, value: (
            self.mallopt_calls.append((name, value)) or 1
        )
        (folder / "cpuinfo").write_text("vendor_id\t: GenuineIntel\n", encoding="utf-8")

    def quota(self, text: str) -> None:
        (self.folder / "cpu.max").write_text(text, encoding="utf-8")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(runtime, "Path", lambda name: tmp_path / Path(name).name)
    monkeypatch.setattr(os, "environ", made.environ)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(made.cores)), raising=False)
    library = type("C", (), {"mallopt": property(lambda _: made.mallopt)})
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library())
    monkeypatch.setattr(sys, "platform", "linux")
    return made


@pytest.mark.parametrize(
    ("cores", "quota", "ranks", "threads"),
    [
        (8, None, {}, 8),
        (8, "max 100000\n", {}, 8),
        (8, "400000 100000\n", {}, 4),
        (8, "250000 100000\n", {}, 3),  # two and a half cores keep three threads busy
        (2, "400000 100000\n", {}, 2),
        (8, "50000 100000\n", {}, 1),
        (8, "nonsense", {}, 8),
        (8, None, {"PADDLE_LOCAL_SIZE": "2"}, 4),
        (8, None, {"PADDLE_LOCAL_SIZE": "3"}, 2),
        (8, None, {"PADDLE_LOCAL_SIZE": "16"}, 1),
        (8, None, {"PADDLE_TRAINERS_NUM": "4"}, 2),
        (8, None, {"PADDLE_LOCAL_SIZE": "2", "PADDLE_TRAINERS_NUM": "8"}, 4),  # four machines of two
        (8, None, {"PADDLE_LOCAL_SIZE": "", "PADDLE_TRAINERS_NUM": ""}, 8),
        (8, "600000 100000\n", {"PADDLE_LOCAL_SIZE": "2"}, 3),
    ],
)
def test_default_threads(
    machine: Machine, cores: int, quota: str | None, ranks: dict[str, str], threads: int
) -> None:
    machine.cores = cores
    machine.environ.update(ranks)
    if quota is not None:
        machine.quota(quota)
    assert runtime.default_threads() == threads
    runtime.set_up()
    assert machine.environ["OMP_NUM_THREADS"] == str(threads)
    assert runtime.thread_count() == threads


def test_threads_where_affinity_is_unknown(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert runtime.default_threads() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert runtime.default_threads() == 1


def test_threads_where_affinity_is_refused(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: os.close(-1))
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert runtime.default_threads() == 6


@pytest.mark.parametrize("lack", ["ctypes", "libraries"])
def test_without_glibcs_malloc_all_else_is_set(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, lack: str
) -> None:
    if lack == "ctypes":
        monkeypatch.setitem(sys.modules, "ctypes", None)
    else:
        monkeypatch.setattr(ctypes, "CDLL", lambda _: os.close(-1))
    runtime.set_up()
    assert machine.environ["OMP_NUM_THREADS"] == "8"
    assert machine.mallopt_calls == []


@pytest.mark.parametrize(("given", "threads"), [("3", 3), ("4,2", 4), ("", 8)])
def test_threads_from_the_environment(machine: Machine, given: str, threads: int) -> None:
    machine.environ["OMP_NUM_THREADS"] = given
    runtime.set_up()
    assert runtime.thread_count() == threads
    assert machine.environ["OMP_NUM_THREADS"] == (given or "8")


@pytest.mark.parametrize(
    ("processor", "given", "wanted"),
    [
        ("AuthenticAMD", {}, "5"),
        ("AuthenticAMD", {"MKL_DEBUG_CPU_TYPE": "4"}, "4"),
        ("GenuineIntel", {}, None),
        ("GenuineIntel", {"MKL_DEBUG_CPU_TYPE": "4"}, "4"),
        (None, {}, None),  # no such file
    ],
)
def test_mkl_on_amd(
    machine: Machine, processor: str | None, given: dict[str, str], wanted: str | None
) -> None:
    machine.environ.update(given)
    if processor is None:
        (machine.folder / "cpuinfo").unlink()
    else:
        (machine.folder / "cpuinfo").write_text(
            f"processor\t: 0\nvendor_id\t: {processor}\ncpu family\t: 25\n", encoding="utf-8"
        )
    runtime.set_up()
    assert machine.environ.get("MKL_DEBUG_CPU_TYPE") == wanted


@pytest.mark.parametrize(("given", "wanted"), [({}, "0"), ({"FLAGS_use_stride_kernel": "1"}, "1")])
def test_stride_kernels(machine: Machine, given: dict[str, str], wanted: str) -> None:
    machine.environ.update(given)
    runtime.set_up()
    assert machine.environ["FLAGS_use_stride_kernel"] == wanted


def test_malloc_keeps_what_is_freed(machine: Machine) -> None:
    runtime.set_up()
    # glibc's malloc.h: M_MMAP_MAX is -4, M_TRIM_THRESHOLD -1.
    assert machine.mallopt_calls == [(-4, 0), (-1, 2**31 - 1)]


@pytest.mark.parametrize("name", ["MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_"])
def test_malloc_settings_of_ones_own(machine: Machine, name: str) -> None:
    machine.environ[name] = "65536"
    runtime.set_up()
    assert machine.mallopt_calls == []


def test_malloc_elsewhere(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.mallopt = None
    library = type("Musl", (), {})
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library())
    runtime.set_up()
    monkeypatch.setattr(ctypes, "CDLL", None)  # never asked for on other systems
    monkeypatch.setattr(sys, "platform", "darwin")
    runtime.set_up()
    assert machine.mallopt_calls == []
    assert machine.environ["FLAGS_use_stride_kernel"] == "0"  # the other settings still apply


CORE = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC: 9354
stepping\t: 1
flags\t\t: fpu sse2 avx avx2 avx512_bf16 ibpb fma

processor\t: 1
flags\t\t: fpu
"""


def test_the_processor_is_described(machine: Machine) -> None:
    """What decides instructions; not what another kernel of the system adds."""
    (machine.folder / "cpuinfo").write_text(CORE, encoding="utf-8")
    assert runtime.processor() == {
        "model": "AMD EPYC: 9354, cpu family 25, model 17, stepping 1",
        "features": "avx avx2 avx512_bf16 fma sse2",
    }
    (machine.folder / "cpuinfo").write_text(
        "processor\t: 0\nFeatures\t: fp asimd sve2 cpuid\n", encoding="utf-8"
    )
    assert runtime.processor()["features"] == "asimd sve2"
    (machine.folder / "cpuinfo").unlink()
    assert runtime.processor()["features"] == ""
    assert runtime.processor()["model"]


# --- in processes of their own --------------------------------------------------------------------


def answer(program: str, **environment: str) -> Any:
    """What a fresh process prints as JSON, with none of our settings but the given ones."""
    clean = {key: value for key, value in os.environ.items() if key not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env={**clean, **environment},
        capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


ON_ONE_CORE = """
import json, os
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
from encoders import runtime
runtime.set_up()
print(json.dumps([runtime.thread_count(), os.environ["OMP_NUM_THREADS"]]))
"""
WITH_PADDLE = """
import json, os
from encoders.framework import paddle
flag = paddle.get_flags("FLAGS_use_stride_kernel")["FLAGS_use_stride_kernel"]
print(json.dumps([os.environ["OMP_NUM_THREADS"], bool(flag)]))
"""
# mallinfo's fourth number counts blocks that were mapped one by one; its first the heap's bytes.
LARGE_BLOCK = """
import ctypes, json
from encoders import runtime
runtime.set_up()
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in "arena ordblks smblks hblks a b c d e f".split()]
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
library.mallinfo.restype = Info
before = library.mallinfo()
block = library.malloc(64 << 20)
mapped = library.mallinfo().hblks - before.hblks
library.free(block)
print(json.dumps([mapped, (library.mallinfo().arena - before.arena) >> 20 >= 64]))
"""


@LINUX
def test_this_process_may_use_one_core() -> None:
    assert answer(ON_ONE_CORE) == [1, "1"]
    assert answer(ON_ONE_CORE, OMP_NUM_THREADS="7") == [7, "7"]


@LINUX
def test_paddle_starts_with_the_settings() -> None:
    threads = min(len(os.sched_getaffinity(0)), runtime._cgroup_cores())
    assert answer(WITH_PADDLE) == [str(threads), False]
    given = {"OMP_NUM_THREADS": "1", "FLAGS_use_stride_kernel": "1"}
    assert answer(WITH_PADDLE, **given) == ["1", True]


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallinfo"), reason="no glibc"
)
def test_large_blocks_stay_with_the_process() -> None:
    assert answer(LARGE_BLOCK) == [0, True]
    assert answer(LARGE_BLOCK, MALLOC_MMAP_MAX_="65536") == [1, False]
