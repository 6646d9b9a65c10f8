"""Run all trials of a plan, or go on where an earlier sweep of it was stopped.

Examples:
  python -m lab.sweep --plan leaderboard --runs runs --data_dir glue_data --dry_run
  python -m lab.sweep --plan plan.yaml --runs runs --data_dir glue_data --workers 2

A plan in full:
  extends: leaderboard                 # a shipped plan, or another file; the keys below take the place of its
  checkpoints: {base: YituTech/conv-bert-base}    # or {tiny: {model: FOLDER, from_scratch: true}}
                                       # also {cased: {model: FOLDER, do_lower_case: false}}
  preset: authors                      # of glue.run_glue; so are all settings
  seeds: [42, 43]                      # without them: the preset's
  settings: {batch_size: 32}
  grid: {learning_rate: [1e-4, 5e-5]}  # every combination; or of each of several: [{}, {fgm: [1]}]
  stop_early: median                   # stop a trial that is worse half-way than most were
  ensemble: {size: 5, methods: [mean, vote, threshold]}  # for lab.submit; these are the default
  tasks:
    mnli:
    rte: {init_from: best of mnli, settings: {num_train_epochs: 10}}
    cola: {search: {trials: 20, space: {learning_rate: {low: 1e-5, high: 1e-3, log: true}}}}
    reviews: {task_file: reviews.yaml} # a task of your own, by the name in its file

A task's preset, seeds, grid or search replace those at the top ('grid: {}' is none), its settings are added
to those at the top, and 'checkpoints: [base]' selects some of those at the top. A search's space may list
choices ('batch_size: [16, 32]'); 'at_once: 2' is how many of its trials may run at the same time.

Shipped plans, and their time on two CPU cores, extrapolated from measured epochs (--dry_run measures yours):
  quick                 9 trials   1 hour     ConvBERT-small, 300 steps of each task
  reference             9 trials   3 days     ConvBERT-base, the settings of the first Paddle port
  paper                90 trials  31 days     ConvBERT-base, its authors' recipe, ten seeds
  leaderboard          64 trials  25 days     ConvBERT-base, for one best submission
  options              45 trials   2 hours    convbert-mini: which training options help?
  stability           120 trials  15 hours    convbert-mini: which recipe's runs fail?
  stability_from_mnli  43 trials  16 hours    the same, begun with MNLI models
Those of ConvBERT-base are meant for GPUs. lab.selection --against answers what options and stability ask.

Each trial is an ordinary run in RUNS/TASK/NAME that includes its dev and test predictions. NAME.trial.json
beside it records how it ended. Finished trials are not run again; a failed one is tried again by the next
sweep, and blocks only those that begin with it. Exit 1 if any failed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, count, path, run
from common.dispatch import dispatch
from common.flags import add_device
from common.python_api import make_callable, parse
from common.tables import add_format
from glue.arguments import add_data_dir

if TYPE_CHECKING:
    from pandas import DataFrame


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.sweep", description=__doc__)
    parser.add_argument(
        "--plan", required=True, type=path, metavar="PLAN",
        help="a YAML file, or the name of a shipped plan",
    )  # fmt: skip
    parser.add_argument("--runs", required=True, type=path, metavar="DIR", help="folder of the runs")
    add_data_dir(parser)
    parser.add_argument(
        "--workers", type=count, metavar="N",
        help="trials at a time, each with its share of the cores, or with its GPU (default: 1; with ray: as "
        "many as the cluster holds)",
    )  # fmt: skip
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local",
        help="local: this machine (default); ray: a Ray cluster whose machines all see the same files",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=count, default=1, metavar="N", help="with ray: cores of a trial (default: 1)"
    )
    help_text = "the cluster (default: one that runs here, else a new one)"
    parser.add_argument("--ray_address", metavar="ADDRESS", help=help_text)
    add_device(parser)
    parser.add_argument(
        "--keep", choices=("all", "best"), default="all",
        help="best: of a trial that is done, remove last/ and previous/, for the optimiser (default: all)",
    )  # fmt: skip
    add_format(parser)
    parser.add_switch("--dry_run", help="print the trials and how long they will take; run none")
    return parser


def sweep(
    plan: str | Path, runs: str | Path, data_dir: str | Path | None = None, **settings: Any
) -> "DataFrame":
    """Run all trials of a plan that are not done, as ``python -m lab.sweep`` does.

    Args:
        plan: A YAML file, or the name of a shipped plan.
        runs: The folder of the runs.
        data_dir: The folder of the official files; None: the download cache.
        **settings: Any other flag of the command, without its dashes.

    Returns:
        A row for each trial, with the columns of ``lab.results``.

    Raises:
        InputError: The plan, the data or a setting is wrong, or a trial failed: the others are done then.

    >>> import lab
    >>> table = lab.sweep("plan.yaml", runs="sweep", data_dir="glue_data")
    >>> list(zip(table["run"], table["status"]))
    [('rte/mini-seed1', 'done')]
    """
    flags = parse(make_parser(), plan=plan, runs=runs, data_dir=data_dir, **settings)
    return dispatch("lab.sweeping:sweep_plan", flags)


def main(argv: Sequence[str] | None = None) -> None:
    dispatch("lab.sweeping:sweep_plan", make_parser().parse_args(argv), is_printed=True)


make_callable(__name__, sweep)

if __name__ == "__main__":
    run(main)
