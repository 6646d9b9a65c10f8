"""Print what came of a sweep: best, median, mean and deviation of each configuration, and failed trials.

Examples:
  python -m lab.selection runs
  python -m lab.selection runs --against mini     # does what the grid varies help, or is it chance?

Scores are the best dev scores (main) of the runs, in percent; the deviation is that of a sample (n - 1). The
score of the best of many runs is partly luck, against which lab.ensemble guards.

With --against: the scores of each configuration minus those of NAME for the same task and seed: their mean
with its 95 % interval (Student's t), within each task and over all tasks. "better" and "worse" stand where p,
after Holm's correction for the number of lines, is below 0.05. As CSV and JSON only this table is printed.
"""

from collections.abc import Sequence

from common.command_line import CommandParser, path, run
from common.dispatch import dispatch
from common.tables import add_format


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.selection", description=__doc__)
    parser.add_argument("runs", type=path, metavar="RUNS_DIR", help="the --runs folder of lab.sweep")
    help_text = "print differences to this configuration too (its name without TASK/)"
    parser.add_argument("--against", metavar="NAME", help=help_text)
    add_format(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    dispatch("lab.significance:print_results", make_parser().parse_args(argv))


if __name__ == "__main__":
    run(main)
