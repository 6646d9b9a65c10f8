"""Where the cache is, from the environment."""

import os
import stat
from pathlib import Path

import pytest

from common.cache import cache_dir, distrust, make_dir, private_dir, protect
from common.errors import InputError
from common.messages import note_once


@pytest.mark.parametrize(
    ("ours", "everyones", "wanted"),
    [
        ("", "", "/home/me/.cache/convbert-glue"),
        ("", "/fast", "/fast/convbert-glue"),
        ("/own", "/fast", "/own"),
        ("~/own", "", "/home/me/own"),
        ("", "~/fast", "/home/me/fast/convbert-glue"),
    ],
)
def test_the_nearest_wish_wins(
    ours: str, everyones: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", ours)
    monkeypatch.setenv("XDG_CACHE_HOME", everyones)
    assert cache_dir() == Path(wanted)


@pytest.mark.skipif(os.name != "posix", reason="a home is found otherwise there")
def test_without_a_home_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    for name in ("HOME", "CONVBERT_GLUE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: (_ for _ in ()).throw(KeyError("no such user")))
    with pytest.raises(InputError, match="no home folder to cache in: name one with CONVBERT_GLUE_CACHE"):
        cache_dir()
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", "/own")
    assert cache_dir() == Path("/own")


# --- whose it is ------------------------------------------------------------------------------------

posix = pytest.mark.skipif(os.name != "posix", reason="files have other owners there")
as_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="gives files away")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", str(tmp_path / "new" / "cache"))
    return tmp_path / "new" / "cache"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
@pytest.mark.parametrize("umask", [0o002, 0o022, 0o000])
def test_what_is_made_is_for_this_user_alone(root: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        folder = private_dir("tokens")
        (folder / "entry").write_text("tokens", encoding="utf-8")
        protect(folder / "entry")
    finally:
        os.umask(before)
    assert folder == root / "tokens"
    assert (mode(root), mode(folder)) == (0o700, 0o700)
    assert not distrust(folder / "entry")


@posix
def test_a_folder_that_stands_there_is_left_as_it_is(root: Path) -> None:
    """A group may share one for its data."""
    root.mkdir(parents=True)
    root.chmod(0o2775)
    assert make_dir("glue") == root / "glue"
    assert mode(root) & 0o777 == 0o775
    with pytest.raises(InputError, match="chmod go-w"):
        private_dir("tokens")


@posix
@pytest.mark.parametrize("which", ["", "tokens", "tokens/deep", "tokens/deep/entry"])
@pytest.mark.parametrize("bits", [0o002, 0o020])
def test_what_others_may_write_is_named_with_the_remedy(root: Path, which: str, bits: int) -> None:
    (private_dir("tokens") / "deep").mkdir(mode=0o700)
    entry = root / "tokens" / "deep" / "entry"
    entry.write_text("tokens", encoding="utf-8")
    entry.chmod(0o600)
    assert not distrust(entry)
    path = root / which
    path.chmod(mode(path) | bits)
    fault = distrust(entry)
    assert fault is not None
    assert fault.path == path
    assert f"chmod go-w {path}" in fault.message
    protect(path)
    assert not distrust(entry)


@as_root
@pytest.mark.parametrize("which", ["", "tokens", "tokens/entry"])
def test_what_belongs_to_another_user(root: Path, which: str) -> None:
    entry = private_dir("tokens") / "entry"
    entry.write_text("tokens", encoding="utf-8")
    os.chown(root / which, 54321, -1)
    fault = distrust(entry)
    assert fault is not None
    assert fault.path == root / which
    assert "54321" in fault.message


@posix
def test_roots_files_are_as_good_as_ones_own(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an image whose cache was filled when it was built. Root could write anywhere."""
    entry = private_dir("tokens") / "entry"
    entry.write_text("tokens", encoding="utf-8")
    owner = entry.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert bool(distrust(entry)) == (owner != 0)


@posix
def test_links_are_followed_and_asked_for(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    make_dir("x")
    (root / "tokens").symlink_to(elsewhere)
    assert not distrust(private_dir("tokens"))
    elsewhere.chmod(0o777)
    fault = distrust(root / "tokens")
    assert fault is not None
    assert fault.path == root / "tokens"


def test_what_is_not_there_is_nobodys(root: Path) -> None:
    assert not distrust(root / "tokens" / "entry")


def test_a_cache_that_cannot_be_made_asks_for_another(root: Path) -> None:
    root.parent.write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match=r"tokens: cannot be made: .*CONVBERT_GLUE_CACHE"):
        make_dir("tokens")


def test_a_note_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("one", "two", "one"):
        note_once(f"{text} of test_a_note_is_printed_once")
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == ["one", "two"]


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0)])
def test_of_several_processes_the_first_prints_notes(
    rank: str, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PADDLE_TRAINER_ID", rank)
    note_once(f"printed by process {rank} alone")
    assert capsys.readouterr().err.count("alone") == lines
