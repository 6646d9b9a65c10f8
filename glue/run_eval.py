"""Score a fine-tuned checkpoint on a task's dev set; prints one JSON object.

Example:
  python -m glue.run_eval --task_name rte --ckpt_path runs/rte/best --data_dir glue_data
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import json
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


def main(argv: Sequence[str] | None = None) -> None:
    checkpoint, splits, predictions = predict(make_parser().parse_args(argv), "dev")
    from encoders import distributed
    from glue.scoring import dev_scores

    if distributed.is_first():
        print(json.dumps(dev_scores(checkpoint.config, splits, predictions)))


if __name__ == "__main__":
    run(main)
