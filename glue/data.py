"""The official TSV files, row by row, as they really are: raw quotes, BOMs, missing headers.

Nothing is dropped silently. A bad row stops with file, line, what was expected and what was found;
the one exception is QQP's training file, whose known defects are counted and reported.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import InputError
from common.messages import say
from common.printable import shortened
from common.text import LONGEST_TEXT, read_text
from glue.data_files import find_file, locate
from glue.tasks import Split, Task

__all__ = ["Example", "Rows", "find_file", "locate", "read_gold", "read_split"]

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)  # float() takes " ٣" and "0_1" too
_ENOUGH = 5  # texts or scores, before a file is judged by them
_MOST_DEFECTS = 100  # QQP's official train.tsv has some two dozen


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
    lines = _lines(path, split)
    header = list(split.headless) or lines[0].split("\t")
    wanted = [*task.text_columns, *([task.label_column] if with_label else [])]
    columns = _positions(path, header, wanted)
    if split.headless and {*task.text_columns, task.label_column} <= {*lines[0].casefold().split("\t")}:
        raise InputError(f"{path}:1: is a header, which the official file does not have; remove the line")
    index = _index_column(header) if split.kind == "test" else None
    first = 1 if split.headless else 2
    rows, others = Rows(path, []), dict[str, str]()
    for number, line in enumerate(lines[first - 1 :], first):
        cells = line.split("\t")
        try:
            if len(cells) != len(header):
                raise _BadRow(_count_problem(cells, header, line))
            if index is not None and cells[index].strip(' "') != str(len(rows.examples)):
                raise _BadRow(f"expected index {len(rows.examples)}, found {shortened(cells[index], 60)}")
            rows.examples.append(_example(cells, columns, task, with_label, others))
        except _BadRow as problem:
            if not split.skips_defects or problem.is_label:
                raise InputError(f"{path}:{number}: {problem}") from None
            rows.skipped_lines.append(number)
            if len(rows.skipped_lines) > _MOST_DEFECTS:
                raise InputError(
                    f"{path}:{number}: {problem}; the official file has a few such rows, "
                    f"this one more than {_MOST_DEFECTS}"
                ) from None
    if not rows.examples:
        raise InputError(f"{path}: no rows; expected the official {split.rows}")
    rows.notes.extend(_notes(rows, task, others))
    return rows


def _index_column(header: list[str]) -> int | None:
    """Which column numbers the rows, under any usual name and spelling; None if none does."""
    names = [name.strip(' "').casefold() for name in header]
    return next((names.index(name) for name in ("index", "id", "idx") if name in names), None)


def _notes(rows: Rows, task: Task, others: dict[str, str]) -> list[str]:
    """What there is to say of a file that was read. others: labels by names that mean them."""
    notes = []
    if others:
        pairs = ", ".join(f"{name} is {label}" for name, label in sorted(others.items()))
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


class _BadRow(Exception):  # noqa: N818 (turned into an InputError, never seen as such)
    is_label = False


class _BadLabel(_BadRow):
    is_label = True


def _count_problem(cells: list[str], header: list[str], line: str) -> str:
    if not line.strip():
        return "blank line; remove it, or fetch the file again"
    names = " ".join(shortened(name, 60)[1:-1] or "(blank)" for name in header[:20])
    return f"expected {len(header)} columns ({names}), found {len(cells)}; is the file cut short or edited?"


def _example(
    cells: list[str], columns: list[int], task: Task, with_label: bool, others: dict[str, str]
) -> Example:
    texts = tuple(cells[column] for column in columns[: len(task.text_columns)])
    for name, text in zip(task.text_columns, texts, strict=True):
        if not text.strip():
            raise _BadRow(f"expected text in column {name!r}, found none")
        if len(text) > LONGEST_TEXT:
            raise _BadRow(f"column {name!r} has {len(text)} characters; is a line end missing?")
    return Example(texts, _label(cells[columns[-1]], task, others) if with_label else None)


def _label(cell: str, task: Task, others: dict[str, str]) -> str | float:
    if task.target_range is None:
        if cell in task.labels:
            return cell
        label = others.get(cell) or task.label_meant(cell)
        if label is None:
            raise _BadLabel(_label_problem(cell, task))
        others[cell] = label
        return label
    low, high = task.target_range
    score = float(cell) if _NUMBER.fullmatch(cell) else math.nan
    if not low <= score <= high:
        raise _BadLabel(f"expected a score from {low:g} to {high:g}, found {shortened(cell, 60)}")
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


def _positions(path: Path, header: list[str], wanted: list[str]) -> list[int]:
    names = [name.strip().casefold() for name in header]
    if all(name.casefold() in names for name in wanted):  # a header in other case is the same header
        header, wanted = names, [name.casefold() for name in wanted]
    missing = [name for name in wanted if name not in header]
    if missing:
        raise InputError(f"{path}:1: no column {missing[0]!r}; {_header_problem(header)}")
    repeated = [name for name in wanted if header.count(name) > 1]
    if repeated:
        raise InputError(f"{path}:1: column {repeated[0]!r} stands twice in the header")
    return [header.index(name) for name in wanted]


def _header_problem(header: list[str]) -> str:
    shown = "the header has " + ", ".join(shortened(name, 60) for name in header[:12])
    if len(header) == 1 and "," in header[0]:
        return f"{shown}: its columns are parted by commas; the official files by TABs, without quotes"
    if all(len(name) > 2 and name[0] == name[-1] == '"' for name in header):
        return f"{shown}: every cell is in quotes; write the file without them"
    if "idx" in header:
        return f"{shown}: this is an export of the datasets library; fetch the official files"
    return shown


def _lines(path: Path, split: Split) -> list[str]:
    """Decode a file and cut it at line feeds only; its BOM and CRLF line ends are taken off."""
    text = read_text(path)
    if not text.strip():
        raise InputError(f"{path}: the file is empty; expected {split.rows} rows")
    if "\n" not in text and "\r" in text:
        raise InputError(f"{path}: its lines end with carriage returns alone; end them with line feeds")
    ends_whole = text.endswith("\n")
    lines = text.removesuffix("\n").split("\n")
    if lines[0].endswith("\r"):
        lines = [line.removesuffix("\r") for line in lines]
    rows = len(lines) - (not split.headless)
    # A copy of the whole file without its last line feed is accepted: its row count is the official one.
    if not ends_whole and rows != split.rows and not _known_without_final_newline(split):
        raise InputError(
            f"{path}:{len(lines)}: the file ends in the middle of a line, in row {rows} (officially "
            f"{split.rows} rows): end its last line if it is whole, else it is cut short: fetch it again"
        )
    return lines


def _known_without_final_newline(split: Split) -> bool:
    # The official CoLA/dev.tsv and diagnostic.tsv end without one, so its absence says nothing there.
    return (split.kind == "dev" and bool(split.headless)) or split.part == "diagnostic"
