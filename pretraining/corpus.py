"""``train.data`` → passages, line by line. No Paddle.

UTF-8, one passage a line; two texts with a TAB between them are a pair, which the network will see as
one input with token types 0 and 1. A blank line ends a document.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from common.errors import InputError
from common.text import decode_part, other_form

FILE = "train.data"
LONGEST_LINE = 2**19  # bytes; beyond that somebody's line ends are missing


class Passage(NamedTuple):
    """A line of the corpus."""

    line: int  # its number
    texts: tuple[str, ...]  # one text, two, or none where a document ends


def corpus_path(input_dir: str | Path) -> Path:
    """``train.data`` in a folder; InputError where it is missing or empty."""
    path = Path(input_dir) / FILE
    if not path.is_file():
        message = f"no such file; --input_dir names the folder of {FILE}, one passage a line"
        raise InputError(message, path=path)
    if not path.stat().st_size:
        raise InputError("is empty; expected UTF-8 text, one passage a line", path=path)
    return path


def read_passages(path: Path) -> Iterator[Passage]:
    """Every line of a corpus, one at a time; InputError names the line of what is no text."""
    with open(path, "rb") as file:
        number = 0
        while raw := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(raw) > LONGEST_LINE:
                raise InputError(
                    f"is longer than {LONGEST_LINE} bytes; expected one passage a line: "
                    "are the line ends missing?",
                    path=path,
                    line=number,
                )
            yield Passage(number, _texts(path, number, raw))


def _texts(path: Path, number: int, raw: bytes) -> tuple[str, ...]:
    if number == 1 and (form := other_form(raw)):
        raise InputError(f"{form}", path=path)
    if b"\0" in raw:
        raise InputError("holds a NUL byte, so it is no text; expected UTF-8 text", path=path, line=number)
    line = decode_part(raw, number, path)
    if not line.strip():
        return ()
    texts = tuple(text.strip() for text in line.rstrip("\r\n").split("\t"))
    if len(texts) > 2:
        raise InputError(
            f"holds {len(texts) - 1} TABs; a line is one passage, or two with one TAB "
            "between them: make the others spaces",
            path=path,
            line=number,
        )
    if not all(texts):
        raise InputError("one text of the pair is empty; leave out its TAB", path=path, line=number)
    return texts
