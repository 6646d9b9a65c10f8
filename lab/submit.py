"""Make the leaderboard's zip from the runs of a plan: choose, combine, check, pack, record the sources.

Example:
  python -m lab.submit --runs runs --plan leaderboard --data_dir glue_data --output submission.zip

The runs of each task are combined as by lab.ensemble, five at most; a plan's "ensemble: {size: N}" says
otherwise, and with {size: 1} the best run answers alone. Runs made with other settings than the plan's, and
predictions of other files than those below --data_dir, are refused. Writes FILE.zip; FILE.manifest.json with
the runs, seeds, steps, dev scores and digests of each task and with both averages (dev: on the rows that
chose; expected: cross-validated); FILE.form.txt for the leaderboard's form; and FILE.predictions/dev and
/test.

WNLI is all 0 by default: its test set was made against its training labels, and no model trained on these
beats the constant answer.
"""

from collections.abc import Sequence
from pathlib import Path

from common.command_line import CommandParser, path, run
from common.dispatch import dispatch
from common.errors import UsageError
from common.tables import add_format
from glue.arguments import add_data_dir
from glue.tasks import TASKS

# The tasks that the paper leaves out, for the reason above: one, in the table as it is.
AGAINST_TRAINING = [task for task in TASKS.values() if not task.paper_score]


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.submit", description=__doc__)
    parser.add_argument("--runs", required=True, type=path, metavar="DIR", help="--runs of lab.sweep")
    parser.add_argument("--plan", required=True, type=path, metavar="PLAN", help="the plan that was swept")
    parser.add_argument("--output", required=True, type=path, metavar="FILE.zip", help="the zip to write")
    add_data_dir(parser)
    for task in AGAINST_TRAINING:
        parser.add_argument(
            f"--{task.name}", choices=("zeros", "trained"), default="zeros",
            help=f"{task.name}: every row {task.majority} (default), or the plan's runs as for other tasks",
        )  # fmt: skip
    parser.add_argument(
        "--fill_missing", choices=["majority"],
        help="what to answer for a task without a run that is done, or without any test file",
    )  # fmt: skip
    add_format(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if Path(flags.output).suffix.lower() != ".zip":
        raise UsageError(f"--output {flags.output}: give a name that ends in .zip")
    dispatch("lab.submitting:submit", flags)


if __name__ == "__main__":
    run(main)
