"""Locks between processes, on file systems that can lock and on those that cannot."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.errors import InputError
from common.locks import Lock
from tests.conftest import PROJECT

# How a process holds a lock until its standard input ends, with and without the system's locks.
_HOLD = """
import sys
from pathlib import Path
{before}
from common.locks import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
_NO_FCNTL = "sys.modules['fcntl'] = None"
_NO_LOCKS = """
import errno, fcntl, os
def refuse(*_):
    raise OSError(errno.{name}, os.strerror(errno.{name}))
fcntl.flock = refuse
"""
_SYSTEMS = [
    pytest.param("", id="system"),
    pytest.param(_NO_FCNTL, id="no-fcntl"),
    *(pytest.param(_NO_LOCKS.format(name=name), id=name) for name in ("ENOSYS", "ENOLCK", "EOPNOTSUPP")),
]


@contextmanager
def held(path: Path, before: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD.format(before=before), str(path)],
        cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def attempt(path: Path, before: str) -> "subprocess.CompletedProcess[str]":
    """What another process says that wants the lock."""
    return subprocess.run(
        [sys.executable, "-c", _HOLD.format(before=before), str(path)],
        cwd=PROJECT, capture_output=True, encoding="utf-8", input="",
    )  # fmt: skip


@pytest.mark.parametrize("before", _SYSTEMS)
def test_a_lock_is_for_one_until_its_process_ends(tmp_path: Path, before: str) -> None:
    path = tmp_path / ".lock"
    with held(path, before) as process:
        refused = attempt(path, before)
        assert f"{tmp_path}: another run is at work there" in refused.stderr
        assert (str(path.with_name(".lock.held")) in refused.stderr) == bool(before)
        process.kill()
        process.wait()
        assert attempt(path, before).stdout == "held\n"
    assert attempt(path, before).stdout == "held\n"  # what was taken over was given back too


def test_a_lock_is_for_one_thread(tmp_path: Path) -> None:
    first = Lock(tmp_path / ".lock")
    with pytest.raises(InputError, match="another run is at work there"):
        Lock(tmp_path / ".lock")
    thread = threading.Thread(target=first.free)  # by whom it was taken does not matter
    thread.start()
    thread.join()
    with Lock(tmp_path / ".lock"), pytest.raises(InputError):
        Lock(tmp_path / ".lock")
    Lock(tmp_path / ".lock").free()


def test_who_waits_says_so_once_and_gets_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = Lock(tmp_path / ".lock")
    timer = threading.Timer(0.5, first.free)
    timer.start()
    Lock(tmp_path / ".lock", 60, "waiting for it").free()
    timer.join()
    assert capsys.readouterr().err == "waiting for it\n"
    Lock(tmp_path / ".lock", 60, "waiting for it").free()
    assert capsys.readouterr().err == ""


def test_waiting_ends(tmp_path: Path) -> None:
    with Lock(tmp_path / ".lock"), pytest.raises(InputError, match="another run is at work there"):
        Lock(tmp_path / ".lock", 0.1)


@pytest.mark.parametrize("target", ["victim", "nowhere"])
@pytest.mark.parametrize("before", _SYSTEMS)
def test_a_planted_link_is_refused(tmp_path: Path, target: str, before: str) -> None:
    (tmp_path / "victim").write_text("precious", encoding="utf-8")
    for name in (".lock", ".lock.held"):
        (tmp_path / name).symlink_to(tmp_path / target)
    refused = attempt(tmp_path / ".lock", before)
    assert f"{tmp_path / '.lock'}: is a link" in refused.stderr
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "precious"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("content", ["", "precious"])
def test_a_second_name_of_a_file_is_no_lock(tmp_path: Path, content: str) -> None:
    (tmp_path / "victim").write_text(content, encoding="utf-8")
    os.link(tmp_path / "victim", tmp_path / ".lock")
    with pytest.raises(InputError, match=r"\.lock: is a link"):
        Lock(tmp_path / ".lock")
    assert (tmp_path / "victim").read_text(encoding="utf-8") == content


def test_what_holds_something_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("somebody's", encoding="utf-8")
    with pytest.raises(InputError, match=r"\.lock: is no lock"):
        Lock(tmp_path / ".lock")
    assert (tmp_path / ".lock").read_text(encoding="utf-8") == "somebody's"


def test_other_faults_are_not_taken_for_a_holder(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(OSError, match="directory") as caught:
        Lock(tmp_path / ".lock")
    assert caught.value.errno == errno.EISDIR
