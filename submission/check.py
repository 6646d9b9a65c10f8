"""Check a leaderboard submission, a folder of prediction files or a zip, before the site sees it.

Prints a line for each file: OK, FILLED (by the manifest beside the zip), WARNING or ERROR, its rows, and its
problems with the first line of each.
Row counts are the official ones, or with --data_dir those of the test files there.
Exit 1 on any error. Format: the GLUE leaderboard's submission rules (gluebenchmark.com/faq).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, path, run
from common.errors import InputError
from common.files import sha256_of
from common.json_files import read_json_object
from common.plain_files import open_plain
from common.python_api import make_callable
from common.tables import add_format, render_rows
from glue.data_files import find_file, locate
from glue.tasks import Split, Task, submission_files
from metrics.prediction_file import Form, Problem, most_bytes, parse_predictions
from submission.archive_reader import MISSING, Archive, read_archive

_MAX_PROBLEMS = 3


@dataclass
class FileReport:
    """What the check says of one file."""

    name: str  # the submission file, or a stray entry
    rows: int | None = None  # how many predictions it has; None if they could not be counted
    problems: list[Problem] = field(default_factory=list)  # what makes the file an error
    warnings: list[Problem] = field(default_factory=list)  # what is odd, but allowed
    notes: list[str] = field(default_factory=list)  # what else to know
    predictions: list[str] = field(default_factory=list)  # as written; none if there are problems
    filled: str = ""  # what every row was filled with, for a task that was not predicted

    @property
    def status(self) -> str:
        fine = "FILLED" if self.filled else "OK"
        return "ERROR" if self.problems else "WARNING" if self.warnings else fine

    @property
    def is_missing(self) -> bool:
        return any(problem.kind == "missing" for problem in self.problems)

    @property
    def remarks(self) -> str:
        """Problems, warnings and notes for people."""
        problems = [*self.problems, *self.warnings]
        texts = [f"line {each.line}: {each}" if each.line else str(each) for each in problems[:_MAX_PROBLEMS]]
        if len(problems) > _MAX_PROBLEMS:
            texts.append(f"further kinds of problem: {len(problems) - _MAX_PROBLEMS}")
        return "; ".join([*texts, *self.notes])

    def line(self) -> str:
        """One line for people."""
        rows = "" if self.rows is None else f"{self.rows} rows"
        return f"{self.status:<7}  {self.name:<11}  {rows:>11}  {self.remarks}".rstrip()

    def as_json(self) -> dict[str, Any]:
        lists = {"errors": self.problems, "warnings": self.warnings}
        as_values = {key: [vars(problem) for problem in problems] for key, problems in lists.items()}
        head = {"file": self.name, "status": self.status, "rows": self.rows}
        return {**head, **as_values, "notes": self.notes}


def check(path: str | Path, data_dir: str | Path | None = None) -> list[FileReport]:
    """Check a submission before the site sees it, as ``python -m submission.check`` does.

    Args:
        path: A folder of prediction files, or a zip.
        data_dir: The folder of the official files whose test rows count; None: the official row counts.

    Returns:
        A report for each of the leaderboard's files and for each other one: its ``status`` (OK,
        FILLED, WARNING or ERROR), ``rows``, ``problems``, ``warnings`` and ``notes``. What is wrong with a
        file is no exception.

    Raises:
        InputError: The path is neither a folder nor a whole zip.

    >>> import submission
    >>> reports = submission.check("predictions", data_dir="glue_data")
    >>> [report.name for report in reports if report.status != "ERROR"]
    ['RTE.tsv']
    """
    reports = check_archive(read_submission(path, data_dir), data_dir)
    mark_filled(Path(path), reports)
    return reports


def mark_filled(path: Path, reports: Sequence[FileReport]) -> None:
    """Take what the manifest beside a zip calls filled for that, and not for a training that failed."""
    manifest = manifest_path(path)
    record = read_json_object(manifest) if path.is_file() and manifest.is_file() else {}
    if not record or record.get("sha256") != sha256_of(path):
        return
    names = {split.submission_file: task.name for task, split in submission_files()}
    files, tasks = mapping_of(record.get("files")), mapping_of(record.get("tasks"))
    for report in reports:
        of_file, of_task = (
            mapping_of(files.get(report.name)),
            mapping_of(tasks.get(names.get(report.name, ""))),
        )
        if report.predictions and (of_file.get("filled") or of_task.get("constant")):
            report.filled, report.notes = report.predictions[0], [f"every row is {report.predictions[0]}"]
            report.warnings = [warning for warning in report.warnings if warning.kind != "constant"]


def mapping_of(value: Any) -> dict[str, Any]:
    """A value of a JSON file where a mapping belongs; empty where something else stands there."""
    return value if isinstance(value, dict) else {}


def manifest_path(archive: str | Path) -> Path:
    """``submission.zip`` → ``submission.manifest.json`` beside it."""
    return Path(archive).with_suffix(".manifest.json")


def check_archive(archive: Archive, data_dir: str | Path | None = None) -> list[FileReport]:
    """A report for every submission file, in the table's order, then one for every stray entry."""
    reports = [_check_file(task, split, archive, data_dir) for task, split in submission_files()]
    strays = [FileReport(name, problems=[Problem("stray", 0, why)]) for name, why in archive.strays.items()]
    return reports + strays


def submission_names() -> list[str]:
    """The names of the leaderboard's files, in the table's order."""
    return [split.submission_file for _, split in submission_files()]


def read_submission(path: str | Path, data_dir: str | Path | None = None) -> Archive:
    """Read a folder or a zip, but no file that is far larger than its rows, those in ``data_dir``, can be."""
    splits = [split for _, split in submission_files()]
    if data_dir is not None and not any(locate(data_dir, split) for split in splits):
        find_file(data_dir, splits[0])  # raises an error that names the remedy
    rows = {split.submission_file: max(split.rows, expected_rows(split, data_dir)[0]) for split in splits}
    return read_archive(path, {name: most_bytes(count) for name, count in rows.items()})


def first_error(path: str | Path, reports: Sequence[FileReport], remark: str = "") -> InputError:
    """Why a submission is refused, in one line: the first problem, and how many files have one."""
    faulty = [report for report in reports if report.problems]
    name, problem = faulty[0].name, faulty[0].problems[0]
    where = f"{name}:{problem.line}:" if problem.line else name
    others = f" (further files with errors: {len(faulty) - 1})" if len(faulty) > 1 else ""
    return InputError(f"{where} {problem}{others}{remark}", path=path, code=problem.kind)


def expected_rows(split: Split, data_dir: str | Path | None) -> tuple[int, str]:
    """How many rows a submission file must have: those of its test file in ``data_dir``, or the official ones
    and a note that they are."""
    file = None if data_dir is None else locate(data_dir, split)
    if file is None:
        return split.rows, f"official row count: no {split.file} below {data_dir}" if data_dir else ""
    rows = count_lines(file) - (not split.headless)
    if rows < 1:
        raise InputError(f"no rows; expected the official {split.rows}", path=file, code="empty")
    return rows, ""


def count_lines(path: Path) -> int:
    """Lines as the readers see them: cut at line feeds, a last one without its own counts too."""
    lines, last = 0, b"\n"
    with open_plain(path) as file:
        while block := file.read(1 << 20):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def _check_file(task: Task, split: Split, archive: Archive, data_dir: str | Path | None) -> FileReport:
    name = split.submission_file
    rows, note = expected_rows(split, data_dir)
    notes = [note] if note else []
    why = archive.problems.get(name)
    if why is not None:
        kind = "missing" if why == MISSING else "unreadable"
        return FileReport(name, problems=[Problem(kind, 0, why)], notes=notes)
    file = parse_predictions(archive.files[name], Form(task.labels, task.target_range), rows)
    report = FileReport(name, file.rows, file.problems, file.warnings, notes, file.predictions)
    if file.problems or rows < 2:
        return report
    if len(set(file.predictions)) > 1:
        if not task.paper_score:
            report.notes.append(f"not every row is {task.majority}, which few models beat on this test set")
        return report
    constant = f"every row is {file.predictions[0]}"
    # The one task that the paper leaves out has a test set made against its training labels: the
    # most frequent label beats nearly every model, and most submissions send just that.
    if not task.paper_score and file.predictions[0] == task.majority:
        report.notes.append(f"{constant}: expected here, most submissions send it")
    else:
        filling = ", as where a task is filled" if file.predictions[0] == task.majority else ""
        report.warnings.append(Problem("constant", 0, f"{constant}{filling}; did the training fail?"))
    return report


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m submission.check", description=__doc__)
    parser.add_argument("path", type=path, metavar="PATH", help="folder of prediction files, or zip")
    parser.add_argument("--data_dir", type=path, metavar="DIR", help="the GLUE files whose test rows count")
    parser.add_switch("--json", help="print one JSON object instead of lines, with every problem by itself")
    add_format(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    reports = check(args.path, args.data_dir)
    is_ok = not any(report.problems for report in reports)
    if args.json:
        files = [report.as_json() for report in reports]
        print(json.dumps({"path": args.path, "ok": is_ok, "files": files}, indent=2))
    elif args.format == "text":
        print("\n".join(report.line() for report in reports))
    else:
        rows = [{"file": r.name, "status": r.status, "rows": r.rows, "remarks": r.remarks} for r in reports]
        print(render_rows(rows, args.format))
    if not is_ok:
        raise first_error(args.path, reports)


make_callable(__name__, check)

if __name__ == "__main__":
    run(main)
