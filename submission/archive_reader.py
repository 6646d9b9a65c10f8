"""What a folder or a zip holds of the hand-in, read once: the bytes of each file, and what is in the way."""

import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from common.archives import MAX_ENTRIES, has_many_entries, is_read_in_bounds
from common.errors import InputError
from common.messages import escape_unprintable
from common.plain_files import open_plain, read_plain

MISSING = "is missing"
_LARGEST_ZIP = 256 << 20  # bytes; the official files have some 5 MB
_MOST_STRAYS = 20  # that are named; of more their number

_LONGEST_REASON = 120

# Whatever zipfile, and the decompressors below it, say of bytes that are not as they should be.
DAMAGED: tuple[type[Exception], ...] = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, struct.error, MemoryError,
)  # fmt: skip
with suppress(ImportError):  # a Python may be built without it, and zipfile then says so
    from lzma import LZMAError

    DAMAGED += (LZMAError,)


@dataclass
class Contents:
    """raw: bytes by hand-in name. faults: hand-in name → why there are no bytes, or not only one file's.

    strays: entries that do not belong into the hand-in, as ``escape_unprintable`` has it → why.
    """

    raw: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    strays: dict[str, str] = field(default_factory=dict)


def read_contents(path: str | Path, wanted: Mapping[str, int]) -> Contents:
    """Read the files named ``wanted`` from a folder or a zip; InputError if it is neither.

    Args:
        path: the folder or zip.
        wanted: hand-in name → the most bytes that its file can have; of a larger one nothing is read.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, wanted)
    if not path.is_file():
        raise InputError(f"{path}: no such folder or zip; give what run_predict or submission.pack wrote")
    if path.stat().st_size > _LARGEST_ZIP:
        raise InputError(f"{path}: {_too_large(path.stat().st_size)}")
    with open_plain(path) as file:
        if has_many_entries(file):
            raise InputError(f"{path}: holds more than {MAX_ENTRIES} files; zip {len(wanted)} alone")
        try:
            archive = zipfile.ZipFile(file)
        except DAMAGED as error:
            why = "a name in it is not UTF-8" if isinstance(error, UnicodeError) else reason(error)
            raise InputError(f"{path}: neither a folder nor a whole zip ({why}); pack it again") from None
        with archive:
            return _read_zip(archive, wanted)


def reason(error: Exception) -> str:
    """The beginning of what a library says of bytes that it cannot read."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return escape_unprintable(said.splitlines()[0][:_LONGEST_REASON])


def _read_folder(folder: Path, wanted: Mapping[str, int]) -> Contents:
    """Hidden files and files that are no TSV (such as the .npz beside a prediction) may lie there."""
    contents = Contents()
    names = sorted(entry.name for entry in folder.iterdir())
    for name in names:
        path = folder / name
        if name in wanted:
            _keep_file(path, wanted[name], contents)
        elif path.suffix.lower() == ".tsv" and not name.startswith("."):
            contents.strays[_short(name)] = _why_stray(name, wanted)
    _explain_missing(contents, wanted)
    return contents


def _keep_file(path: Path, most: int, contents: Contents) -> None:
    if path.is_dir():
        contents.faults[path.name] = "is a folder; a file is wanted"
    elif not path.exists():
        contents.faults[path.name] = "is a link to nothing; write the file again"
    elif not path.is_file():  # a pipe would be waited for
        contents.faults[path.name] = "is no plain file; write the file again"
    elif path.stat().st_size > most:
        contents.faults[path.name] = _too_large(path.stat().st_size)
    else:
        contents.raw[path.name] = read_plain(path, most)


def _read_zip(archive: zipfile.ZipFile, wanted: Mapping[str, int]) -> Contents:
    contents = Contents()
    times = Counter(entry.filename for entry in archive.infolist())
    for entry in archive.infolist():
        name = entry.filename
        if name not in wanted:
            contents.strays[_short(name)] = _why_stray(name, wanted)
        elif times[name] > 1:
            contents.faults[name] = f"stands {times[name]} times in the zip; once is wanted"
        elif entry.flag_bits & 0x1:
            contents.faults[name] = "is encrypted; zip it without a password"
        elif not is_read_in_bounds(entry):
            contents.faults[name] = "is packed by a method other than store and deflate; use submission.pack"
        elif entry.file_size > wanted[name]:
            contents.faults[name] = _too_large(entry.file_size)
        else:
            _keep_entry(archive, entry, wanted[name], contents)
    _explain_missing(contents, wanted)
    return contents


def _keep_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int, contents: Contents) -> None:
    try:
        with archive.open(entry) as file:
            raw = file.read(most + 1)  # never more: the size in the directory may be untrue
    except DAMAGED as error:
        contents.faults[entry.filename] = f"cannot be read from the zip ({reason(error)}); pack it again"
        return
    if len(raw) > most:
        contents.faults[entry.filename] = _too_large(len(raw))
    else:
        contents.raw[entry.filename] = raw


def _explain_missing(contents: Contents, wanted: Mapping[str, int]) -> None:
    """Where a wanted file is missing and a stray is plainly meant to be it, say so in one place."""
    for name in wanted:
        if name in contents.raw or name in contents.faults:
            continue
        meant = [stray for stray in contents.strays if _base(stray).lower() == name.lower()]
        contents.faults[name] = MISSING
        if len(meant) == 1:
            contents.faults[name] += f"; found {meant[0]}: {contents.strays.pop(meant[0])}"
    if further := list(contents.strays)[_MOST_STRAYS:]:
        for name in further:
            del contents.strays[name]
        contents.strays[f"{len(further)} more"] = "do not belong into the hand-in; remove them"


def _why_stray(name: str, wanted: Mapping[str, int]) -> str:
    base = _base(name)
    if "__MACOSX" in name or base == ".DS_Store" or base.startswith("._"):
        return "left by macOS; use submission.pack, or zip without it"
    if name.endswith("/"):
        return "is a folder; the zip must be flat, without folders"
    if base != name and base in wanted:
        return "lies in a folder; the zip must be flat, without folders"
    for other in wanted:
        if base.lower() == other.lower():
            return f"the wanted name is {other}"
    return "does not belong into the hand-in; remove it"


def _short(name: str) -> str:
    return escape_unprintable(name if len(name) <= _LONGEST_REASON else f"{name[:_LONGEST_REASON]}…")


def _base(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _too_large(size: int) -> str:
    return f"has {size} bytes, far more than any prediction file; write it again"
