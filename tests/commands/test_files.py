"""Artefacts are whole or absent, whatever happens in between; damage is named."""

import contextlib
import errno
import os
from pathlib import Path

import pytest

from commands import files
from commands.errors import InputError
from commands.files import (
    atomic_folder,
    atomic_write,
    damage,
    read_json_objects,
    settle_folder,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    write_text(tmp_path / "f", "before")
    seen = ""
    with contextlib.suppress(ZeroDivisionError), atomic_write(tmp_path / "f") as file:
        file.write(b"aft")
        seen = (tmp_path / "f").read_text()
        file.write(bytes(1 // 0))
    assert seen == "before"
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text() == "before"


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
        (tmp_path / "other").read_text()
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
    assert (tmp_path / "d" / "a").read_text() == "1"
    fill(tmp_path / "d", "3")
    assert (tmp_path / "d" / "b").read_text() == "33"
    assert names(tmp_path) == ["d"]


def test_the_folder_before_is_kept_where_asked_for(tmp_path: Path) -> None:
    for text in "123":
        fill(tmp_path / "d", text, keep_before="before")
    assert (tmp_path / "d" / "a").read_text() == "3"
    assert (tmp_path / "before" / "a").read_text() == "2"
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
        settle_folder(folder)
        left = folder if folder.is_dir() else folder.with_name(keep_before)
        assert damage(left) == ""
        assert (left / "b").read_text() == ("22" if finished else "11")
    assert finished  # the last round was not stopped any more


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda d: (d / "b").write_text("1x"), "b: is not what manifest.json says (SHA-256)"),
        (lambda d: (d / "b").unlink(), "b: no such file"),
        (lambda d: (d / "manifest.json").unlink(), "manifest.json: no such file"),
        (lambda d: (d / "manifest.json").write_text("{"), "manifest.json: not JSON"),
        (lambda d: (d / "manifest.json").write_text("{}"), "manifest.json: not a manifest"),
        (lambda d: (d / "manifest.json").write_text('{"sha256": [1]}'), "manifest.json: not a manifest"),
        (lambda d: (d / "manifest.json").write_text('{"sha256": {"/dev/zero": ""}}'), "manifest.json: not a"),
        (lambda d: (d / "manifest.json").write_text('{"sha256": {"..": ""}}'), "manifest.json: not a"),
        (lambda d: (d / "manifest.json").write_text('{"sha256": {"a\\u0000": ""}}'), "manifest.json: not a"),
    ],
)
def test_damage_is_named(tmp_path: Path, harm, said: str) -> None:  # type: ignore[no-untyped-def]
    fill(tmp_path / "d", "1")
    assert damage(tmp_path / "d") == ""
    harm(tmp_path / "d")
    assert damage(tmp_path / "d").startswith(f"{tmp_path / 'd'}/{said}")


def test_the_folder_one_stands_in_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir()
    monkeypatch.chdir(tmp_path / "d")
    fill(Path(), "1")
    assert (tmp_path / "d" / "a").read_text() == "1"


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n  \n{"b": 2}\n\n')
    assert read_json_objects(path) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no rows"),
        ("\n\n", "holds no rows"),
        ("[1]\n", "expected a JSON object a line, found '[1]'"),
        ('{"a": 1}\n\nnothing\n', ":3: not JSON: "),
        ("[" * 200_000, ":1: not JSON: nested too deeply"),
    ],
)
def test_bad_json_lines_are_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_json_objects(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
