"""Write a fine-tuned model as a static graph, with all that answering needs; compared with the model first.

Example:
  python -m deploy.export --model_path runs/sst-2 --save_inference_dir exported --format onnx
  python -m deploy.export --model_path runs/sst-2 --save_inference_dir small --format onnx --int8 \\
      --data_dir glue_data

Before the folder takes its name, its answers are compared with the model's on texts of many lengths and in
several batch sizes. A difference that is more than rounding (docs/decisions.md, "Engines and export") is an
error, as is another label or span. --int8 keeps the weights of ONNX graphs in 8 bits, and prints the dev
scores before and after.
"""

import os
from collections.abc import Sequence

from common.command_line import CommandParser, path, run
from common.dispatch import dispatch
from common.errors import UsageError
from deploy.answering import add_model_path
from glue.arguments import add_task_file

MAX_INPUT_ROWS = 256  # of --input, that a graph is compared on


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m deploy.export", description=__doc__)
    add_model_path(parser)
    parser.add_argument(
        "--save_inference_dir",
        required=True,
        type=path,
        metavar="DIR",
        help="where to; must be new, empty, or an earlier export",
    )
    parser.add_argument(
        "--format", choices=("paddle", "onnx"), default="paddle", help="of the graph (default: paddle)"
    )
    parser.add_argument(
        "--input", type=path, metavar="FILE", help=f"compare on its rows too (the first {MAX_INPUT_ROWS})"
    )
    parser.add_argument("--columns", metavar="A[,B]", help="of --input, as in deploy.infer")
    parser.add_switch("--int8", help="weights in 8 bits (ONNX only)")
    parser.add_argument(
        "--data_dir",
        metavar="DIR",
        help="of --int8: official data whose dev files are scored (default: the download cache)",
    )
    add_task_file(parser, "of --int8: the task of your own that the model answers")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if flags.int8 and flags.format != "onnx":
        raise UsageError("--int8 needs --format onnx")
    if (flags.data_dir or flags.task_file) and not flags.int8:
        raise UsageError("--data_dir and --task_file are for --int8")
    os.environ.setdefault("GLOG_minloglevel", "2")  # Paddle's notes on every graph it writes
    dispatch("deploy.exporting:export", flags)


if __name__ == "__main__":
    run(main)
