"""Combine a task's best runs, and write their predictions of the dev and the test split as submission files.

Example:
  python -m lab.ensemble --runs runs --task_name rte --data_dir glue_data --output_dir ensemble

Cross-validation on the dev rows decides how many runs are combined, whether by mean logits or by votes, and
whether with a threshold learned on them. A single run is taken unless something beats it there. Prints one
JSON object: the members, their dev scores (too high: the choice was made on them), and the expected scores
(cross-validated, the choice included; but the best step of each run was chosen on all rows). Writes DIR/dev
and DIR/test: the task's files with their .npz.
"""

from collections.abc import Sequence

from common.command_line import CommandParser, count, path, run
from common.dispatch import dispatch
from glue.arguments import add_data_dir, add_task
from lab.plan import ENSEMBLE_SIZE, METHODS, NETWORK_METHODS


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.ensemble", description=__doc__)
    add_task(parser)
    parser.add_argument("--runs", required=True, type=path, metavar="DIR", help="--runs of lab.sweep")
    parser.add_argument("--output_dir", required=True, type=path, metavar="DIR", help="folder for the files")
    add_data_dir(parser)
    parser.add_argument(
        "--size", type=count, default=ENSEMBLE_SIZE, metavar="K", help="runs at most (default: 5)"
    )
    parser.add_argument(
        "--methods", nargs="+", choices=(*METHODS, *NETWORK_METHODS), default=METHODS, metavar="METHOD",
        help="mean: of the logits; vote: of the labels; threshold: where to cut between the labels of CoLA, "
        "MRPC and QQP (default: these three are tried); soup: the mean of the weights of runs that share the "
        "start and --head_seed; orders: both orders of the pairs of MRPC, STS-B and QQP; "
        "saves: the mean of each run's last saves, of runs with --mean_of_saves",
    )  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    dispatch("lab.ensemble_io:write_ensemble", make_parser().parse_args(argv))


if __name__ == "__main__":
    run(main)
