"""Files are opened without waiting, without end and without following what somebody planted."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from common.plain_files import (
    open_plain,
    open_to_append,
    open_to_go_on,
    read_input,
    read_plain,
)


def fault(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises((InputError, OSError)) as raised:
        call(*arguments)
    return str(raised.value)


def odd_files(folder: Path) -> dict[str, Path]:
    """What stands where a file should → its path, in a folder that is made."""
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "pipe link").symlink_to("pipe")
    (folder / "link to nothing").symlink_to("nothing")
    (folder / "loop").symlink_to("loop")
    return {
        "is a folder": folder,
        "is a pipe": folder / "pipe",
        "is a device": folder / "zero",
        "pipe link: is a pipe": folder / "pipe link",
        "No such file": folder / "link to nothing",
        "symbolic links": folder / "loop",
    }


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for expected, path in odd_files(tmp_path / "odd").items():
        assert expected in fault(open_plain, path)
        assert str(path) in fault(read_plain, path, 10)
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for read in (read_plain, read_input):
            assert "'socket'" in fault(read, "socket", 10)


def test_plain_files_and_links_to_them_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    for read in (read_plain, read_input):
        assert read(tmp_path / "a", 3) == read(tmp_path / "link", 9) == b"abc"
        assert "has more than 2 bytes" in fault(read, tmp_path / "a", 2)


def test_a_pipe_that_somebody_fills_slowly(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    ended = threading.Event()

    def fill() -> None:
        with open(tmp_path / "pipe", "wb", buffering=0) as pipe:
            for _ in range(3):
                ended.wait(0.05)
                pipe.write(b"ab")

    writer = threading.Thread(target=fill)
    writer.start()
    assert read_input(tmp_path / "pipe", 10) == b"ababab"
    writer.join()


def test_a_pipe_that_nobody_fills(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "nothing came through this pipe" in fault(read_input, tmp_path / "pipe", 10, 0.01)


def test_a_pipe_without_end(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    writer = threading.Thread(target=lambda: os.write(writing, b"x" * 50_000))
    writer.start()
    assert "has more than 1000 bytes" in fault(read_input, f"/dev/fd/{reading}", 1000)
    writer.join()
    os.close(writing)
    os.close(reading)


@pytest.mark.parametrize("open_file", [open_to_append, open_to_go_on])
def test_no_link_is_written_through(open_file: Callable[..., Any], tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    odd_files(tmp_path / "odd")
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "new").symlink_to(tmp_path / "made")
    (tmp_path / "second").hardlink_to(victim)
    (tmp_path / "folder link").symlink_to(tmp_path / "odd")
    for name in ("link", "new", "second", "odd/pipe", "odd/zero", "odd", "folder link", "odd/loop"):
        assert str(tmp_path / name) in fault(open_file, tmp_path / name)
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "made").exists()


def test_what_is_ours_is_written_at_its_end_or_anywhere(tmp_path: Path) -> None:
    for text in (b"a", b"b"):
        with open_to_append(tmp_path / "f") as file:
            file.write(text)
    assert (tmp_path / "f").read_bytes() == b"ab"
    with open_to_go_on(tmp_path / "f") as file:
        file.seek(1)
        file.write(b"c")
    assert (tmp_path / "f").read_bytes() == b"ac"
    assert "cannot be written" in fault(open_to_append, tmp_path / "no folder" / "f")
