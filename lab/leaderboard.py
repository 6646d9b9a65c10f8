"""Turn hours into the best submission: measure, plan, train, join, pack, check, verify, report.

Examples:
  python -m lab.leaderboard --model convbert-mini --hours 2 --data_dir glue_data --output submission.zip
  python -m lab.leaderboard --model YituTech/conv-bert-base --hours 40 --device gpu --output submission.zip

Measures a few steps of each task, then plans: as long as time permits each task is trained once, with a part
of its recipe's epochs if need be; what is left goes to longer runs and to further seeds, wherever they
promise most. RTE, MRPC and STS-B begin with the MNLI model if it is trained. Every run that ends says how
fast this machine really is, and the rest is planned anew. At the end the runs are joined as by lab.submit,
and the zip is predicted again from its checkpoints and compared (submission.verify).

May be stopped, or killed, at any moment: the same command goes on. Only the time at work counts. More --hours
than before go on too. When the time is up, what still trains is stopped; tasks that got no run are filled
with their most frequent label, and named. WNLI is all 0, as in lab.submit.

Writes FILE.zip with FILE.manifest.json, FILE.form.txt, FILE.predictions and FILE.report.html; and below
--runs the runs, plan.yaml (which lab.sweep and lab.submit read) and leaderboard.json (seconds and speeds).
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from common.command_line import CommandParser, count, path, run
from common.dispatch import dispatch
from common.errors import UsageError
from common.flags import add_device
from glue.arguments import add_data_dir
from glue.config import PRESETS

_MAX_HOURS = 24 * 366


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.leaderboard", description=__doc__)
    parser.add_argument(
        "--model", required=True, type=path, metavar="NAME", help="a model folder, or a published name"
    )
    parser.add_argument(
        "--hours", required=True, type=_hours, metavar="N", help="how long it may take, such as 0.5 or 40"
    )
    parser.add_argument("--output", required=True, type=path, metavar="FILE.zip", help="the zip to write")
    add_data_dir(parser)
    help_text = "folder of the runs (default: FILE.runs beside the zip)"
    parser.add_argument("--runs", type=path, metavar="DIR", help=help_text)
    help_text = "runs at a time, each with its share of the cores, or with its GPU (default: 1)"
    parser.add_argument("--workers", type=count, default=1, metavar="K", help=help_text)
    help_text = "whose recipe (default: as in glue.run_glue)"
    parser.add_argument("--preset", choices=tuple(PRESETS), default="", help=help_text)
    add_device(parser)
    return parser


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0 < hours <= _MAX_HOURS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours above 0 and up to a year")
    return hours


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if Path(flags.output).suffix.lower() != ".zip":
        raise UsageError(f"--output {flags.output}: give a name that ends in .zip")
    dispatch("lab.leaderboard_run:lead", flags)


if __name__ == "__main__":
    run(main)
