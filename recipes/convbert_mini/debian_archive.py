"""Debian packages, read without dpkg: an ``ar`` archive whose ``data.tar`` member holds the files."""

import gzip
import os
import tarfile
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from common.errors import InputError

_MAGIC = b"!<arch>\n"
_HEADER = 60  # bytes before every member: name, time, owner, group, mode, size in ASCII (deb(5), ar(5))


def files_of(deb: Path, wanted: Sequence[str], without: Sequence[str] = ()) -> Iterator[tuple[str, bytes]]:
    """Path below / and bytes of the regular files whose paths match ``wanted``, by path; unpacked if gzipped.

    Patterns are globs in which ``*`` also stands for slashes. InputError for what is no package.
    """
    contents: dict[str, bytes] = {}
    with open(deb, "rb") as file:
        try:
            _seek_data(file)
            with tarfile.open(fileobj=file, mode="r|*") as archive:
                for member in archive:
                    path = member.name.removeprefix("./")
                    content = (
                        archive.extractfile(member)
                        if member.isreg() and _matches(path, wanted, without)
                        else None
                    )
                    if content is not None:
                        contents[path] = content.read()
            for path in sorted(contents):
                packed = path.endswith((".gz", ".dz"))
                yield path, gzip.decompress(contents[path]) if packed else contents[path]
        except (tarfile.TarError, EOFError, ValueError, gzip.BadGzipFile) as error:
            raise InputError(f"{deb}: not a whole Debian package ({error}); fetch it again") from None


def _matches(path: str, wanted: Sequence[str], without: Sequence[str]) -> bool:
    return any(fnmatchcase(path, glob) for glob in wanted) and not any(
        fnmatchcase(path, glob) for glob in without
    )


def _seek_data(file: IO[bytes]) -> None:
    """Go to the first byte of ``data.tar.*``."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it does not begin as one")
    whole = os.fstat(file.fileno()).st_size
    while len(header := file.read(_HEADER)) == _HEADER:
        size = int(header[48:58])
        if file.tell() + size > whole:
            raise ValueError("it is cut short")
        if header.startswith(b"data.tar"):
            return
        file.seek(size + size % 2, 1)
    raise ValueError("it has no data.tar")
