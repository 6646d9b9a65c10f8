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

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.command_line import CommandParser, path, run
from common.errors import UsageError
from common.flags import set_workers
from common.messages import say
from glue.arguments import add_checkpoint, add_common, add_task, chosen_task, data_folder

if TYPE_CHECKING:
    from glue.features import SplitFeatures
    from glue.predictions import SplitPredictions
    from glue.task_model import TaskModel


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


def predict(flags: Namespace, kind: str) -> "tuple[TaskModel, list[SplitFeatures], list[SplitPredictions]]":
    """What a command's flags ask for: the checkpoint, the task's files of a kind, and their predictions."""
    set_workers(flags.num_workers)
    from checkpoints.registry import model_folder
    from encoders import distributed
    from encoders.framework import select_device
    from glue.scoring import load_splits, predict_splits
    from glue.task_model import TaskModel

    select_device(flags.device)
    distributed.init()
    task = chosen_task(flags)
    folder, data = model_folder(flags.ckpt_path), data_folder(flags.data_dir, task)
    checkpoint = TaskModel(folder, task, flags.label_map, flags.do_lower_case)
    splits = load_splits(checkpoint, kind, data, flags.max_seq_length)
    return (
        checkpoint,
        splits,
        predict_splits(checkpoint, splits, flags.batch_size, flags.engine, flags.device),
    )


def predict_files(flags: Namespace) -> "dict[Path, SplitPredictions]":
    """Predict what a command's flags ask for, and write it → each file and its predictions."""
    target = Path(flags.output_dir or _default_folder(flags.ckpt_path) / flags.split)
    checkpoint, splits, predictions = predict(flags, flags.split)
    from encoders import distributed
    from glue.predictions import write_predictions

    digest = checkpoint.digest()
    parts = {target / part.split.submission_file: part.made_by(digest) for part in predictions}
    if not distributed.is_first():
        return parts
    write_predictions(target, list(parts.values()))
    predicted = [split.split for split in splits]
    for split in checkpoint.task.of_kind(flags.split):
        if split not in predicted and (target / split.submission_file).is_file():
            say(f"warning: {target / split.submission_file}: is of an earlier prediction")
    return parts


def main(argv: Sequence[str] | None = None) -> None:
    parts = predict_files(make_parser().parse_args(argv))
    from encoders import distributed

    for file, part in parts.items() if distributed.is_first() else ():
        print(f"{file}: {len(part.values)} rows")


def _default_folder(ckpt_path: str) -> Path:
    """The folder of predictions where no other is named."""
    from checkpoints.registry import model_folder
    from inference.exported import is_exported

    folder = model_folder(ckpt_path)
    if is_exported(folder):  # the next export to this folder would remove them
        raise UsageError(f"--ckpt_path {folder}: is an exported folder; name the --output_dir")
    parent = folder.resolve().parent
    # best/ of a run is replaced by a better one
    return (parent if (parent / "args.json").is_file() else folder) / "predictions"


if __name__ == "__main__":
    run(main)
