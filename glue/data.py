"""The official TSV files, row by row, as they really are: raw quotes, BOMs, missing headers.

Nothing is dropped silently. A bad row stops with file, line, what was expected and what was found;
the one exception is QQP's training file, whose known defects are counted and reported.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import InputError
from common.messages import say, shortened
from common.table_files import read_columns
from common.text import LONGEST_TEXT, TextTable, read_text
from glue.data_files import find_file, locate
from glue.tasks import Split, Task

__all__ = ["Example", "Rows", "find_file", "locate", "read_gold", "read_split"]

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)  # float() takes " ٣" and "0_1" too
_ENOUGH = 5  # texts or scores, before a file is judged by them
_LISTED = 20  # labels in a message
_MAX_DEFECTS = 100  # QQP's official train.tsv has some two dozen


@dataclass(frozen=True, slots=True)
class Example:
    """One row: its texts as they stand in the file (one, or a pair) and its label.

    label: the label's name, a float for regression, None in a test file.
    """

    texts: tuple[str, ...]
    label: str | float | None


@dataclass(frozen=True)
class Rows:
    """The rows of one file, in order. skipped_lines: of QQP's train.tsv only. notes: what else to say."""

    path: Path
    examples: list[Example]
    skipped_lines: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_split(task: Task, split: Split, data_dir: str | Path) -> Rows:
    """Read one official file. Labels are read for train and dev, never for test."""
    path = find_file(data_dir, split)
    return _read(path, task, split, with_label=split.kind != "test")


def read_gold(task: Task, split: Split, path: str | Path) -> list[str | float]:
    """The labels of a dev file given by path, in order."""
    rows = _read(Path(path), task, split, with_label=True)
    for note in rows.notes:
        say(f"note: {note}")
    return [example.label for example in rows.examples if example.label is not None]


def _read(path: Path, task: Task, split: Split, with_label: bool) -> Rows:
    if split.path:
        return _read_own(path, task, with_label)
    table = _table(path, task, split)
    names = [*task.text_columns, *([task.label_column] if with_label else [])]
    columns = table.positions(names, f"; {_header_problem(list(table.header))}")
    index = _index_column(table.header) if split.kind == "test" else None
    rows, aliases = Rows(path, []), dict[str, str]()
    for number, line in table.lines:
        try:
            cells = table.cells(number, line)
            if index is not None and cells[index].strip(' "') != str(len(rows.examples)):
                raise ValueError(f"expected index {len(rows.examples)}, found {shortened(cells[index], 60)}")
            texts = _texts([cells[column] for column in columns[: len(task.text_columns)]], task)
            label = _label(cells[columns[-1]], task, aliases) if with_label else None
            rows.examples.append(Example(texts, label))
        except _BadLabelError as error:
            raise InputError(str(error), path=path, line=number, code="label") from None
        except (ValueError, InputError) as error:
            message = error.message if isinstance(error, InputError) else str(error)
            if not split.skips_defects:
                raise InputError(message, path=path, line=number, code="row") from None
            rows.skipped_lines.append(number)
            if len(rows.skipped_lines) > _MAX_DEFECTS:
                message += f"; the official file has a few such rows, this one more than {_MAX_DEFECTS}"
                raise InputError(message, path=path, line=number, code="row") from None
    if not rows.examples:
        raise InputError(f"no rows; expected the official {split.rows}", path=path, code="empty")
    rows.notes.extend(_notes(rows, task, aliases))
    return rows


def _read_own(path: Path, task: Task, with_label: bool) -> Rows:
    """Read a file of the user's own. Labels of a test file may be missing; those that are there must be the
    task's, though nobody uses them."""
    names = [*task.text_columns, *([task.label_column] if with_label else [])]
    rows = Rows(path, [])
    for line, cells in read_columns(path, names, "" if with_label else task.label_column):
        try:
            *texts, label = cells
            value = _own_label(label, task, path.name) if with_label or label else None
            example = Example(_texts([text or "" for text in texts], task), value if with_label else None)
        except ValueError as error:
            code = "label" if isinstance(error, _BadLabelError) else "row"
            raise InputError(str(error), path=path, line=line, code=code) from None
        rows.examples.append(example)
    if not rows.examples:
        raise InputError("no rows", path=path, code="empty")
    quoted = _count_quoted([text for example in rows.examples for text in example.texts])
    if quoted and path.suffix == ".tsv":
        remedy = "quotes are no part of a .tsv's form: save the table as .csv if they should not be there"
        rows.notes.append(f"{path}: {quoted} texts stand in quotes, which are taken as they stand; {remedy}")
    if with_label and task.labels:
        counts = Counter(example.label for example in rows.examples)
        listed = ", ".join(f"{label} ({counts[label]})" for label in task.labels)
        rows.notes.append(f"{path}: labels in id order, with their rows: {listed}")
    return rows


def _own_label(cell: str | None, task: Task, file: str) -> str | float:
    if not task.is_regression:
        if cell in task.labels:
            return str(cell)
        names = ", ".join(task.labels[:_LISTED]) + (" …" if len(task.labels) > _LISTED else "")
        raise _BadLabelError(f"unknown label {shortened(cell, 60)}; {task.name} has {names}")
    if not cell or not _NUMBER.fullmatch(cell) or not math.isfinite(float(cell)):
        raise _BadLabelError(
            f"expected a number in column {task.label_column!r}, found {shortened(cell, 60)}"
        )
    low, high = task.target_range or (-math.inf, math.inf)
    if task.has_given_range and not low <= float(cell) <= high:
        raise _BadLabelError(f"expected a number from {low:g} to {high:g}, found {shortened(cell, 60)}")
    return float(cell)


def _index_column(header: Sequence[str]) -> int | None:
    """Which column numbers the rows, under any usual name and spelling; None if none does."""
    names = [name.strip(' "').casefold() for name in header]
    return next((names.index(name) for name in ("index", "id", "idx") if name in names), None)


def _notes(rows: Rows, task: Task, aliases: dict[str, str]) -> list[str]:
    """Notes on a file that was read. aliases: names in it → the labels that they mean."""
    notes = []
    if rows.skipped_lines:
        lines = ", ".join(map(str, rows.skipped_lines))
        notes.append(f"{rows.path}: skipped {len(rows.skipped_lines)} defective rows, lines {lines}")
    if aliases:
        pairs = ", ".join(f"{name} is {label}" for name, label in sorted(aliases.items()))
        notes.append(f"{rows.path}: labels of {task.name}: {pairs}")
    texts = [text for example in rows.examples for text in example.texts]
    quoted = 0 if task.has_quoted_texts else _count_quoted(texts)
    if quoted:
        notes.append(
            f"{rows.path}: {quoted} texts stand in quotes, as CSV writers and spreadsheets leave them; they "
            "are taken as they stand: fetch the official file, which has none, or write this one unquoted"
        )
    scores = [example.label for example in rows.examples if isinstance(example.label, float)]
    if len(scores) >= _ENOUGH and max(scores) <= 1 < task.target_range[1]:  # type: ignore[index]
        high = f"{task.target_range[1]:g}"  # type: ignore[index]
        notes.append(f"{rows.path}: no score is above 1; are they scaled? {task.name}'s go up to {high}")
    return notes


def _count_quoted(texts: list[str]) -> int:
    """How many texts a CSV writer has put in quotes: those with "" inside, or all that hold a comma (as
    spreadsheets do), or all."""
    in_quotes = [text for text in texts if len(text) > 2 and text[0] == text[-1] == '"']
    by_writer = [text for text in in_quotes if '"' not in text[1:-1].replace('""', "")]
    escaped = sum('""' in text[1:-1] for text in by_writer)
    with_comma = [text for text in texts if "," in text]
    commas_quoted = bool(with_comma) and all(text[0] == text[-1] == '"' for text in with_comma)
    is_spreadsheets = len(by_writer) >= _ENOUGH and (commas_quoted or len(by_writer) == len(texts))
    return len(by_writer) if is_spreadsheets else escaped


class _BadLabelError(ValueError):
    """What is wrong with a label, which is never passed over."""


def _texts(cells: list[str], task: Task) -> tuple[str, ...]:
    for name, text in zip(task.text_columns, cells, strict=True):
        if not text.strip():
            raise ValueError(f"expected text in column {name!r}, found none")
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"column {name!r} has {len(text)} characters; is a line end missing?")
    return tuple(cells)


def _label(cell: str, task: Task, aliases: dict[str, str]) -> str | float:
    if task.target_range is None:
        if cell in task.labels:
            return cell
        label = aliases.get(cell) or task.label_meant(cell)
        if label is None:
            raise _BadLabelError(_label_problem(cell, task))
        aliases[cell] = label
        return label
    low, high = task.target_range
    score = float(cell) if _NUMBER.fullmatch(cell) else math.nan
    if not low <= score <= high:
        raise _BadLabelError(f"expected a score from {low:g} to {high:g}, found {shortened(cell, 60)}")
    return score


def _label_problem(cell: str, task: Task) -> str:
    """Numbers are not guessed: the datasets library numbers MNLI's labels in another order than ELECTRA."""
    hint = ""
    if cell.isdigit() and not task.labels[0].isdigit():
        hint = "; numbers are another copy's ids: write the names"
    elif cell == "-1":
        hint = "; -1 stands for a label that is withheld: is it a test file?"
    elif cell == "-":
        hint = "; - stands for annotators who did not agree: remove the row, as the official file does"
    return f"unknown label {shortened(cell, 60)}; expected one of {', '.join(task.labels)}{hint}"


def _header_problem(header: list[str]) -> str:
    names = "the header has " + ", ".join(shortened(name, 60) for name in header[:12])
    if len(header) == 1 and "," in header[0]:
        return f"{names}: its columns are parted by commas; the official files by TABs, without quotes"
    if all(len(name) > 2 and name[0] == name[-1] == '"' for name in header):
        return f"{names}: every cell is in quotes; write the file without them"
    if "idx" in header:
        return f"{names}: this is an export of the datasets library; fetch the official files"
    return names


def _table(path: Path, task: Task, split: Split) -> TextTable:
    """The rows of a file, cut at line feeds only; its BOM and CRLF line ends are taken off."""
    text = read_text(path)
    if not text.strip():
        raise InputError(f"the file is empty; expected {split.rows} rows", path=path, code="empty")
    if "\n" not in text and "\r" in text:
        message = "its lines end with carriage returns alone; end them with line feeds"
        raise InputError(message, path=path, code="line ends")
    lines = text.removesuffix("\n").split("\n")
    if lines[0].endswith("\r"):
        lines = [line.removesuffix("\r") for line in lines]
    rows = len(lines) - (not split.headless)
    # A copy of the whole file without its last line feed is accepted: its row count is the official one.
    if not text.endswith("\n") and rows != split.rows and not _known_without_final_newline(split):
        message = (
            f"the file ends in the middle of a line, in row {rows} (officially {split.rows} rows): end its "
            "last line if it is whole, else it is cut short: fetch it again"
        )
        raise InputError(message, path=path, line=len(lines), code="cut short")
    if split.headless and {*task.text_columns, task.label_column} <= {*lines[0].casefold().split("\t")}:
        message = "is a header, which the official file does not have; remove the line"
        raise InputError(message, path=path, line=1, code="header")
    return TextTable.from_lines(path, enumerate(lines, 1), split.headless)


def _known_without_final_newline(split: Split) -> bool:
    # The official CoLA/dev.tsv and diagnostic.tsv end without one, so its absence says nothing there.
    return (split.kind == "dev" and bool(split.headless)) or split.part == "diagnostic"
