"""Score a fine-tuned checkpoint on a task's dev set, or on a test file of your own; prints one JSON object.

Example:
  python -m glue.run_eval --task_name rte --ckpt_path runs/rte/best --data_dir glue_data
"""

import sys

if not __package__:  # started by path: import from this clone
    sys.path[0] = sys.path[0].rpartition("/")[0]

from collections.abc import Sequence

from common.command_line import CommandParser, run
from common.dispatch import dispatch
from glue.arguments import add_checkpoint, add_common, add_task


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m glue.run_eval", description=__doc__)
    add_task(parser)
    add_checkpoint(parser)
    add_common(parser)
    parser.add_argument(
        "--split",
        choices=("dev", "test"),
        default="dev",
        help="test: the labelled test file of a --task_file; the benchmark's are withheld (default: dev)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    dispatch("glue.answering:print_scores", make_parser().parse_args(argv))


if __name__ == "__main__":
    run(main)
