"""Check a leaderboard hand-in, a folder of prediction files or a zip, before the site sees it.

Prints a line a file: OK, WARNING or ERROR, its rows, and what is wrong with the first line where it
occurs. Row counts are the official ones, or with --data_dir those of the test files there.
Exit 1 on any error. Format: the GLUE leaderboard's hand-in rules (gluebenchmark.com/faq).
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, path, run
from common.errors import InputError
from common.plain_files import open_plain
from glue.data_files import find_file, locate
from glue.tasks import Split, Task, submission_files
from metrics.prediction_file import Fault, Form, most_bytes, parse_predictions
from submission.archive_reader import MISSING, Contents, read_contents

_FAULTS_SHOWN = 3


@dataclass
class FileReport:
    """What the check found of one file. rows: None if they could not be counted."""

    name: str
    rows: int | None = None
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    predictions: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        return "ERROR" if self.faults else "WARNING" if self.warnings else "OK"

    @property
    def is_missing(self) -> bool:
        return any(fault.kind == "missing" for fault in self.faults)

    def line(self) -> str:
        """One line for people."""
        rows = "" if self.rows is None else f"{self.rows} rows"
        found = [*self.faults, *self.warnings]
        said = [_with_line(fault) for fault in found[:_FAULTS_SHOWN]]
        if len(found) > _FAULTS_SHOWN:
            said.append(f"further kinds of fault: {len(found) - _FAULTS_SHOWN}")
        return f"{self.status:<7}  {self.name:<11}  {rows:>11}  {'; '.join([*said, *self.notes])}".rstrip()

    def as_json(self) -> dict[str, Any]:
        said = {"errors": self.faults, "warnings": self.warnings}
        lists = {key: [vars(fault) for fault in faults] for key, faults in said.items()}
        return {"file": self.name, "status": self.status, "rows": self.rows, **lists, "notes": self.notes}


def check_contents(contents: Contents, data_dir: str | Path | None = None) -> list[FileReport]:
    """A report for every hand-in file, in the table's order, then one for every stray entry."""
    counts = RowCounts(data_dir)
    reports = [_check_file(task, split, contents, counts) for task, split in submission_files()]
    strays = [FileReport(name, faults=[Fault("stray", 0, why)]) for name, why in contents.strays.items()]
    return reports + strays


def submission_names() -> list[str]:
    """The names of the leaderboard's files, in the table's order."""
    return [split.submission_file for _, split in submission_files()]


def size_limits(data_dir: str | Path | None = None) -> dict[str, int]:
    """Hand-in name → the most bytes of that file, by the official rows or those of larger files there."""
    counts = RowCounts(data_dir)
    return {
        split.submission_file: most_bytes(max(split.rows, counts.of(split)[0]))
        for _, split in submission_files()
    }


def summary_of_errors(path: str | Path, reports: Sequence[FileReport]) -> str:
    """The one line that says why a hand-in is refused: the first error and how many files have one."""
    faulty = [report for report in reports if report.faults]
    first = faulty[0].faults[0]
    place = f"{faulty[0].name}:{first.line}:" if first.line else faulty[0].name
    others = f" (further files with errors: {len(faulty) - 1})" if len(faulty) > 1 else ""
    return f"{path}: {place} {first}{others}"


class RowCounts:
    """How many rows a test file has: officially, or below ``data_dir`` where it lies there."""

    def __init__(self, data_dir: str | Path | None) -> None:
        self._data_dir = data_dir
        splits = [split for _, split in submission_files()]
        if data_dir is not None and not any(map(self._lies_there, splits)):
            find_file(data_dir, splits[0])  # says what is missing

    def of(self, split: Split) -> tuple[int, str]:
        """The count, and a note if it is not from where the user pointed."""
        if self._data_dir is None:
            return split.rows, ""
        if not self._lies_there(split):
            return split.rows, f"official row count: no {split.file} below {self._data_dir}"
        file = find_file(self._data_dir, split)
        rows = count_lines(file) - (not split.headless)
        if rows < 1:
            raise InputError(f"{file}: no rows; expected the official {split.rows}")
        return rows, ""

    def _lies_there(self, split: Split) -> bool:
        return self._data_dir is not None and locate(self._data_dir, split) is not None


def count_lines(path: Path) -> int:
    """Lines as the readers see them: cut at line feeds, a last one without its own counts too."""
    lines, last = 0, b"\n"
    with open_plain(path) as file:
        while block := file.read(1 << 20):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def _check_file(task: Task, split: Split, contents: Contents, counts: RowCounts) -> FileReport:
    name = split.submission_file
    rows, note = counts.of(split)
    report = FileReport(name, notes=[note] if note else [])
    why = contents.faults.get(name)
    if why is not None:
        kind = "missing" if why == MISSING else "unreadable"
        report.faults.append(Fault(kind, 0, why))
        return report
    file = parse_predictions(contents.raw[name], Form(task.labels, task.target_range), rows)
    report.faults, report.warnings, report.predictions = file.faults, file.warnings, file.predictions
    report.rows = file.rows
    if not file.faults and rows > 1 and len(set(file.predictions)) == 1:
        _add_constant(task, file.predictions[0], report)
    return report


def _add_constant(task: Task, prediction: str, report: FileReport) -> None:
    # The one task that the paper leaves out has a test set made against its training labels: the
    # most frequent label beats nearly every model, and most submissions send just that.
    if not task.paper_score and prediction == task.majority:
        report.notes.append(f"every row is {prediction}: expected here, most submissions send it")
    else:
        report.warnings.append(Fault("constant", 0, f"every row is {prediction}; did the training fail?"))


def _with_line(fault: Fault) -> str:
    return f"line {fault.line}: {fault}" if fault.line else str(fault)


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m submission.check", description=__doc__)
    parser.add_argument("path", type=path, metavar="PATH", help="folder of prediction files, or zip")
    parser.add_argument("--data_dir", type=path, metavar="DIR", help="the GLUE files whose test rows count")
    parser.add_switch("--json", help="print one JSON object instead of lines")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    contents = read_contents(args.path, size_limits(args.data_dir))
    reports = check_contents(contents, args.data_dir)
    is_ok = not any(report.faults for report in reports)
    if args.json:
        files = [report.as_json() for report in reports]
        print(json.dumps({"path": args.path, "ok": is_ok, "files": files}, indent=2))
    else:
        print("\n".join(report.line() for report in reports))
    if not is_ok:
        raise InputError(summary_of_errors(args.path, reports))


if __name__ == "__main__":
    run(main)
