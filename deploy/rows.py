"""Rows to answer, from the command line and from files: read as they come, a bad one named. No Paddle.

A file's kind is told by its name: ``.txt`` has a text a line, ``.tsv`` columns with a header (or, by number,
without), ``.jsonl`` a JSON object a line.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.json_files import parse_json
from common.messages import shortened
from common.text import LONGEST_TEXT, read_lines

Row = tuple[str, ...]

DEFAULT_TEXT = "the problem , it is with most of these things , is the script ."  # the reference's
KINDS = (".txt", ".tsv", ".jsonl")
_SURROGATE = re.compile("[\ud800-\udfff]")
# What files call their texts, where neither the model's task nor a flag says it.
_SENTENCES = (("text", "text_pair"), ("text",), ("sentence1", "sentence2"), ("sentence",))
_QUESTIONS = (("question", "context"),)


def fault_of(text: str) -> str:
    """Why a text cannot be answered; empty where it can."""
    if not text.strip():
        return "is empty"
    if len(text) > LONGEST_TEXT:
        return f"has {len(text)} characters, more than {LONGEST_TEXT}"
    if "\0" in text:
        return "holds a NUL character"
    if _SURROGATE.search(text):
        return "holds half a surrogate pair, which is no character"
    return ""


def check_row(row: Row, names: Sequence[str], where: str) -> Row:
    """The row itself; InputError names the text that cannot be answered."""
    for name, text in zip(names, row, strict=True):
        if fault := fault_of(text):
            raise InputError(f"{where}: {name} {fault}")
    return row


def choices_of(kinds: str, own: Sequence[str] = ()) -> list[Sequence[str]]:
    """Sets of column names to look for in turn. kinds: ``sentence`` or ``question``; own: the task's."""
    return [*([own] if own else []), *(_QUESTIONS if kinds == "question" else _SENTENCES)]


def read_rows(path: str | Path, choices: Sequence[Sequence[str]]) -> Iterator[tuple[int, Row]]:
    """Line number and row of every line.

    choices: sets of column names; the first whose names are all there is taken. A set of numbers counts
    columns from 1, and the file has no header.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise InputError(f"{path}: its name should end in {', '.join(KINDS)}, which tells what is in it")
    if kind == ".txt":
        return (
            (number, check_row((line,), ("the line",), f"{path}:{number}")) for number, line in _lines(path)
        )
    if kind == ".tsv":
        return _read_tsv(path, choices)
    return _read_jsonl(path, choices)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    number = 0
    for number, text in read_lines(path):
        yield number, text.rstrip("\r")
    if not number:
        raise InputError(f"{path}: the file is empty")


def _read_tsv(path: Path, choices: Sequence[Sequence[str]]) -> Iterator[tuple[int, Row]]:
    lines = _lines(path)
    if all(name.isdigit() for name in choices[0]):
        names: Sequence[str] = choices[0]
        columns, width = [int(name) - 1 for name in names], 0
        if min(columns) < 0:
            raise InputError(f"{path}: columns are counted from 1")
    else:
        header = next(lines)[1].split("\t")
        names = _choose(f"{path}:1", header, choices, "the header has")
        columns, width = [header.index(name) for name in names], len(header)
    for number, line in lines:
        cells = line.split("\t")
        wanted = width or max(columns) + 1
        if len(cells) < wanted or (width and len(cells) > width):
            raise InputError(f"{path}:{number}: expected {wanted} columns, found {len(cells)}")
        yield number, check_row(tuple(cells[column] for column in columns), names, f"{path}:{number}")


def _read_jsonl(path: Path, choices: Sequence[Sequence[str]]) -> Iterator[tuple[int, Row]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        values = _object(line, where)
        names = _choose(where, list(values), choices, "the object has")
        for name in names:
            if not isinstance(values[name], str):
                raise InputError(f"{where}: {name} should be a text, not {shortened(values[name], 60)}")
        yield number, check_row(tuple(values[name] for name in names), names, where)


def _object(line: str, where: str) -> dict[str, Any]:
    values = parse_json(line, where)
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected a JSON object, found a {type(values).__name__}")
    return values


def _choose(where: str, found: Sequence[str], choices: Sequence[Sequence[str]], what: str) -> Sequence[str]:
    for names in choices:
        if all(name in found for name in names):
            return names
    wanted = " or ".join(" and ".join(names) for names in choices)
    shown = ", ".join(shortened(name, 60) for name in found[:8])
    raise InputError(f"{where}: expected {wanted}; {what} {shown}; name the columns with --columns")
