"""The downloader in processes that are killed, that wait for each other, or that find the disk full."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from checkpoints.download import fetch
from tests.checkpoints.test_download import CONTENT, PROJECT, SHA, known
from tests.checkpoints.test_download import web as web
from tests.checkpoints.web import Web

# A process that may write files of no more than 1 MB: the kernel refuses the rest, as on a full disk.
_LIMITED = """
import resource, signal, sys
from pathlib import Path
from checkpoints.download import Source, fetch
from common.errors import InputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    fetch(Source(sys.argv[1], int(sys.argv[2]), sys.argv[3]), Path(sys.argv[4]), pause=0)
except InputError as error:
    print(error)
"""


def start(code: str, web: Web, path: Path, **options: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, f"{web.url}/file", str(len(CONTENT)), SHA, str(path)],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", **options,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits")
def test_a_disk_that_fills_up_keeps_what_was_fetched(web: Web, tmp_path: Path) -> None:
    out, err = start(_LIMITED, web, tmp_path / "x").communicate(timeout=60)
    assert out.startswith(f"{tmp_path / 'x'}: cannot be written: File too large"), err
    kept = (tmp_path / ".x.part").stat().st_size
    assert 900_000 < kept <= 1_000_000
    fetch(known(web), tmp_path / "x", pause=0)
    assert web.requests[-1] == ("/file", f"bytes={kept}-")
    assert (tmp_path / "x").read_bytes() == CONTENT


_FETCH = _LIMITED.replace("resource.setrlimit", "#")


@pytest.mark.skipif(sys.platform == "win32", reason="nobody waits there")
def test_of_two_processes_one_fetches(web: Web, tmp_path: Path) -> None:
    web.slow = 1.0
    rivals = [start(_FETCH, web, tmp_path / "x") for _ in range(3)]
    answers = [rival.communicate(timeout=60) for rival in rivals]
    assert [rival.returncode for rival in rivals] == [0, 0, 0]
    assert [out for out, _ in answers] == ["", "", ""]
    assert sum("another process is fetching it; waiting" in err for _, err in answers) == 2
    assert len(web.requests) == 1
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.skipif(sys.platform == "win32", reason="nobody waits there")
def test_a_killed_process_frees_the_way(web: Web, tmp_path: Path) -> None:
    web.slow = 30
    killed = start(_FETCH, web, tmp_path / "x")
    while not web.requests:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    web.slow = 0
    fetch(known(web), tmp_path / "x", pause=0)
    assert (tmp_path / "x").read_bytes() == CONTENT
