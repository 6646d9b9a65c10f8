"""What a zip is asked before it is read: how many files it lists, and how they are packed."""

import zipfile
from typing import IO

MAX_ENTRIES = 1000
_DIRECTORY_ENTRY = b"PK\x01\x02"


def has_many_entries(file: IO[bytes]) -> bool:
    """Whether a zip may list more than MAX_ENTRIES files. The file is left at its beginning."""
    count, kept = 0, b""
    file.seek(0)
    while count <= MAX_ENTRIES and (block := file.read(1 << 20)):
        count += (kept + block).count(_DIRECTORY_ENTRY)
        kept = block[-len(_DIRECTORY_ENTRY) + 1 :]
    file.seek(0)
    return count > MAX_ENTRIES


def is_read_in_bounds(entry: zipfile.ZipInfo) -> bool:
    """Whether reading n bytes of an entry takes memory for n: stored and deflated ones do.

    ``zipfile`` unpacks bzip2 and LZMA a whole block at a time, whatever it grows to.
    """
    return entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
