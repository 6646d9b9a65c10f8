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
from typing import TYPE_CHECKING

from common.command_line import CommandParser, path, run
from common.errors import InputError
from common.messages import say
from common.tables import add_format, render

if TYPE_CHECKING:
    from pandas import DataFrame

_SCORES = ["best", "median", "mean", "deviation"]


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.selection", description=__doc__)
    parser.add_argument("runs", type=path, metavar="RUNS_DIR", help="the --runs folder of lab.sweep")
    help_text = "print differences to this configuration too (its name without TASK/)"
    parser.add_argument("--against", metavar="NAME", help=help_text)
    add_format(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    from lab.results import trials_table
    from lab.trial_store import read_results

    results = read_results(flags.runs)
    if not results:
        raise InputError("no trials of a sweep; python -m lab.sweep makes some", path=flags.runs)
    trials = trials_table(results)
    if flags.against is None:
        print_summary(trials, flags.format)
        return
    from lab.significance import compare_configurations

    compared = compare_configurations(trials, flags.against)
    if flags.format not in ("csv", "json"):
        print_summary(trials, flags.format)
        print()
    for key in ("mean", "low", "high"):
        compared[key] *= 100
    compared = compared.rename(columns={"configuration": f"minus {flags.against}"})
    print(render(compared, flags.format, {"mean": "+.2f", "low": "+.2f", "high": "+.2f", "p": ".3f"}))
    for task in trials["task"].unique():
        if task not in set(compared["task"]):
            say(f"{task}: nothing to compare with {flags.against}")


def print_summary(trials: "DataFrame", form: str = "text") -> None:
    """Print a row for each configuration, scores in percent; on stderr what to know of them."""
    from lab.results import summarise
    from lab.trial_store import STOPPED

    summary = summarise(trials)
    is_best = summary["best"] == summary.groupby("task")["best"].transform("max")
    table = summary.drop(columns=["task", "models"])
    table[_SCORES] *= 100
    table.insert(3, "best of task", is_best.map({True: "*", False: ""}))
    print(render(table, form))
    if ((summary["runs"] > 0) & (summary[STOPPED] > 0)).any():
        say("note: trials that were stopped early were below the median: without them the others flatter")
    for name, models in zip(summary["configuration"], summary["models"], strict=True):
        if models > 1:
            began = f"its runs began with {models} models"
            say(f"note: {name}: {began}, whose differences the deviation includes")


if __name__ == "__main__":
    run(main)
