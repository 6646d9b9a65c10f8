"""Reading text files and tables: UTF-8 with or without a byte order mark, cut at line feeds.

All readers of text use this module, so that a file saved on Windows is read like any other, and the error for
a file that is not UTF-8 text says what it is: UTF-16, compressed, a Git LFS pointer, a web page.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.messages import shortened
from common.plain_files import open_plain

_BOM = "\ufeff"
_COMPRESSED = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"BZh", "bzip2", "bunzip2"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
)
_LFS = b"version https://git-lfs.github.com/spec/"
_WEB_PAGE = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_LOOKED_AT = 512  # bytes
# Characters of a text to classify. Of a longer one a network sees no more than of this, while the tokenizer
# takes a hundred bytes of memory for each.
LONGEST_TEXT = 1_000_000


def stand_in(raw: bytes) -> str:
    """What a file is that only stands for another one, by its first bytes, with the remedy; else empty."""
    for magic, name, command in _COMPRESSED:
        if raw.startswith(magic):
            return f"is compressed with {name}; unpack it first (`{command} FILE`)"
    if raw.startswith(_LFS):
        return "is a Git LFS pointer, not the file itself; fetch that with `git lfs pull`"
    if _WEB_PAGE.match(raw):
        return "is a web page, not the file itself; fetch it by the address of its raw content"
    return ""


def other_form(raw: bytes) -> str:
    """What a file is that is not UTF-8 text, by its first bytes, with the remedy; empty if it may be text."""
    if form := stand_in(raw):
        return form
    if raw.startswith(b"PK\x03\x04"):
        return "is a zip archive; unpack it first (`unzip FILE`)"
    if raw.startswith(b"PAR1"):
        return "is a Parquet file; expected text"
    if encoding := _wide_encoding(raw):
        return f"is {encoding}, not UTF-8; save it as UTF-8 (`iconv -f {encoding} -t UTF-8 FILE > NEW_FILE`)"
    return ""


def _wide_encoding(raw: bytes) -> str:
    """UTF-16 or UTF-32, by the byte order mark, or by ASCII characters with zero bytes between them."""
    if raw.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    head = raw[:_LOOKED_AT]
    even, odd = head[0::2], head[1::2]
    for zeros, letters, name in ((odd, even, "UTF-16LE"), (even, odd, "UTF-16BE")):
        if len(head) >= 4 and not any(zeros) and b"\0" not in letters:
            return name
    return ""


def decode_text(raw: bytes, path: str | Path | None = None) -> str:
    """The text of a whole file's bytes, without its byte order mark; InputError says what else it is."""
    if form := other_form(raw):
        raise InputError(form, path=path, line=1, code="encoding")
    return decode_part(raw, 1, path)


def decode_part(raw: bytes, line: int, path: str | Path | None = None) -> str:
    """The text of a part of a file that begins with this line; InputError names the line of a bad byte."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        number = line + raw.count(b"\n", 0, error.start)
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise InputError(message, path=path, line=number, code="encoding") from None
    return text.lstrip(_BOM) if line == 1 else text


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; InputError with line for other bytes."""
    with open_plain(path) as file:
        return decode_text(file.read(), path)


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line, without its end, cut at line feeds only."""
    with open_plain(path) as file:
        if form := other_form(file.peek(_LOOKED_AT)):
            raise InputError(form, path=path, line=1, code="encoding")
        for number, raw in enumerate(file, 1):
            yield number, decode_part(raw, number, path).removesuffix("\n").removesuffix("\r")


@dataclass(frozen=True)
class TextTable:
    """A table in a text file: each line is a row, TABs separate the cells, and quotes are part of a cell.

    Attributes:
        path: The file, for errors.
        header: The names of the columns, from the first line or known beforehand.
        lines: Number and text of each row's line.
    """

    path: Path
    header: Sequence[str]
    lines: Iterable[tuple[int, str]]

    @classmethod
    def from_lines(
        cls, path: Path, lines: Iterable[tuple[int, str]], header: Sequence[str] = ()
    ) -> "TextTable":
        """A table whose first line is its header, unless the header is given."""
        rows = iter(lines)
        return cls(path, header or next(rows, (0, ""))[1].split("\t"), rows)

    def positions(self, names: Sequence[str], hint: str = "") -> list[int]:
        """The positions of columns, named in any case; InputError if one is missing or there twice."""
        header = [name.strip().casefold() for name in self.header]
        if all(name.casefold() in header for name in names):
            names = [name.casefold() for name in names]
        else:
            header = list(self.header)
        for name in names:
            if name not in header:
                raise InputError(f"no column {name!r}{hint}", path=self.path, line=1, code="header")
        for name in names:
            if header.count(name) > 1:
                message = f"column {name!r} stands twice in the header"
                raise InputError(message, path=self.path, line=1, code="header")
        return [header.index(name) for name in names]

    def cells(self, number: int, line: str) -> list[str]:
        """The cells of a row; InputError unless there is one for each column."""
        cells = line.split("\t")
        if len(cells) != len(self.header):
            names = " ".join(shortened(name, 60)[1:-1] or "(blank)" for name in self.header[:20])
            message = (
                f"expected {len(self.header)} columns ({names}), found {len(cells)}; is the file cut short?"
            )
            if not line.strip():
                message = "blank line; remove it, or fetch the file again"
            raise InputError(message, path=self.path, line=number, code="columns")
        return cells
