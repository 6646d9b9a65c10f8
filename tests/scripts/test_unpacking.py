"""Archives: what is wanted lands in the folder, and nothing ever lands elsewhere."""

import stat
import zipfile
from pathlib import Path

import pytest

from common.errors import InputError
from scripts.unpacking import unpack


def archive_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def fault(archive: Path, folder: Path, *wanted: str) -> str:
    with pytest.raises(InputError) as caught:
        unpack(archive, folder, wanted)
    return str(caught.value)


def test_what_is_wanted_and_nothing_else(tmp_path: Path) -> None:
    members = {
        "RTE/": b"", "RTE/train.tsv": b"a\tb\n", "RTE/dev.tsv": b"", "RTE/readme.txt": b"x",
        "RTE/original/train.tsv": b"other", "__MACOSX/RTE/._train.tsv": b"x", "__MACOSX/RTE/train.tsv": b"x",
    }  # fmt: skip
    archive = archive_of(tmp_path / "x.zip", **members)
    unpack(archive, tmp_path / "RTE", ["train.tsv", "dev.tsv"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "RTE").iterdir()} == {
        "train.tsv": b"a\tb\n",
        "dev.tsv": b"",
    }


@pytest.mark.parametrize(
    "name",
    ["../train.tsv", "RTE/../../train.tsv", "/etc/train.tsv", "..\\train.tsv", "C:/train.tsv", "C:train.tsv"],
)
@pytest.mark.parametrize("first", [True, False])
def test_members_that_point_outside(tmp_path: Path, name: str, first: bool) -> None:
    """The whole archive is refused, also where only another member is wanted."""
    members = {name: b"evil", "RTE/dev.tsv": b"x"}
    ordered = dict(members.items() if first else reversed(members.items()))
    archive = archive_of(tmp_path / "x.zip", **ordered)
    message = fault(archive, tmp_path / "a" / "b", "dev.tsv")
    assert message == f"{archive}: refused: its member {name!a} points out of its folder"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["x.zip"]


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("RTE/train.tsv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "points out of its folder" in fault(tmp_path / "x.zip", tmp_path / "RTE", "train.tsv")


def test_archives_that_lack_something(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "x.zip", **{"RTE/dev.tsv": b"x"})
    assert fault(archive, tmp_path / "RTE", "dev.tsv", "train.tsv") == f"{archive}: holds no train.tsv"
    assert not (tmp_path / "RTE").exists()
    archive = archive_of(tmp_path / "y.zip", **{"a/dev.tsv": b"x", "b/dev.tsv": b"y"})
    assert fault(archive, tmp_path / "RTE", "dev.tsv") == f"{archive}: holds 'dev.tsv' twice"


def test_damaged_archives(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "x.zip", **{"RTE/dev.tsv": bytes(range(256)) * 40})
    content = archive.read_bytes()
    for damaged in (b"", b"PK", content[:200], content[:60] + b"?" + content[61:]):
        archive.write_bytes(damaged)
        message = fault(archive, tmp_path / "RTE", "dev.tsv")
        assert message.startswith(f"{archive}: cannot be unpacked: ")
        assert message.endswith("; remove it and fetch it again")
    assert not list((tmp_path / "RTE").glob("*"))
