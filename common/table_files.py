"""Columns of tables that users bring, as CSV, TSV, JSON lines or Parquet; a bad row is named by its line.

CSV is read with Python's own module, which counts lines, so that a row with more or fewer cells than the
header is an error and not filled up; in TSV quotes are part of a cell. Parquet is read by pandas with
pyarrow, and its rows are counted from 1.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.json_files import parse_json
from common.messages import shortened
from common.text import LONGEST_TEXT, TextTable, read_lines, read_text

Row = tuple[int, list[str | None]]  # line, and the cells asked for; None where an optional column is missing


def read_columns(path: str | Path, names: Sequence[str], optional: str = "") -> Iterator[Row]:
    """Read some columns of a table whose suffix tells what it is.

    Args:
        path: The file: ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet``.
        names: The columns that must be there.
        optional: A column that may be missing, behind the others.

    Returns:
        Line and cells of each row, as texts; a missing value is an empty one.

    Raises:
        InputError: It cannot be read, or lacks a column; with the line, where it is one.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("no such file", path=path, code="missing")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        reason = f"its name should end in {', '.join(_READERS)}, which tells what is in it"
        raise InputError(reason, path=path, code="suffix")
    return reader(path, names, optional)


def _csv(path: Path, names: Sequence[str], optional: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_TEXT)
    rows, line = csv.reader(io.StringIO(read_text(path), newline=""), strict=True), 1
    positions: list[int | None] = []
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise InputError(f"not CSV: {error}", path=path, line=line, code="row") from None
        if cells is None:
            break
        if not positions:
            header = cells
            positions = _positions(path, header, names, optional)
        elif cells and len(cells) != len(header):
            message = f"expected {len(header)} cells as in the header, found {len(cells)}"
            raise InputError(f"{message}; is a quote missing?", path=path, line=line, code="row")
        elif cells:  # a blank line is no row
            yield line, [None if position is None else cells[position] for position in positions]
        line = rows.line_num + 1
    if not positions:
        raise InputError("the file is empty", path=path, code="empty")


def _tsv(path: Path, names: Sequence[str], optional: str) -> Iterator[Row]:
    table = TextTable.from_lines(path, read_lines(path))
    if table.header == [""]:
        raise InputError("the file is empty", path=path, code="empty")
    positions = _positions(path, table.header, names, optional)
    for number, line in table.lines:
        cells = table.cells(number, line)
        yield number, [None if position is None else cells[position] for position in positions]


def _json_lines(path: Path, names: Sequence[str], optional: str) -> Iterator[Row]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        row = parse_json(line, path, number)
        if not isinstance(row, dict):
            raise InputError("expected a JSON object", path=path, line=number, code="row")
        for name in names:
            if name not in row:
                raise _no_column(path, name, list(row), number)
        wanted = [*names, *([optional] if optional else [])]
        yield number, [_text(row[name], name, path, number) if name in row else None for name in wanted]


def _parquet(path: Path, names: Sequence[str], optional: str) -> Iterator[Row]:
    import pandas

    try:
        table = pandas.read_parquet(path)
    except ImportError:
        message = "Parquet needs a reader: pip install pyarrow, or save the table as CSV"
        raise InputError(message, path=path, code="no reader") from None
    except (ValueError, OSError) as error:
        raise InputError(f"not a Parquet file: {shortened(str(error))}", path=path, code="damaged") from None
    positions = _positions(path, list(map(str, table.columns)), names, optional)
    wanted = [*names, *([optional] if optional else [])]
    for number, row in enumerate(table.itertuples(index=False, name=None), 1):
        yield (
            number,
            [
                None if position is None else _text(row[position], name, path, number)
                for name, position in zip(wanted, positions, strict=True)
            ],
        )


_READERS = {".csv": _csv, ".tsv": _tsv, ".jsonl": _json_lines, ".parquet": _parquet}


def _positions(path: Path, header: Sequence[str], names: Sequence[str], optional: str) -> list[int | None]:
    for name in names:
        if name not in header:
            raise _no_column(path, name, header, 1)
    for name in (*names, optional):
        if header.count(name) > 1:
            message = f"column {name!r} stands twice in the header"
            raise InputError(message, path=path, line=1, code="header")
    wanted = [*names, *([optional] if optional else [])]
    return [header.index(name) if name in header else None for name in wanted]


def _no_column(path: Path, name: str, header: Sequence[str], line: int) -> InputError:
    listed = ", ".join(shortened(name, 60) for name in header[:12])
    message = f"no column {name!r}; there are {listed or 'none'}"
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        message += "; part the columns by commas, or name a table parted by TABs .tsv"
    return InputError(message, path=path, line=line, code="header")


def _text(value: Any, name: str, path: Path, line: int) -> str:
    """A cell of a table with types as CSV would have it: 1.0, a whole number beside missing ones, is 1."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list | dict):
        message = f"expected a text or a number in column {name!r}, found {shortened(value, 60)}"
        raise InputError(message, path=path, line=line, code="row")
    return str(value).lower() if isinstance(value, bool) else str(value)
