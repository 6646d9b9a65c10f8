"""Fine-tune a model on a GLUE task.

Example:
  python -m glue.run_glue --task_name rte --model_name_or_path my-convbert-base \\
      --data_dir glue_data --output_dir runs/rte

Leaves in --output_dir: args.json, train.log, history.jsonl, scores.json, best/ and last/ (model folders).
Precedence of the settings: flag, --config file, preset of model size and task, default.
"""

import sys

if not __package__:  # started by path: import from this clone
    sys.path[0] = sys.path[0].rpartition("/")[0]

from argparse import Namespace
from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING

from common.command_line import CommandParser, path, run
from common.dispatch import dispatch
from glue.arguments import add_common, add_task
from glue.config import PRESETS, GlueTrainingConfig, preset_lines
from glue.runs import task_of_run
from glue.tasks import TASKS
from training.flags import (
    FLAGS_ELSEWHERE,
    add_output_flags,
    add_run_flags,
    add_training_flags,
    parse_flags,
)

if TYPE_CHECKING:
    from training.run_result import RunResult


def make_parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m glue.run_glue", description=__doc__, epilog="\n".join(preset_lines())
    )
    parser.elsewhere = {
        **FLAGS_ELSEWHERE,
        "--do_train": "not needed",
        "--do_predict": "python -m glue.run_predict",
        **dict.fromkeys(("--train_file", "--validation_file", "--test_file"), "in the file of --task_file"),
    }
    add_task(parser)
    parser.add_argument(
        "--model_name_or_path",
        required=True,
        type=path,
        metavar="NAME_OR_FOLDER",
        help="a model folder (config.json, model.safetensors, vocab.txt or tokenizer.json; PyTorch's and "
        "PaddleNLP's files are read too), or the name of a published model, such as YituTech/conv-bert-base "
        "or convbert-base",
    )
    add_output_flags(parser)
    add_common(parser)
    add_run_flags(parser, PRESETS)
    add_training_flags(parser, GlueTrainingConfig, presets=PRESETS)
    return parser


def parse(parser: CommandParser, argv: Sequence[str] | None) -> Namespace:
    """The flags of a command line; those that ``--resume`` goes without are as the run was begun."""
    return parse_flags(parser, argv, lambda run: task_of_run(run) is not None)


def train(parser: CommandParser, argv: Sequence[str] | None) -> "RunResult":
    """Fine-tune as a command line says."""
    return dispatch("glue.fine_tuning:train", parse(parser, argv))


def main(argv: Sequence[str] | None = None) -> None:
    flags = parse(make_parser(), argv)
    trained = dispatch("glue.fine_tuning:train", flags)
    task = f"--task_name {trained.task}"
    if trained.task not in TASKS:
        task = f"--task_file {quote(flags.task_file) if flags.task_file else '…'}"
    data = f"--data_dir {quote(flags.data_dir)} " if flags.data_dir else ""
    best = quote(f"{trained.folder}/best")
    trained.print_outcome(
        following=f"python -m glue.run_predict {task} --ckpt_path {best} {data}--output_dir predictions"
    )


if __name__ == "__main__":
    run(main)
