"""How many files a zip lists, told before its directory is read into memory."""

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
