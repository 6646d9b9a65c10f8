"""Pre-train a network on plain text.

Examples, by replaced-token detection, and a small ConvBERT that learns from a larger network:
  python -m pretraining.run_pretrain --model_name_or_path convbert-small \\
      --input_dir corpus --output_dir runs/small
  python -m pretraining.run_pretrain --objective distill --teacher my-bert \\
      --model_name_or_path convbert-mini --input_dir corpus --output_dir runs/mini

--input_dir holds train.data: UTF-8, one passage a line, a blank line between documents; two texts with a
TAB between them are a pair.
Leaves in --output_dir: args.json, train.log, history.jsonl, scores.json; best/, a model folder that
glue.run_glue and squad.run_squad take; last/, all that resuming needs.
Precedence of the settings: flag, --config file, what the objective sets, default.
"""

import sys

if not __package__:  # started by path: import from this clone
    sys.path[0] = sys.path[0].rpartition("/")[0]

import argparse
from collections.abc import Sequence
from typing import Any

from common.command_line import CommandParser, path, run
from common.dispatch import dispatch
from common.errors import UsageError
from common.flags import add_device, add_lower_case
from pretraining.config import OBJECTIVES, PretrainingConfig, preset_lines, refuse_foreign
from training.flags import add_config_flags, add_output_flags, add_training_flags, parse_flags


def make_parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m pretraining.run_pretrain", description=__doc__, epilog="\n".join(preset_lines())
    )
    _add_sources(parser)
    parser.add_argument(
        "--objective",
        choices=tuple(OBJECTIVES),
        default="rtd",
        help="rtd: tell which tokens a small generator replaced; distill: match --teacher's hidden states "
        "and the geometry of its sentences (default: rtd)",
    )
    add_output_flags(parser)
    add_device(parser)
    add_config_flags(parser)
    add_training_flags(parser, PretrainingConfig)
    for name, config in OBJECTIVES.items():
        add_training_flags(parser, config, f"settings of --objective {name}", without=PretrainingConfig)
    parser.add_argument(
        "--train_batch_size",
        dest="batch_size",
        type=int,
        default=argparse.SUPPRESS,
        metavar="INT",
        help="the same as --batch_size: examples of --max_seq_length; of shorter ones a batch holds more",
    )
    return parser


def _add_sources(parser: CommandParser) -> None:
    parser.add_argument("--input_dir", required=True, type=path, metavar="DIR", help="folder of train.data")
    parser.add_argument(
        "--model_name_or_path",
        required=True,
        type=path,
        metavar="NAME_OR_FOLDER",
        help="the network: convbert-small, -medium-small, -base or -mini, electra-mini, or a model folder or "
        "published model, whose configuration and vocabulary are taken; its weights with --init_from_ckpt",
    )
    parser.add_argument(
        "--init_from_ckpt",
        nargs="?",
        const="true",
        default="",
        metavar="NAME_OR_FOLDER",
        help="begin with a model's weights instead of random ones; bare or 'true': with those of "
        "--model_name_or_path",
    )
    parser.add_argument(
        "--tokenizer",
        default="",
        metavar="NAME_OR_FOLDER",
        help="the vocabulary of a network given by name (default: the teacher's, that of --init_from_ckpt, "
        "or BERT's uncased one, which comes with convbert-mini)",
    )
    add_lower_case(parser)
    parser.add_argument(
        "--teacher", default="", metavar="NAME_OR_FOLDER", help="distill: a model with weights"
    )
    parser.add_argument(
        "--embeddings",
        choices=("teacher", "random"),
        help="distill: what the embeddings begin with; teacher: the principal components of the teacher's "
        "(default: teacher)",
    )


def main(argv: Sequence[str] | None = None) -> None:
    flags = parse_flags(make_parser(), argv, lambda run: run["task_name"] in OBJECTIVES)
    _check_usage(vars(flags))
    dispatch("pretraining.pre_training:train", flags).print_outcome(part="encoder")


def _check_usage(given: dict[str, Any]) -> None:
    """UsageError for flags that contradict one another, or that the objective would not heed."""
    refuse_foreign(given["objective"], given)
    if given["objective"] == "distill" and not given["teacher"]:
        raise UsageError("--objective distill: name the --teacher's model folder")
    for name in ("teacher", "embeddings"):
        if given["objective"] != "distill" and given[name]:
            raise UsageError(f"--{name}: goes with --objective distill, this is {given['objective']}")
    if given["embeddings"] and given["init_from_ckpt"]:
        raise UsageError("--embeddings: with --init_from_ckpt they are those of the weights")


if __name__ == "__main__":
    run(main)
