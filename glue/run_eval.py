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
from common.machine_flags import set_workers
from glue.arguments import add_checkpoint, add_common, add_task, data_folder
from glue.tasks import task_named


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m glue.run_eval", description=__doc__)
    add_task(parser)
    add_checkpoint(parser)
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    set_workers(flags.num_workers)
    from checkpoints.validation import model_folder
    from encoders import distributed
    from encoders.framework import select_device
    from glue.checkpoint import Checkpoint
    from glue.scoring import dev_scores, predict_splits

    task = task_named(flags.task_name)
    select_device(flags.device)
    distributed.init()
    folder, data = model_folder(flags.ckpt_path), data_folder(flags.data_dir)
    checkpoint = Checkpoint(folder, task, flags.label_map, flags.do_lower_case)
    predictions = predict_splits(
        checkpoint,
        "dev",
        data,
        max_length=flags.max_seq_length,
        batch_size=flags.batch_size,
        engine=flags.engine,
        device=flags.device,
    )
    if distributed.is_first():
        print(json.dumps(dev_scores(task, checkpoint.config, predictions)))


if __name__ == "__main__":
    run(main)
