"""Artefacts are whole or absent, whatever happens in between; damage is named."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from common import files
from common.errors import InputError
from common.files import (
    atomic_folder,
    atomic_write,
    check_replaceable,
    recover_folder,
    sha256_of,
    verify_manifest,
    write_text,
)
from common.json_files import read_json_object, read_json_objects
from common.text import read_text
from training.run_state import read_history


def read_history_of(path: Path) -> object:
    return read_history(path.parent)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    write_text(tmp_path / "f", "before")
    seen = ""
    with contextlib.suppress(ZeroDivisionError), atomic_write(tmp_path / "f") as file:
        file.write(b"aft")
        seen = (tmp_path / "f").read_text(encoding="utf-8")
        file.write(bytes(1 // 0))
    assert seen == "before"
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize("named", [False, True])
def test_a_full_disk_names_the_file_that_was_wanted(tmp_path: Path, named: bool) -> None:
    def write() -> None:
        with atomic_write(tmp_path / "f") as file:
            raise OSError(errno.ENOSPC, "No space left on device", *([file.name] if named else []))

    with pytest.raises(OSError, match="No space") as raised:
        write()
    assert raised.value.filename == str(tmp_path / "f")
    assert names(tmp_path) == []


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, atomic_write(tmp_path / "f"):
        (tmp_path / "other").read_text(encoding="utf-8")
    assert raised.value.filename == str(tmp_path / "other")


def fill(folder: Path, text: str, keep_before: str = "") -> None:
    with atomic_folder(folder, keep_before) as beside:
        write_text(beside / "a", text)
        write_text(beside / "b", text + text)


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    fill(tmp_path / "d", "1")
    with contextlib.suppress(ZeroDivisionError), atomic_folder(tmp_path / "d") as beside:
        write_text(beside / "a", "2")
        write_text(beside / "b", str(1 // 0))
    assert (tmp_path / "d" / "a").read_text(encoding="utf-8") == "1"
    fill(tmp_path / "d", "3")
    assert (tmp_path / "d" / "b").read_text(encoding="utf-8") == "33"
    assert names(tmp_path) == ["d"]


def test_the_folder_before_is_kept_where_asked_for(tmp_path: Path) -> None:
    for text in "123":
        fill(tmp_path / "d", text, keep_before="before")
    assert (tmp_path / "d" / "a").read_text(encoding="utf-8") == "3"
    assert (tmp_path / "before" / "a").read_text(encoding="utf-8") == "2"
    assert names(tmp_path) == ["before", "d"]


@pytest.mark.parametrize("keep_before", ["", "before"])
def test_killed_at_any_rename_one_whole_folder_is_left(
    tmp_path: Path, keep_before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill: from some rename on, no other succeeds, not even one that would clean up."""
    replace = os.replace
    for stop in range(8):
        folder = tmp_path / f"{stop}" / "d"
        fill(folder, "1", keep_before)
        calls = iter(range(100))

        def killed(source: Path, target: Path, calls=calls, stop=stop) -> None:  # type: ignore[no-untyped-def]
            if next(calls) >= stop:
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr(files.os, "replace", killed)
        finished = True
        try:
            fill(folder, "2", keep_before)
        except KeyboardInterrupt:
            finished = False
        monkeypatch.setattr(files.os, "replace", replace)
        recover_folder(folder)
        left = folder if folder.is_dir() else folder.with_name(keep_before)
        assert verify_manifest(left) is None
        assert (left / "b").read_text(encoding="utf-8") == ("22" if finished else "11")
    assert finished  # the last round was not stopped any more


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda d: (d / "b").write_text("1x", encoding="utf-8"),
            "b: is not what manifest.json says (SHA-256)",
        ),
        (lambda d: (d / "b").unlink(), "b: no such file"),
        (lambda d: (d / "manifest.json").unlink(), "manifest.json: no such file"),
        (lambda d: (d / "manifest.json").write_text("{", encoding="utf-8"), "manifest.json: not JSON"),
        (lambda d: (d / "manifest.json").write_text("{}", encoding="utf-8"), "manifest.json: not a manifest"),
        (
            lambda d: (d / "manifest.json").write_text('{"sha256": [1]}', encoding="utf-8"),
            "manifest.json: not a manifest",
        ),
        (
            lambda d: (d / "manifest.json").write_text('{"sha256": {"/dev/zero": ""}}', encoding="utf-8"),
            "manifest.json: not a",
        ),
        (
            lambda d: (d / "manifest.json").write_text('{"sha256": {"..": ""}}', encoding="utf-8"),
            "manifest.json: not a",
        ),
        (
            lambda d: (d / "manifest.json").write_text('{"sha256": {"a\\u0000": ""}}', encoding="utf-8"),
            "manifest.json: not a",
        ),
    ],
)
def test_damage_is_named(tmp_path: Path, harm, message: str) -> None:  # type: ignore[no-untyped-def]
    fill(tmp_path / "d", "1")
    assert verify_manifest(tmp_path / "d") is None
    harm(tmp_path / "d")
    assert str(verify_manifest(tmp_path / "d")).startswith(f"{tmp_path / 'd'}/{message}")


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


@pytest.mark.parametrize("name", ["manifest.json", "b"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "is a pipe; expected a plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device; expected a plain file"),
        (lambda path: path.symlink_to("/dev/random"), "is a device; expected a plain file"),
        (Path.mkdir, "is a folder; expected a plain file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("nothing"), "no such file"),
    ],
)
def test_what_is_no_plain_file_is_damage_at_once(
    tmp_path: Path, name: str, make: Callable[[Path], object], message: str
) -> None:
    fill(tmp_path / "d", "1")
    replaced(tmp_path / "d" / name, make)
    fault = verify_manifest(tmp_path / "d")
    assert fault is not None
    assert (Path(fault.path or ""), fault.message) == (tmp_path / "d" / name, message)


@pytest.mark.parametrize("read", [sha256_of, read_json_object, read_json_objects, read_text, read_history_of])
def test_no_reader_waits(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "history.jsonl")
    with pytest.raises(InputError, match=r"history\.jsonl: is a pipe"):
        read(tmp_path / "history.jsonl")
    replaced(tmp_path / "history.jsonl", lambda path: path.symlink_to("/dev/zero"))
    with pytest.raises(InputError, match=r"history\.jsonl: is a device"):
        read(tmp_path / "history.jsonl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"a": 2, "c": 1, "c": 2}}', "not JSON: the key 'c' stands twice in one object"),
        (f'{{"a": {"9" * 309}}}', "not JSON: a whole number of 309 digits"),
        (f'{{"a": [{"-9" + "9" * 5000}]}}', "not JSON: a whole number of 5002 digits"),
        ('{"a": ' + "[" * 100_000, "not JSON: nested too deeply"),
        ('{"a": ' * 100_000, "not JSON: nested too deeply"),
        (f'{{"{"k" * 100_000}": 1, "{"k" * 100_000}": 2}}', "not JSON: the key 'kkkk"),
        ("[1]", "expected a JSON object, found a list"),
        ("", "not JSON: "),
    ],
)
def test_bad_json_is_one_short_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_json_object(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert len(str(caught.value)) < 400


def test_a_json_file_may_be_so_large_and_no_larger(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8")
    assert read_json_object(tmp_path / "a.json", most=8) == {"a": 1}
    with pytest.raises(InputError, match=r"a\.json: has more than 7 bytes"):
        read_json_object(tmp_path / "a.json", most=7)


def test_the_folder_one_stands_in_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir()
    monkeypatch.chdir(tmp_path / "d")
    fill(Path(), "1")
    assert (tmp_path / "d" / "a").read_text(encoding="utf-8") == "1"


def test_of_a_link_the_folder_is_replaced_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "disk" / "d").mkdir(parents=True)
    (tmp_path / "link").symlink_to("disk/d")
    for text in "123":
        fill(tmp_path / "link", text)
    recover_folder(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "d" / "a").read_text(encoding="utf-8") == "3"
    assert (names(tmp_path), names(tmp_path / "disk")) == (["disk", "link"], ["d"])


def test_of_a_link_nothing_can_be_kept_before(tmp_path: Path) -> None:
    fill(tmp_path / "d", "1")
    (tmp_path / "link").symlink_to("d")
    with pytest.raises(InputError, match="link: is a link, and the folder before it is kept beside it"):
        fill(tmp_path / "link", "2", keep_before="before")
    assert (tmp_path / "d" / "a").read_text(encoding="utf-8") == "1"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_the_link_of_another_user_is_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "d", "1")
    (tmp_path / "link").symlink_to("d")
    os.lchown(tmp_path / "link", 12345, 12345)
    for call in (fill, lambda path, _: check_replaceable(path), lambda path, _: recover_folder(path)):
        with pytest.raises(InputError, match="link: is a link that another user made"):
            call(tmp_path / "link", "2")
    assert (tmp_path / "d" / "a").read_text(encoding="utf-8") == "1"


@pytest.mark.parametrize("name", [".d.part", ".d.before"])
@pytest.mark.parametrize("is_there", [True, False])
def test_planted_links_beside_a_folder_are_removed_not_followed(
    tmp_path: Path, name: str, is_there: bool
) -> None:
    fill(tmp_path / "victim", "1")
    if is_there:
        fill(tmp_path / "d", "0")
    for target in ("victim", "victim/a", "nowhere"):
        (tmp_path / name).symlink_to(tmp_path / target)
        recover_folder(tmp_path / "d")
        assert (tmp_path / "d").exists() == is_there
        (tmp_path / name).symlink_to(tmp_path / target)
        fill(tmp_path / "d", "2")
        assert names(tmp_path) == ["d", "victim"]
        if not is_there:
            shutil.rmtree(tmp_path / "d")
    assert verify_manifest(tmp_path / "victim") is None


def test_what_cannot_be_replaced_is_said_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "link").symlink_to("nowhere")
    check_replaceable(tmp_path / "new")
    check_replaceable(tmp_path / "no parent" / "new")
    for path, message in (
        (tmp_path / "file", "is no folder"),
        (tmp_path / "link", "is a link to what is no"),
        ("/proc", "mounted"),
    ):
        with pytest.raises(InputError, match=message):
            check_replaceable(path)


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n  \n{"b": 2}\n\n', encoding="utf-8")
    assert read_json_objects(path) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no rows"),
        ("\n\n", "holds no rows"),
        ("[1]\n", ":1: expected a JSON object, found a list"),
        ('{"a": 1}\n\nnothing\n', ":3: not JSON: "),
        ("[" * 200_000, ":1: not JSON: nested too deeply"),
    ],
)
def test_bad_json_lines_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_json_objects(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("code", "matters"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)]
)
def test_file_systems_that_cannot_sync_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, matters: bool
) -> None:
    sync = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="error") if matters else contextlib.nullcontext():
        write_text(tmp_path / "a", "1")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "1"
