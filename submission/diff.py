"""How many predictions differ between two submissions, file by file.

Example:
  python -m submission.diff before.zip after.zip

Either may be a zip or a folder. A line a file: rows, how many changed, and from what to what (numbers:
how far on average and at most).
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from common.command_line import CommandParser, path, run
from common.errors import InputError
from common.tables import add_format, render_rows
from glue.tasks import Task, submission_files
from metrics.prediction_file import Form, parse_predictions
from submission.archive_reader import MISSING, Archive
from submission.check import read_submission

_MAX_TRANSITIONS = 4


@dataclass(frozen=True)
class FileDifference:
    """Two versions of a submission file."""

    name: str
    only_in: str = ""  # ``A`` or ``B`` where the other has no such file
    rows: int = 0  # how many predictions both have
    changed: int = 0  # how many of them differ
    transitions: tuple[tuple[str, str, int], ...] = ()  # (label in A, in B, rows), most frequent first
    mean: float | None = None  # the mean absolute change of numbers, over all rows
    most: float | None = None  # the largest absolute change

    def line(self) -> str:
        """One line for people."""
        if self.only_in:
            return f"{self.name:<11}  {self.remarks}"
        share = f"{self.changed / self.rows:7.2%}"
        text = f"{self.name:<11}  {self.rows:>7} rows  {self.changed:>7} changed  {share}"
        return f"{text}  {self.remarks}".rstrip()

    @property
    def remarks(self) -> str:
        """How the predictions changed, for people."""
        if self.only_in:
            return f"only in {self.only_in}"
        if self.mean is not None:
            return f"by {self.mean:.4f} on average, {self.most:.4f} at most"
        parts = [f"{a} → {b} {count}" for a, b, count in self.transitions]
        parts[_MAX_TRANSITIONS:] = ["…"] * (len(parts) > _MAX_TRANSITIONS)
        return ", ".join(parts)


def differences(a: str, b: str) -> list[FileDifference]:
    """A difference for every submission file that either has, in the table's order; InputError if a file
    cannot be read or has problems, or the two have different row counts."""
    archives = [(source, read_submission(source)) for source in (a, b)]
    result = []
    for task, split in submission_files():
        name = split.submission_file
        for source, archive in archives:
            if archive.problems.get(name, MISSING) != MISSING:
                raise InputError(f"{name}: {archive.problems[name]}", path=source, code="unreadable")
        present = [name in archive.files for _, archive in archives]
        if all(present):
            result.append(_compare(task, name, archives))
        elif any(present):
            result.append(FileDifference(name, only_in="AB"[present.index(True)]))
    for source, archive in archives:
        if not archive.files:
            message = f"no submission files in it; python -m submission.check {source} says more"
            raise InputError(message, path=source, code="missing")
    return result


def _compare(task: Task, name: str, archives: Sequence[tuple[str, Archive]]) -> FileDifference:
    first, second = (_predictions(task, name, source, archive) for source, archive in archives)
    if len(first) != len(second):
        message = f"{name} has {len(second)} rows, but {len(first)} in {archives[0][0]}"
        raise InputError(message, path=archives[1][0], code="rows")
    pairs = list(zip(first, second, strict=True))
    if task.is_regression:
        distances = [abs(float(before) - float(after)) for before, after in pairs]
        changed, mean = sum(distance > 0 for distance in distances), sum(distances) / len(pairs)
        return FileDifference(name, "", len(pairs), changed, (), mean, max(distances))
    counts = Counter((before, after) for before, after in pairs if before != after)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    transitions = tuple((before, after, count) for (before, after), count in ordered)
    return FileDifference(name, "", len(pairs), sum(counts.values()), transitions)


def _predictions(task: Task, name: str, path: str, archive: Archive) -> list[str]:
    content = archive.files[name]
    rows = content.count(b"\n") - 1 + (not content.endswith(b"\n"))
    file = parse_predictions(content, Form(task.labels, task.target_range), max(rows, 1))
    if file.problems:
        problem = file.problems[0]
        raise InputError(f"{name}:{problem.line}: {problem}", path=path, code=problem.kind)
    return file.predictions


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m submission.diff", description=__doc__)
    for name in ("a", "b"):
        parser.add_argument(name, type=path, metavar=name.upper(), help="zip or folder")
    parser.add_switch("--json", help="print one JSON object instead of lines, with every change by itself")
    add_format(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    files = differences(args.a, args.b)
    if args.json:
        print(json.dumps({"a": args.a, "b": args.b, "files": [vars(each) for each in files]}, indent=2))
    elif args.format != "text":
        rows = [{"file": f.name, "rows": f.rows, "changed": f.changed, "remarks": f.remarks} for f in files]
        print(render_rows(rows, args.format))
    else:
        print("\n".join(difference.line() for difference in files))


if __name__ == "__main__":
    run(main)
