"""Write the leaderboard's files from a fine-tuned checkpoint: NAME.tsv, and beside it NAME.npz.

Example:
  python -m glue.run_predict --task_name mnli --ckpt_path runs/mnli/best --data_dir glue_data \\
      --output_dir predictions

MNLI writes MNLI-m.tsv, MNLI-mm.tsv and AX.tsv; of several test files those that are there are answered, the
others named. STS-B's numbers are clipped to [0, 5]. Labels are those of
the checkpoint's own map. The .npz holds ``logits`` (rows × labels, float32; for a regression in the
task's range), ``labels`` (in column order), ``checkpoint_digest``, and ``data_digest``: of the file answered.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import sys
from collections.abc import Sequence
from pathlib import Path

from common.command_line import CommandParser, path, run
from common.errors import UsageError
from common.machine_flags import set_workers
from common.messages import say
from glue.arguments import add_checkpoint, add_common, add_task, data_folder
from glue.tasks import task_named


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
    flags = make_parser().parse_args(argv)
    set_workers(flags.num_workers)
    from checkpoints.validation import model_folder
    from common.files import sha256_of
    from encoders import distributed
    from encoders.framework import select_device
    from glue.checkpoint import Checkpoint
    from glue.data import find_file
    from glue.predictions import Answers, write_answers
    from glue.scoring import predict_splits

    task = task_named(flags.task_name)
    select_device(flags.device)
    distributed.init()
    folder, data = model_folder(flags.ckpt_path), data_folder(flags.data_dir)
    target = Path(flags.output_dir or _place_of(folder) / flags.split)
    checkpoint = Checkpoint(folder, task, flags.label_map, flags.do_lower_case)
    predictions = predict_splits(
        checkpoint,
        flags.split,
        data,
        max_length=flags.max_seq_length,
        batch_size=flags.batch_size,
        engine=flags.engine,
        device=flags.device,
    )
    if not distributed.is_first():
        return
    write_answers(
        target,
        [
            Answers(
                part.split.split.submission_file,
                part.logits,
                part.labels,
                part.answers,
                sha256_of(find_file(data, part.split.split)),
            )
            for part in predictions
        ],
        checkpoint.digest(),
    )
    for part in predictions:
        print(f"{target / part.split.split.submission_file}: {len(part.answers)} rows")
    answered = [part.split.split for part in predictions]
    for split in task.of_kind(flags.split):
        if split not in answered and (target / split.submission_file).is_file():
            say(f"warning: {target / split.submission_file}: is of an earlier prediction")


def _place_of(folder: Path) -> Path:
    """The folder of predictions where no other is named."""
    from inference.exported import is_exported

    if is_exported(folder):  # the next export to this place would remove them
        raise UsageError(f"--ckpt_path {folder}: is an exported folder; name the --output_dir")
    in_run = (folder.resolve().parent / "args.json").is_file()  # best/ is replaced by a better one
    return (folder.resolve().parent if in_run else folder) / "predictions"


if __name__ == "__main__":
    run(main)
