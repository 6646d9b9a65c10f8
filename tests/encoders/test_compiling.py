"""The library in the cache: whose it is, that it is whole, what it is built for, and the notes without it."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common import messages
from common.errors import InputError
from encoders import runtime
from encoders.cpu import compiling, kernels

compiled = pytest.mark.skipif(kernels.library() is None, reason="no compiler here, or none that fits")
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="gives files away")


build, built = compiling._compiled, dict[object, bytes]()


def build_once(compiler: Any, flags: list[str], *where: Path) -> bytes:
    """What the compiler makes of the same flags it makes in the first test alone."""
    key = (compiler, *flags)
    if key not in built:
        built[key] = build(compiler, flags, *where)
    return built[key]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that is not there yet, no note yet, and a build that takes a moment only."""
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CONVBERT_KERNELS_CFLAGS", "-O0")
    for name in ("CONVBERT_KERNELS", "CONVBERT_KERNELS_MARCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(compiling, "_compiled", build_once)
    messages.note_once.cache_clear()
    return tmp_path / "cache"


def the_library(folder: Path) -> Path:
    (path,) = (folder / "kernels").glob("*.so")
    return path


def notes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@compiled
def test_it_is_built_once_for_this_user_alone(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o002)
    try:
        assert compiling.load() is not None
    finally:
        os.umask(before)
    path = the_library(own_folder)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (own_folder, path.parent, path)] == [
        0o700,
        0o700,
        0o600,
    ]
    monkeypatch.setattr(compiling, "_compiled", None)
    library = compiling.load()
    assert library is not None
    assert library.build["architecture"] == "native"


@compiled
def test_one_cut_short_is_built_again(own_folder: Path) -> None:
    """In a process of its own, which loading half a library would kill."""
    assert compiling.load() is not None
    path = the_library(own_folder)
    whole = path.read_bytes()
    path.unlink()  # this process has that file in its memory
    path.write_bytes(whole[: len(whole) // 2])
    done = subprocess.run(
        [sys.executable, "-c", "from encoders.cpu import kernels; print(kernels.library() is not None)"],
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert done.stdout == "True\n"
    assert str(path) in done.stderr
    assert done.stderr.count("\n") == 1
    assert the_library(own_folder).read_bytes() == whole


@compiled
@pytest.mark.parametrize("content", [b"", b"no library"])
def test_one_overwritten_is_built_again(
    content: bytes, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compiling.load() is not None
    path = the_library(own_folder)
    path.unlink()
    path.write_bytes(content)
    assert compiling.load() is not None
    assert path.stat().st_size > 1000
    assert len(notes(capsys)) == 1


def by_all(path: Path) -> None:
    path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o002)


def by_the_group(path: Path) -> None:
    path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o020)


def by_another(path: Path) -> None:
    os.chown(path, 54321, -1)


WRITERS = [by_all, by_the_group, pytest.param(by_another, marks=as_root)]


@compiled
@pytest.mark.parametrize("give", WRITERS)
@pytest.mark.parametrize("which", ["cache", "cache/kernels"])
def test_nothing_is_loaded_from_a_folder_that_others_may_write(
    give: Callable[[Path], None],
    which: str,
    own_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert compiling.load() is not None
    give(tmp_path / which)
    for _ in range(2):
        assert compiling.load() is None
    (note,) = notes(capsys)
    assert str(tmp_path / which) in note
    assert "CONVBERT_GLUE_CACHE" in note
    if give is not by_another:
        (tmp_path / which).chmod(0o700)
        assert compiling.load() is not None


@compiled
@pytest.mark.parametrize("give", WRITERS)
def test_a_library_that_others_may_have_written_is_built_again(
    give: Callable[[Path], None], own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compiling.load() is not None
    path = the_library(own_folder)
    inode = path.stat().st_ino
    keep = path.open("rb")  # so that its inode is not taken again
    give(path)
    assert compiling.load() is not None
    assert path.stat().st_ino != inode
    keep.close()
    assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (os.geteuid(), 0o600)
    (note,) = notes(capsys)
    assert str(path) in note


@compiled
def test_a_planted_library_of_another_name_is_not_loaded(own_folder: Path, tmp_path: Path) -> None:
    """It has the right beginning of a name, and the wrong digest."""
    assert compiling.load() is not None
    path = the_library(own_folder)
    planted = path.with_name(f"{path.name[:33]}{'0' * 32}.so")
    shutil.copyfile(path, planted)
    assert compiling.load() is not None
    assert not planted.exists()


@compiled
def test_a_folder_with_the_sticky_bit_may_be_shared(own_folder: Path) -> None:
    own_folder.mkdir()
    own_folder.chmod(0o1777)
    assert compiling.load() is not None


@compiled
def test_a_link_to_another_users_folder_is_not_followed(
    own_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    own_folder.mkdir()
    (own_folder / "kernels").symlink_to(elsewhere)
    assert compiling.load() is not None  # one's own
    elsewhere.chmod(0o777)
    assert compiling.load() is None
    assert len(notes(capsys)) == 1


@compiled
def test_without_a_home(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import pwd

    for name in ("HOME", "CONVBERT_GLUE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: (_ for _ in ()).throw(KeyError("no such user")))
    assert compiling.load() is None
    (note,) = notes(capsys)
    assert "CONVBERT_GLUE_CACHE" in note


@compiled
def test_where_no_cache_can_be_made(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_folder.write_text("a file", encoding="utf-8")
    assert compiling.load() is None
    (note,) = notes(capsys)
    assert str(own_folder) in note
    assert "CONVBERT_GLUE_CACHE" in note


@compiled
def test_what_cannot_be_loaded_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a library on a disk that is mounted noexec, where only the system's loader refuses."""
    monkeypatch.setattr(compiling, "_compiled", lambda *_: b"no library")
    assert compiling.load() is None
    (note,) = notes(capsys)
    assert ".so: " in note
    assert "noexec" in note
    assert "CONVBERT_GLUE_CACHE" in note


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="nothing is compiled there")
def test_what_the_compiler_says_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler = tmp_path / "cc"
    script = 'echo "kernels.c: in it" >&2; echo "error: no memory left" >&2; exit 1'
    compiler.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit\n{script}\n', encoding="utf-8")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    for _ in range(2):
        assert compiling.load() is None
    (note,) = notes(capsys)
    assert "no memory left" in note


@compiled
def test_a_compiler_with_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"{os.environ.get('CC') or 'cc'} -g0")
    assert compiling.load() is not None


# --- what it is built for ---------------------------------------------------------------------------


def on(monkeypatch: pytest.MonkeyPatch, machine: str, flags: str) -> None:
    monkeypatch.setattr(compiling.platform, "machine", lambda: machine)
    monkeypatch.setattr(compiling, "cpu_info", lambda: {"flags": flags})


SKYLAKE = " ".join(compiling._LEVELS.values())


@pytest.mark.parametrize(
    "name", ["x86-64-v5", "skylake", "-O0", "native -O0", "V3", "x86-64-v3;true", "armv8-a"]
)
def test_an_unknown_architecture_is_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, "x86_64", SKYLAKE)
    monkeypatch.setenv("CONVBERT_KERNELS_MARCH", name)
    with pytest.raises(InputError, match=r"CONVBERT_KERNELS_MARCH.*x86-64-v3"):
        compiling._architecture()


@pytest.mark.parametrize(
    ("name", "lacks"), [("x86-64-v4", "avx512f"), ("x86-64-v3", "avx2"), ("x86-64-v4", "fma")]
)
def test_an_architecture_that_this_processor_is_not(
    name: str, lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end in an illegal instruction."""
    on(monkeypatch, "x86_64", SKYLAKE.replace(lacks, ""))
    monkeypatch.setenv("CONVBERT_KERNELS_MARCH", name)
    with pytest.raises(InputError, match=f"{name}.*{lacks}"):
        compiling._architecture()


@pytest.mark.parametrize("name", ["", "native", "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_levels_of_x86(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, "x86_64", SKYLAKE)
    monkeypatch.setenv("CONVBERT_KERNELS_MARCH", name)
    assert f"-march={name or 'native'}" in compiling._flags(compiling._architecture())


@pytest.mark.parametrize("machine", ["aarch64", "riscv64", "s390x"])
def test_other_processors_get_no_flags_of_x86(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, machine, "")
    flags = compiling._flags(compiling._architecture())
    assert not any("vector-width" in flag or "x86" in flag for flag in flags)
    monkeypatch.setenv("CONVBERT_KERNELS_MARCH", "x86-64-v3")
    with pytest.raises(InputError, match="expected one of native"):
        compiling._architecture()


@compiled
@pytest.mark.skipif("avx2" not in runtime.cpu_info().get("flags", ""), reason="another processor")
def test_it_is_kept_for_each_architecture(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("native", "x86-64", "x86-64-v2"):
        monkeypatch.setenv("CONVBERT_KERNELS_MARCH", name)
        library = compiling.load()
        assert library is not None
        assert library.build["architecture"] == name
    assert len(list((own_folder / "kernels").glob("*.so"))) == 3
