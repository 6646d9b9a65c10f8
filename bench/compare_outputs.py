"""Are these files of answers the same? Each is compared with the first, number by number.

Example:
  python -m bench.compare_outputs dynamic.jsonl paddle.jsonl onnx.jsonl served.jsonl

The files are what deploy.predict, deploy.infer and deploy.client wrote. A number may differ by --tolerance,
beyond 1 by that part of it; everything else must be equal, but where two labels are equally likely to within
the tolerance either may be the answer. The first difference is named, and exit is 1.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from common.command_line import CommandParser, path, run, tolerance
from common.errors import InputError
from common.json_files import read_json_lines
from inference.limits import NEAR_TIE


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m bench.compare_outputs", description=__doc__)
    parser.add_argument("first", type=path, metavar="FILE.jsonl", help="what the others are compared with")
    parser.add_argument("others", type=path, metavar="FILE.jsonl", nargs="+")
    add_tolerance(parser)
    return parser


def add_tolerance(parser: CommandParser) -> None:
    """--tolerance, which bench.load_test has too."""
    parser.add_argument(
        "--tolerance", type=tolerance, default=NEAR_TIE, metavar="X", help=f"(default: {NEAR_TIE:g})"
    )


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    for other in flags.others:
        rows, largest = compare(flags.first, other, flags.tolerance)
        print(f"{other}: {rows} rows as in {flags.first}; largest difference {largest:.1e}")


def compare(first: str, other: str, tolerance: float) -> tuple[int, float]:
    """How many rows both files have, and the largest difference; InputError names one that is too large."""
    rows, largest = 0, 0.0
    pairs = itertools.zip_longest(read_json_lines(first), read_json_lines(other))
    for rows, (left, right) in enumerate(pairs, 1):
        if left is None or right is None:
            raise InputError(f"one file has fewer rows than the other, {first}", path=other, line=rows)
        for name, expected, value, difference in differences(left, right, tolerance):
            if not difference <= tolerance:
                reason = f"{name} is {value!r}, in {first} {expected!r}"
                raise InputError(reason, path=other, line=rows)
            largest = max(largest, difference)
    if not rows:
        raise InputError("has no rows to compare", path=first)
    return rows, largest


def largest_difference(expected: dict[str, Any], answer: dict[str, Any], tolerance: float) -> float:
    """The largest difference of any number in two answers; infinite if anything else differs."""
    return max((difference for *_, difference in differences(expected, answer, tolerance)), default=0.0)


def differences(left: Any, right: Any, tolerance: float) -> Iterator[tuple[str, Any, Any, float]]:
    """Of every field of two answers: name, both values, and how far apart they are; a missing one is None.

    Labels are left out that are equally likely to within the tolerance.
    """
    expected, answer = dict(_flat("", left)), dict(_flat("", right))
    labels = [values.get("label") for values in (expected, answer)]
    first, second = (expected.get(f"probabilities.{label}") for label in labels)
    if isinstance(first, float) and isinstance(second, float) and 0 < first - second <= 2 * tolerance:
        for values in (expected, answer):
            values.pop("label", None)
            values.pop("label_id", None)
    for name in {**expected, **answer}:
        pair = expected.get(name), answer.get(name)
        yield name, *pair, _difference(*pair) if name in expected and name in answer else math.inf


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
