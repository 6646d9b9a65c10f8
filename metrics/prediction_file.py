"""The form of a prediction file: ``index<TAB>prediction``, rows 0 to n−1, LF line ends, UTF-8.

It is what the leaderboard takes and what scoring reads. No NumPy: the largest official file has
390 965 rows, and a plain loop reads it in well under a second.
"""

import codecs
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.errors import InputError
from common.plain_files import read_plain
from common.text import decode_text

HEADER = "index\tprediction"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NO_NUMBER = re.compile(r"[+-]?(nan|inf(inity)?)", re.ASCII | re.IGNORECASE)
_INDEX = re.compile(r"0|[1-9]\d{0,11}", re.ASCII)
MAX_BYTES = 64 << 20  # bytes of a file to score; the largest official one has some 4 MB
_BYTES_OF_A_ROW = 48  # at most: an index, TAB, a label or a number of 17 digits, CRLF
_MAX_LINE = 1000  # bytes
_OF_FORM = ("bom", "crlf")  # problems that leave every prediction readable
_BEYOND = 1000  # lines looked at after those expected; what follows is no longer a slip and only counted


@dataclass(frozen=True)
class Form:
    """What a file's predictions may be: one of ``labels``, or, if there are none, a number in ``range``."""

    labels: tuple[str, ...]
    range: tuple[float, float] | None = None
    label_meant: Callable[[str], str | None] = lambda _: None  # the label that another name means, if any

    @property
    def described(self) -> str:
        if self.range is None:
            return f"one of {', '.join(self.labels)}"
        return f"a number from {self.range[0]:g} to {self.range[1]:g}"


@dataclass(frozen=True)
class Problem:
    """One kind of problem in a file: where it first occurs (0: nowhere in particular) and how often."""

    kind: str
    line: int
    message: str
    count: int = 1

    def __str__(self) -> str:
        return self.message + (f" ({self.count} such lines)" if self.count > 1 else "")


@dataclass
class PredictionFile:
    """What was read: the predictions as written, in file order, and every problem, by line."""

    predictions: list[str] = field(default_factory=list)
    rows: int | None = None  # how many; None if the file could not be read, or not to its end
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def most_bytes(rows: int) -> int:
    """How large a file of so many predictions can be, with room for what is wrong with it."""
    return (1 << 16) + _BYTES_OF_A_ROW * rows


def parse_predictions(raw: bytes, form: Form, rows: int) -> PredictionFile:
    """Read a file's bytes and find everything that is wrong with them; ``rows`` must be there.

    Of a file with problems of more than its form no prediction is kept.
    """
    file = PredictionFile()
    problems = _Problems()
    text = _decode(raw, problems)
    if text is not None:
        lines = text.removesuffix("\n").split("\n", rows + 1 + _BEYOND)
        rest = lines.pop() if len(lines) > rows + 1 + _BEYOND else None
        total = len(lines) + (0 if rest is None else rest.count("\n") + 1)
        if not text.endswith("\n"):
            message = "the last line has no line end; is it cut short?"
            file.warnings.append(Problem("unfinished", total, message))
        first = _check_header(lines[0], problems)
        predictions = _PredictionRows(form, problems).read(lines[first - 1 :], first)
        if rest is not None:
            problems.add("rows", first + rows, f"the file has {total} lines; expected {rows + 1}")
        else:
            file.rows = len(predictions)
            message = f"the file ends after {file.rows} rows; expected {rows}"
            if file.rows < rows:
                problems.add("rows", len(lines), message)
            elif file.rows > rows:
                filled = [number for number, line in enumerate(lines[first - 1 :], first) if line.strip()]
                problems.add("rows", filled[rows], f"the file has {file.rows} rows; expected {rows}")
        file.predictions = [] if problems.keys() - set(_OF_FORM) else predictions
    file.problems = sorted(problems.values(), key=lambda problem: problem.line)
    return file


def read_predictions(path: str | Path, form: Form, rows: int) -> list[str]:
    """The predictions of a file, in order; InputError with file and line for the first problem.

    A byte order mark and Windows line ends are passed over: they matter to the leaderboard, not to a score.
    """
    file = parse_predictions(read_plain(path, MAX_BYTES), form, rows)
    problems = [problem for problem in file.problems if problem.kind not in _OF_FORM]
    if problems:
        problem = problems[0]
        others = f" (further kinds of problem: {len(problems) - 1})" if len(problems) > 1 else ""
        raise InputError(f"{problem}{others}", path=path, line=problem.line, code=problem.kind)
    return [form.label_meant(cell) or cell for cell in file.predictions]


class _Problems(dict[str, Problem]):
    """Kind → the first problem of that kind, and how often it occurs."""

    def add(self, kind: str, line: int, message: str, times: int = 1) -> None:
        first = self.get(kind, Problem(kind, line, message, 0))
        self[kind] = replace(first, count=first.count + times)


class _PredictionRows:
    """Walks the rows; keeps in step after a gap or a repeat, so that one slip is one problem."""

    def __init__(self, form: Form, problems: _Problems) -> None:
        self._form, self._problems = form, problems
        self._labels = frozenset(form.labels)
        self._expected = 0  # the index the next row should have
        self._seen: set[int] = set()  # the indices so far; empty until the first slip

    def read(self, lines: Sequence[str], first: int) -> list[str]:
        predictions = []
        for number, line in enumerate(lines, first):
            index, _, cell = line.partition("\t")
            if cell in self._labels and index == str(self._expected) and not self._seen:
                self._expected += 1
                predictions.append(cell)
            elif line.strip():
                predictions.append(self._check_row(number, line))
            else:
                self._problems.add("blank", number, "blank line; remove it")
        return predictions

    def _check_row(self, number: int, line: str) -> str:
        columns = line.count("\t") + 1
        index, _, cell = line.partition("\t")
        self._check_index(number, index)
        if columns != 2:
            self._problems.add("columns", number, f"expected 2 columns, found {columns}: {_short(line)}")
            return ""
        if wrong := _wrong_cell(cell, self._form):
            kind, message = wrong
            self._problems.add(kind, number, f"{message}; expected {self._form.described}")
        return cell

    def _check_index(self, number: int, cell: str) -> None:
        expected = self._expected
        if not _INDEX.fullmatch(cell):
            self._problems.add("index", number, f"expected index {expected}, found {_short(cell)}")
            self._expected += 1
            return
        index = int(cell)
        if index == expected and not self._seen:
            self._expected += 1
            return
        self._seen = self._seen or set(range(expected))
        if index in self._seen:
            self._problems.add("repeat", number, f"index {index} stands here again; expected {expected}")
        elif index > expected:
            self._problems.add("index", number, f"expected index {expected}, found {index}")
        elif index < expected:
            self._problems.add("index", number, f"index {index} is out of order; expected {expected}")
        self._seen.add(index)
        self._expected = max(expected, index + 1)


def _decode(raw: bytes, problems: _Problems) -> str | None:
    """The file's text without BOM and carriage returns, or None if there is none to read."""
    if raw.startswith(codecs.BOM_UTF8):
        problems.add("bom", 1, "the file starts with a BOM; save it as UTF-8 without one")
        raw = raw.removeprefix(codecs.BOM_UTF8)
    if not raw.strip():
        problems.add("empty", 1, f"the file is empty; expected the header {HEADER!r} and the rows")
        return None
    if line := _long_line(raw):
        message = f"a line of more than {_MAX_LINE} bytes; expected {HEADER!r} and rows of that form"
        problems.add("long", line, message)
        return None
    try:
        text = decode_text(raw)
    except InputError as error:
        problems.add("encoding", error.line or 1, error.message)
        return None
    if "\r" in text:
        line = text.count("\n", 0, text.index("\r")) + 1
        message = "carriage return (Windows line end); end lines with LF alone"
        problems.add("crlf", line, message, text.count("\r"))
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def _long_line(raw: bytes) -> int:
    """The number of the first line beyond _MAX_LINE; 0 if there is none."""
    begin = 0
    while len(raw) - begin > _MAX_LINE:
        end = raw.rfind(b"\n", begin, begin + _MAX_LINE + 1)
        if end < 0:
            return raw.count(b"\n", 0, begin) + 1
        begin = end + 1
    return 0


def _check_header(line: str, problems: _Problems) -> int:
    """The number of the first line that holds a row."""
    if line == HEADER:
        return 2
    if _INDEX.fullmatch(line.partition("\t")[0]):
        problems.add("header", 1, f"the header is missing; expected {HEADER!r}, found {_short(line)}")
        return 1
    problems.add("header", 1, f"expected the header {HEADER!r}, found {_short(line)}")
    return 2


def _wrong_cell(cell: str, form: Form) -> tuple[str, str] | None:
    """Kind and description of the problem of a prediction, if it has one."""
    is_number = _NUMBER.fullmatch(cell)
    if form.range is None:
        if cell in form.labels or form.label_meant(cell):
            return None
        if not cell:
            return "label", "no prediction"
        numbers = [float(label) for label in form.labels if _NUMBER.fullmatch(label)]
        if is_number and float(cell) in numbers:
            return "label", f"{_short(cell)} is a label written as a fraction"
        return "label", f"unknown label {_short(cell)}"
    if not cell:
        return "number", "no prediction"
    if _NO_NUMBER.fullmatch(cell):
        return "finite", f"{cell} is not finite"
    if not is_number:
        return "number", f"{_short(cell)} is no number"
    low, high = form.range
    return None if low <= float(cell) <= high else ("range", f"{_short(cell)} is out of range")


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "…")
