"""The files of a submission, from a folder or a zip: the bytes of each, read once, and what is in the way."""

import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from common.archives import MAX_ENTRIES, has_many_entries, is_read_in_bounds
from common.errors import InputError
from common.messages import escape_unprintable
from common.plain_files import open_plain

MISSING = "is missing"
_MAX_ZIP_BYTES = 256 << 20  # the official files have some 5 MB
_MAX_STRAYS = 20  # that are named; of more their number
_MAX_REASON = 120

# Whatever zipfile, and the decompressors below it, say of bytes that are not as they should be.
DAMAGED: tuple[type[Exception], ...] = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, struct.error, MemoryError,
)  # fmt: skip
with suppress(ImportError):  # a Python may be built without it, and zipfile then says so
    from lzma import LZMAError

    DAMAGED += (LZMAError,)


@dataclass
class Archive:
    """A submission as read, by the names of its files."""

    files: dict[str, bytes] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)  # why one has no bytes, or not one file's alone
    strays: dict[str, str] = field(default_factory=dict)  # what does not belong there, safe to print, → why


@dataclass(frozen=True)
class _ArchiveEntry:
    """A file in a folder or zip, and why it is not read, if so."""

    name: str
    size: int
    problem: str
    open: Callable[[], IO[bytes]]


def read_archive(path: str | Path, max_bytes: Mapping[str, int]) -> Archive:
    """Read the submission files in a folder or a zip; InputError if it is neither.

    max_bytes: name of each submission file → how large it can be; of a larger one nothing is read.
    """
    path = Path(path)
    if path.is_dir():
        return _read_entries(_folder_entries(path, max_bytes), max_bytes)
    if not path.is_file():
        message = "no such folder or zip; give what run_predict or submission.pack wrote"
        raise InputError(message, path=path, code="missing")
    if path.stat().st_size > _MAX_ZIP_BYTES:
        raise InputError(_too_large(path.stat().st_size), path=path, code="too large")
    with open_plain(path) as file:
        if has_many_entries(file):
            message = f"holds more than {MAX_ENTRIES} files; zip {len(max_bytes)} alone"
            raise InputError(message, path=path, code="too many")
        try:
            archive = zipfile.ZipFile(file)
        except DAMAGED as error:
            why = "a name in it is not UTF-8" if isinstance(error, UnicodeError) else _reason(error)
            message = f"neither a folder nor a whole zip ({why}); pack it again"
            raise InputError(message, path=path, code="damaged") from None
        with archive:
            return _read_entries(_zip_entries(archive), max_bytes)


def _folder_entries(folder: Path, max_bytes: Mapping[str, int]) -> Iterator[_ArchiveEntry]:
    """Hidden files and files other than TSV, such as the .npz beside a prediction, are passed over."""
    for path in sorted(folder.iterdir()):
        if path.name not in max_bytes and (path.suffix.lower() != ".tsv" or path.name.startswith(".")):
            continue
        problem = ""
        if path.is_dir():
            problem = "is a folder; a file is wanted"
        elif not path.exists():
            problem = "is a link to nothing; write the file again"
        elif not path.is_file():  # a pipe would be waited for
            problem = "is no plain file; write the file again"
        yield _ArchiveEntry(
            path.name, 0 if problem else path.stat().st_size, problem, partial(open_plain, path)
        )


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[_ArchiveEntry]:
    times = Counter(entry.filename for entry in archive.infolist())
    for entry in archive.infolist():
        problem = ""
        if times[entry.filename] > 1:
            problem = f"stands {times[entry.filename]} times in the zip; once is wanted"
        elif entry.flag_bits & 0x1:
            problem = "is encrypted; zip it without a password"
        elif not is_read_in_bounds(entry):
            problem = "is packed by a method other than store and deflate; use submission.pack"
        yield _ArchiveEntry(entry.filename, entry.file_size, problem, partial(archive.open, entry))


def _read_entries(entries: Iterator[_ArchiveEntry], max_bytes: Mapping[str, int]) -> Archive:
    archive = Archive()
    for entry in entries:
        name = entry.name
        if name not in max_bytes:
            archive.strays[_short(name)] = _why_stray(name, max_bytes)
        elif entry.problem or entry.size > max_bytes[name]:
            archive.problems[name] = entry.problem or _too_large(entry.size)
        else:
            try:
                with entry.open() as file:  # never more: the size in a zip's directory may be untrue
                    content = file.read(max_bytes[name] + 1)
            except DAMAGED as error:
                archive.problems[name] = f"cannot be read ({_reason(error)}); pack it again"
                continue
            if len(content) > max_bytes[name]:
                archive.problems[name] = _too_large(len(content))
            else:
                archive.files[name] = content
    _explain_missing(archive, max_bytes)
    return archive


def _explain_missing(archive: Archive, max_bytes: Mapping[str, int]) -> None:
    """Name a missing submission file and the one stray that is probably meant to be it in one line."""
    for name in max_bytes:
        if name in archive.files or name in archive.problems:
            continue
        meant = [stray for stray in archive.strays if _base(stray).lower() == name.lower()]
        archive.problems[name] = MISSING
        if len(meant) == 1:
            archive.problems[name] += f"; found {meant[0]}: {archive.strays.pop(meant[0])}"
    if further := list(archive.strays)[_MAX_STRAYS:]:
        for name in further:
            del archive.strays[name]
        archive.strays[f"{len(further)} more"] = "do not belong into the submission; remove them"


def _why_stray(name: str, submission_files: Mapping[str, int]) -> str:
    base = _base(name)
    if "__MACOSX" in name or base == ".DS_Store" or base.startswith("._"):
        return "left by macOS; use submission.pack, or zip without it"
    if name.endswith("/"):
        return "is a folder; the zip must be flat, without folders"
    if base != name and base in submission_files:
        return "lies in a folder; the zip must be flat, without folders"
    for other in submission_files:
        if base.lower() == other.lower():
            return f"the wanted name is {other}"
    return "does not belong into the submission; remove it"


def _reason(error: Exception) -> str:
    """The beginning of a library's message about bytes that it cannot read."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return escape_unprintable(text.splitlines()[0][:_MAX_REASON])


def _short(name: str) -> str:
    return escape_unprintable(name if len(name) <= _MAX_REASON else f"{name[:_MAX_REASON]}…")


def _base(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _too_large(size: int) -> str:
    return f"has {size} bytes, far more than any prediction file; write it again"
