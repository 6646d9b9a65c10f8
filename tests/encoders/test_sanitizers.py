"""The tests of the compiled functions again, with kernels.c built under AddressSanitizer and UBSan."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from encoders.cpu import kernels
from encoders.framework import paddle

CHECKED = [
    "tests/encoders/test_kernels.py", "tests/encoders/test_kernel_shapes.py",
    "tests/encoders/test_kernel_values.py", "tests/encoders/test_unpadding.py",
    "tests/encoders/test_linear_dropout.py", "tests/training/test_optimizer.py",
]  # fmt: skip
FLAGS = "-g -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all"
# Straight to C, past all checks: five rows of four, and numbers that are not aligned.
MISUSES = {"heap-buffer-overflow": "5, x.data_ptr()", "misaligned address": "4, x.data_ptr() + 2"}
MISUSE = """
from encoders.cpu import kernels
from encoders.framework import paddle
x, y = paddle.ones([4, 3]), paddle.empty([4, 3])
rows, address = {}
kernels.library().gelu(address, x.data_ptr(), y.data_ptr(), rows, 3)
print("unseen")
"""


def library_of_compiler(name: str) -> str:
    """The path of one of the compiler's own libraries; empty where there is none."""
    command = [os.environ.get("CC") or "cc", f"-print-file-name={name}"]
    path = subprocess.run(command, capture_output=True, encoding="utf-8", check=False).stdout.strip()
    return path if Path(path).is_file() else ""


@pytest.fixture
def sanitized(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that runs the sanitized functions."""
    sanitizer, standard = library_of_compiler("libasan.so"), library_of_compiler("libstdc++.so.6")
    if kernels.library() is None or not sanitizer or not standard:
        pytest.skip("no compiler here that has AddressSanitizer")
    (tmp_path / "cache").mkdir(mode=0o700)
    return {
        **os.environ,
        "CONVBERT_GLUE_CACHE": str(tmp_path / "cache"),
        "CONVBERT_KERNELS_CFLAGS": FLAGS,
        # Both from the start: what Paddle throws is intercepted. The sanitizer's dlopen knows no RPATH.
        "LD_PRELOAD": f"{sanitizer}:{standard}",
        "LD_LIBRARY_PATH": str(Path(paddle.__file__).with_name("libs")),
        # Python leaks; Paddle mixes new[] and delete.
        "ASAN_OPTIONS": "detect_leaks=0:alloc_dealloc_mismatch=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "FLAGS_use_system_allocator": "1",  # each tensor by itself, so that its ends are watched
    }


def run(sanitized: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=sanitized, capture_output=True, encoding="utf-8", timeout=600
    )


@pytest.mark.long
def test_under_sanitizers(sanitized: dict[str, str], project_dir: Path) -> None:
    """Not captured by pytest: a report comes as the process is stopped."""
    done = run(sanitized, project_dir, "-m", "pytest", "-q", "-x", "-s", "-p", "no:cacheprovider", *CHECKED)
    assert done.returncode == 0, done.stderr[:4000] + done.stdout[-4000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("report", MISUSES)
def test_the_sanitizers_are_at_work(sanitized: dict[str, str], project_dir: Path, report: str) -> None:
    done = run(sanitized, project_dir, "-c", MISUSE.format(MISUSES[report]))
    assert "unseen" not in done.stdout
    assert report in done.stderr
