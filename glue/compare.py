"""Is system A better than system B? Difference of their dev scores, interval, and p.

Prints one JSON object: for every score of the task and for main, the values of A and B, the
difference A - B, its 95 % interval and a two-sided p, all as fractions of 1.

Method: paired bootstrap over the rows of the gold file (Koehn 2004, Statistical Significance Tests
for Machine Translation Evaluation). The interval runs from the 2.5th to the 97.5th percentile of the
resampled differences. p is the share of resamples whose difference lies at least as far from A - B
as A - B lies from 0, that is: at 0 or beyond, or as far out on the other side (the shift to the null
hypothesis of Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 16), with one added
above and below the fraction line. Riezler & Maxwell 2005 and sacreBLEU shift by the mean of the
resampled differences instead; on a few dozen rows its noise decides how ties at 0 count, so not here.
For tasks with labels there is also McNemar's test (McNemar 1947, Psychometrika 12; the exact form) of
accuracy: of the rows that only one of the two has right, over all dev files, would half be A's?
Both speak of these checkpoints on other rows of the same kind, not of other training seeds.
"""

import argparse
from collections.abc import Sequence

from common.command_line import CommandParser, count, count_or_0, run
from common.dispatch import dispatch
from glue.arguments import add_task
from glue.score import FILES

_FEWEST, _MOST = 100, 1_000_000  # resamples; the most leave p uncertain by some 0.0002 at 0.05


def _resamples(text: str) -> int:
    number = count(text, _FEWEST)
    if number > _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {_MOST}; more would not tell more")
    return number


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m glue.compare", description=__doc__)
    add_task(parser)
    parser.add_argument("--a", **FILES, help="predictions of A")
    parser.add_argument("--b", **FILES, help="predictions of B")
    parser.add_argument("--gold", **FILES, help="official dev file")
    parser.add_argument(
        "--resamples",
        type=_resamples,
        default=10_000,
        metavar="N",
        help=f"how many resamples, {_FEWEST} to {_MOST} (default 10000)",
    )
    parser.add_argument(
        "--seed", type=count_or_0, default=42, metavar="N", help="of the resampling (default 42)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    dispatch("glue.file_scoring:compare", make_parser().parse_args(argv))


if __name__ == "__main__":
    run(main)
