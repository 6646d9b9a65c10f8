"""How many predictions differ between two hand-ins, file by file.

Example:
  python -m submission.diff before.zip after.zip

Either may be a zip or a folder. A line a file: rows, how many changed, and from what to what (numbers:
how far on average and at most).
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.command_line import CommandParser, path, run
from common.errors import InputError
from glue.tasks import Task, submission_files
from metrics.prediction_file import Form, parse_predictions
from submission.archive_reader import MISSING, Contents, read_contents
from submission.check import size_limits

_SHOWN = 4


@dataclass(frozen=True)
class FileDifference:
    """Two versions of a hand-in file. only_in: ``A`` or ``B`` where the other has none, else empty.

    transitions: (label in A, in B) → rows. mean, most: of the absolute change of numbers, over all rows.
    """

    name: str
    only_in: str = ""
    rows: int = 0
    changed: int = 0
    transitions: tuple[tuple[str, str, int], ...] = ()
    mean: float | None = None
    most: float | None = None

    def line(self) -> str:
        """One line for people."""
        if self.only_in:
            return f"{self.name:<11}  only in {self.only_in}"
        share = f"{self.changed / self.rows:7.2%}"
        text = f"{self.name:<11}  {self.rows:>7} rows  {self.changed:>7} changed  {share}"
        if self.mean is not None:
            return f"{text}  by {self.mean:.4f} on average, {self.most:.4f} at most"
        found = [f"{a} → {b} {count}" for a, b, count in self.transitions[:_SHOWN]]
        return f"{text}  {', '.join(found)}{', …' if len(self.transitions) > _SHOWN else ''}".rstrip()


def differences(a: str, b: str) -> list[FileDifference]:
    """A difference for every hand-in file that either has, in the table's order.

    InputError for a file that cannot be read or is not as it should be, and for two of unequal row counts.
    """
    contents = [(place, read_contents(place, size_limits())) for place in (a, b)]
    found = []
    for task, split in submission_files():
        name = split.submission_file
        for place, content in contents:
            if content.faults.get(name, MISSING) != MISSING:
                raise InputError(f"{place}: {name}: {content.faults[name]}")
        there = [name in content.raw for _, content in contents]
        if all(there):
            found.append(_compare(task, name, contents))
        elif any(there):
            found.append(FileDifference(name, only_in="AB"[there.index(True)]))
    for place, content in contents:
        if not content.raw:
            raise InputError(f"{place}: no hand-in files in it; python -m submission.check {place} says more")
    return found


def _compare(task: Task, name: str, contents: Sequence[tuple[str, Contents]]) -> FileDifference:
    first, second = (_predictions(task, name, path, content) for path, content in contents)
    if len(first) != len(second):
        raise InputError(
            f"{contents[1][0]}: {name} has {len(second)} rows, but {len(first)} in {contents[0][0]}"
        )
    if task.is_regression:
        apart = [abs(float(a) - float(b)) for a, b in zip(first, second, strict=True)]
        changed = sum(distance > 0 for distance in apart)
        return FileDifference(name, "", len(first), changed, (), sum(apart) / len(apart), max(apart))
    pairs = Counter((a, b) for a, b in zip(first, second, strict=True) if a != b)
    transitions = tuple((a, b, count) for (a, b), count in sorted(pairs.items(), key=lambda p: (-p[1], p[0])))
    return FileDifference(name, "", len(first), sum(pairs.values()), transitions)


def _predictions(task: Task, name: str, path: str, content: Contents) -> list[str]:
    raw = content.raw[name]
    rows = raw.count(b"\n") - 1 + (not raw.endswith(b"\n"))
    file = parse_predictions(raw, Form(task.labels, task.target_range), max(rows, 1))
    if file.faults:
        raise InputError(f"{path}: {name}:{file.faults[0].line}: {file.faults[0]}")
    return file.predictions


def _as_json(difference: FileDifference) -> dict[str, Any]:
    return {**vars(difference), "transitions": [list(entry) for entry in difference.transitions]}


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m submission.diff", description=__doc__)
    parser.add_argument("a", type=path, metavar="A", help="zip or folder")
    parser.add_argument("b", type=path, metavar="B", help="zip or folder")
    parser.add_switch("--json", help="print one JSON object instead of lines")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    found = differences(args.a, args.b)
    if args.json:
        print(json.dumps({"a": args.a, "b": args.b, "files": [_as_json(each) for each in found]}, indent=2))
    else:
        print("\n".join(difference.line() for difference in found))


if __name__ == "__main__":
    run(main)
