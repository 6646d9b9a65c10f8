"""Take named files out of a zip archive; nothing can land outside of the folder given."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from common.errors import InputError
from common.files import atomic_write

# Folders in the official archives that hold what no task reads.
_ASIDE = ("original", "__MACOSX")


def unpack(archive: Path, folder: Path, wanted: Iterable[str]) -> None:
    """Write the files of these names, wherever they stand in the archive, straight into folder.

    An archive with a member that points outside, with a link, or without one of the files, and a
    damaged one: InputError, and no file that was not whole.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = _members(archive, file)
            missing = sorted(set(wanted) - set(members))
            if missing:
                raise InputError(f"holds no {', '.join(missing)}", path=archive)
            for name in wanted:
                with file.open(members[name]) as source, atomic_write(folder / name) as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, RuntimeError) as error:
        raise InputError(f"cannot be unpacked: {error}; remove it and fetch it again", path=archive) from None


def _members(archive: Path, file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """File name without folders → member; every member is looked at, also those not wanted."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in file.infolist():
        path = PurePosixPath(info.filename)
        is_link = stat.S_ISLNK(info.external_attr >> 16)
        if is_link or path.is_absolute() or ".." in path.parts or set("\\:") & set(info.filename):
            raise InputError(f"refused: its member {info.filename!a} points out of its folder", path=archive)
        if info.is_dir() or set(path.parts) & set(_ASIDE):
            continue
        if path.name in members:
            raise InputError(f"holds {path.name!a} twice", path=archive)
        members[path.name] = info
    return members
