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
from argparse import Namespace
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from common.command_line import CommandParser, path, run
from common.errors import UsageError
from deploy.answering import add_model_path
from deploy.rows import TextRow, column_choices, read_rows
from glue.arguments import add_task_file
from glue.task_file import read_task_file

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
    from checkpoints.folder import digest_of
    from deploy.model_loading import load_network
    from inference.export import check_packages, check_target, export
    from squad.windows import saved_cutting

    check_target(Path(flags.save_inference_dir))
    check_packages(flags.format)
    folder, network, tokenizer = load_network(flags.model_path, flags.do_lower_case, flags.label_map)
    target, finish = flags.save_inference_dir, None
    if flags.int8:
        if flags.task_file:
            read_task_file(flags.task_file)
        from deploy.quantization import quantizer

        finish = quantizer(folder, network.config, flags.data_dir)
    cutting = {f"qa_{name}": value for name, value in saved_cutting(folder).items()}
    difference = export(
        network, tokenizer, digest_of(folder), target, flags.format, _rows(flags), finish, cutting
    )
    print(f"{target}: {flags.format} graph; largest difference from the model {difference:.1e}")


def _rows(flags: Namespace) -> list[TextRow]:
    if not flags.input:
        return []
    names = [*column_choices("sentence"), *column_choices("question")]
    choices = [flags.columns.split(",")] if flags.columns else names
    return [row for _, row in islice(read_rows(flags.input, choices), MAX_INPUT_ROWS)]


if __name__ == "__main__":
    run(main)
