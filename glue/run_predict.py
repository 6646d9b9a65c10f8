"""Write the leaderboard's files from a fine-tuned checkpoint: NAME.tsv, and beside it NAME.npz.

Example:
  python -m glue.run_predict --task_name mnli --ckpt_path runs/mnli/best --data_dir glue_data \\
      --output_dir predictions

MNLI writes MNLI-m.tsv, MNLI-mm.tsv and AX.tsv; of several test files those that are there are predicted, and
the others named. STS-B's numbers are clipped to [0, 5]. Labels are those of the checkpoint's own map. The
.npz holds ``logits`` (rows × labels, float32; for a regression in the task's range), ``labels`` (in column
order), ``checkpoint_digest``, ``data_digest`` (of the file that was predicted) and ``code_version``.
"""

import sys

if not __package__:  # started by path: import from this clone
    sys.path[0] = sys.path[0].rpartition("/")[0]

from collections.abc import Sequence

from common.command_line import CommandParser, path, run
from common.dispatch import dispatch
from glue.arguments import add_checkpoint, add_common, add_task


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m glue.run_predict", description=__doc__)
    add_task(parser)
    add_checkpoint(parser)
    add_common(parser)
    parser.add_argument(
        "--output_dir",
        type=path,
        metavar="DIR",
        help="where to (default: predictions/SPLIT in the run's folder, or in the model folder of no run)",
    )
    parser.add_argument(
        "--split",
        choices=("test", "dev"),
        default="test",
        help="dev: files of the same form, for metrics.score (default: test)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    dispatch("glue.answering:print_files", make_parser().parse_args(argv))


if __name__ == "__main__":
    run(main)
