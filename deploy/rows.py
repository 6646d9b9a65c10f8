"""Rows to answer, from the command line and from files: read as they come, a bad one named. No Paddle.

The suffix tells a file's kind: ``.txt`` has a text a line, ``.tsv`` columns with a header (or, by number,
without), ``.csv`` the same with commas and quotes, ``.jsonl`` a JSON object a line.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.errors import InputError
from common.json_files import parse_json
from common.messages import shortened
from common.text import LONGEST_TEXT, read_lines

TextRow = tuple[str, ...]  # the one or two texts of an input

DEFAULT_TEXT = "the problem , it is with most of these things , is the script ."  # the reference's
_SURROGATE = re.compile("[\ud800-\udfff]")
# What files call their texts, where neither the model's task nor a flag says it.
_COLUMNS: dict[str, list[Sequence[str]]] = {
    "sentence": [("text", "text_pair"), ("text",), ("sentence1", "sentence2"), ("sentence",)],
    "question": [("question", "context")],
}


def fault_of(text: str) -> str:
    """Why a text cannot be answered; empty if it can."""
    if not text.strip():
        return "is empty"
    if len(text) > LONGEST_TEXT:
        return f"has {len(text)} characters, more than {LONGEST_TEXT}"
    if "\0" in text:
        return "holds a NUL character"
    if _SURROGATE.search(text):
        return "holds half a surrogate pair, which is no character"
    return ""


def check_row(
    row: TextRow, names: Sequence[str], path: str | Path | None = None, line: int | None = None
) -> TextRow:
    """The row itself; InputError names the text that cannot be answered, in a file with path and line."""
    for name, text in zip(names, row, strict=True):
        if fault := fault_of(text):
            raise InputError(f"{name} {fault}", path=path, line=line)
    return row


def column_choices(kind: str, task_columns: Sequence[str] = ()) -> list[Sequence[str]]:
    """Sets of column names to look for in turn: the task's, then those of a ``sentence`` or ``question``."""
    return [*([task_columns] if task_columns else []), *_COLUMNS[kind]]


def read_rows(path: str | Path, choices: Sequence[Sequence[str]]) -> Iterator[tuple[int, TextRow]]:
    """Line number and row of every line of a file; InputError with the line that cannot be answered.

    choices: sets of column names, of which the first that is there is taken. A set of numbers counts columns
    from 1, and the file has no header.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        reason = f"its name should end in {', '.join(_READERS)}, which tells what is in it"
        raise InputError(reason, path=path)
    return reader(path, choices)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    if not path.is_file():
        raise InputError("no such file", path=path)
    number = 0
    for number, text in read_lines(path):
        yield number, text.rstrip("\r")
    if not number:
        raise InputError("the file is empty", path=path)


def _read_txt(path: Path, choices: Sequence[Sequence[str]]) -> Iterator[tuple[int, TextRow]]:
    for number, line in _lines(path):
        yield number, check_row((line,), ("the line",), path, number)


def _read_tsv(path: Path, choices: Sequence[Sequence[str]]) -> Iterator[tuple[int, TextRow]]:
    return _read_table(path, choices, ((number, line.split("\t")) for number, line in _lines(path)))


def _read_csv(path: Path, choices: Sequence[Sequence[str]]) -> Iterator[tuple[int, TextRow]]:
    reader = csv.reader(f"{line}\n" for _, line in _lines(path))
    return _read_table(path, choices, ((reader.line_num, cells) for cells in reader))


def _read_table(
    path: Path, choices: Sequence[Sequence[str]], lines: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, TextRow]]:
    names = choices[0]
    by_number = all(name.isdigit() for name in names)
    if by_number:
        columns = [int(name) - 1 for name in names]
        width = max(columns) + 1
        if min(columns) < 0:
            raise InputError("columns are counted from 1", path=path)
    else:
        header = next(lines)[1]
        names = _choose(header, choices, path, 1)
        columns, width = [header.index(name) for name in names], len(header)
    for number, cells in lines:
        if len(cells) < width or (len(cells) > width and not by_number):
            raise InputError(f"expected {width} columns, found {len(cells)}", path=path, line=number)
        yield number, check_row(tuple(cells[column] for column in columns), names, path, number)


def _read_jsonl(path: Path, choices: Sequence[Sequence[str]]) -> Iterator[tuple[int, TextRow]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        values = parse_json(line, path, number)
        if not isinstance(values, dict):
            reason = f"expected a JSON object, found a {type(values).__name__}"
            raise InputError(reason, path=path, line=number)
        names = _choose(list(values), choices, path, number)
        for name in names:
            if not isinstance(values[name], str):
                reason = f"{name} should be a text, not {shortened(values[name], 60)}"
                raise InputError(reason, path=path, line=number)
        yield number, check_row(tuple(values[name] for name in names), names, path, number)


_READERS = {".txt": _read_txt, ".tsv": _read_tsv, ".csv": _read_csv, ".jsonl": _read_jsonl}


def _choose(present: Sequence[str], choices: Sequence[Sequence[str]], path: Path, line: int) -> Sequence[str]:
    """The first set of names that are all present."""
    for names in choices:
        if all(name in present for name in names):
            return names
    expected = " or ".join(" and ".join(names) for names in choices)
    listed = ", ".join(shortened(name, 60) for name in present[:8])
    reason = f"expected the columns {expected}; there are {listed}; name the columns with --columns"
    raise InputError(reason, path=path, line=line)
