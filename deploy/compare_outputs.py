"""Are these files of answers the same? Each is compared with the first, number by number.

Example:
  python -m deploy.compare_outputs dynamic.jsonl paddle.jsonl onnx.jsonl served.jsonl

The files are what deploy.predict, deploy.infer and deploy.client wrote. A number may differ by --tolerance,
beyond 1 by that part of it; everything else must be equal, but where two labels are equally likely to within
the tolerance either may be the answer. The first difference is named, and exit is 1.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from common.command_line import CommandParser, path, run, tolerance
from common.errors import InputError
from common.json_files import read_json_lines
from inference.limits import NEAR_TIE


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m deploy.compare_outputs", description=__doc__)
    parser.add_argument("first", type=path, metavar="FILE.jsonl", help="what the others are compared with")
    parser.add_argument("others", type=path, metavar="FILE.jsonl", nargs="+")
    parser.add_argument(
        "--tolerance", type=tolerance, default=NEAR_TIE, metavar="X", help=f"(default: {NEAR_TIE:g})"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    for other in flags.others:
        rows, largest = compare(flags.first, other, flags.tolerance)
        print(f"{other}: {rows} rows as in {flags.first}; largest difference {largest:.1e}")


def compare(first: str, other: str, tolerance: float) -> tuple[int, float]:
    """How many rows both files have, and the largest difference; InputError names one that is too large."""
    rows, largest = 0, 0.0
    for rows, (left, right) in enumerate(
        itertools.zip_longest(read_json_lines(first), read_json_lines(other)), 1
    ):
        if left is None or right is None:
            raise InputError(f"{other}:{rows}: one file has fewer rows than the other, {first}")
        wanted, found = _both(left, right, tolerance)
        if wanted.keys() != found.keys():
            keys = ", ".join(sorted(wanted.keys() ^ found.keys()))
            raise InputError(f"{other}:{rows}: only one file has {keys}; the other is {first}")
        for name, value in wanted.items():
            difference = _difference(value, found[name])
            if not difference <= tolerance:
                raise InputError(f"{other}:{rows}: {name} is {found[name]!r}, in {first} {value!r}")
            largest = max(largest, difference)
    if not rows:
        raise InputError(f"{first}: has no rows to compare")
    return rows, largest


def difference_of(left: dict[str, Any], right: dict[str, Any], tolerance: float = NEAR_TIE) -> float:
    """The largest difference of any number in two answers; infinite where anything else differs.

    Labels may differ that are equally likely to within the tolerance.
    """
    wanted, found = _both(left, right, tolerance)
    if wanted.keys() != found.keys():
        return math.inf
    return max((_difference(value, found[name]) for name, value in wanted.items()), default=0.0)


def _both(left: Any, right: Any, tolerance: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two answers without levels, and without their labels where these are nearly tied."""
    wanted, found = dict(_flat("", left)), dict(_flat("", right))
    labels = [answer.get("label") for answer in (wanted, found)]
    first, second = (wanted.get(f"probabilities.{label}") for label in labels)
    if isinstance(first, float) and isinstance(second, float) and 0 < first - second <= 2 * tolerance:
        for answer in (wanted, found):
            answer.pop("label", None)
            answer.pop("label_id", None)
    return wanted, found


def _difference(left: Any, right: Any) -> float:
    if isinstance(left, float) and isinstance(right, float):
        return abs(left - right) / max(1.0, abs(left))
    return 0.0 if left == right else math.inf


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), inner)
    else:
        yield name, value


if __name__ == "__main__":
    run(main)
