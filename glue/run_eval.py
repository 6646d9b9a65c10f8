"""Score a fine-tuned checkpoint on a task's dev set; prints one JSON object.

Example:
  python -m glue.run_eval --task_name rte --ckpt_path runs/rte/best --data_dir glue_data
"""

import sys

if not __package__:  # started by path: import from this clone
    sys.path[0] = sys.path[0].rpartition("/")[0]

import json
from argparse import Namespace
from collections.abc import Sequence

from common.command_line import CommandParser, run
from glue.arguments import add_checkpoint, add_common, add_task
from glue.run_predict import predict


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m glue.run_eval", description=__doc__)
    add_task(parser)
    add_checkpoint(parser)
    add_common(parser)
    return parser


def evaluate(flags: Namespace) -> dict[str, float]:
    """The dev scores of the model that a command's flags name."""
    checkpoint, splits, predictions = predict(flags, "dev")
    from glue.scoring import dev_scores

    return dev_scores(checkpoint.config, splits, predictions)


def main(argv: Sequence[str] | None = None) -> None:
    scores = evaluate(make_parser().parse_args(argv))
    from encoders import distributed

    if distributed.is_first():
        print(json.dumps(scores))


if __name__ == "__main__":
    run(main)
