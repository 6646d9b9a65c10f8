"""Convert a model folder between Hugging Face's layout and PaddleNLP's.

Example:
  python -m checkpoints.convert convbert-base-paddle convbert-base --to huggingface

Weights are renamed and transposed, not rounded: there and back gives the same bytes. --dtype float16 rounds
them to half the size: this project computes with them in float32, transformers in float16 unless it is given
dtype=torch.float32. Heads of pre-training are converted too. Prints the new folder's path.
"""

from collections.abc import Sequence

from common.command_line import CommandParser, run
from common.dispatch import dispatch
from common.flags import add_label_map


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m checkpoints.convert", description=__doc__)
    parser.add_argument(
        "source", metavar="SRC", help="a model folder of either layout, or the name of a published model"
    )
    parser.add_argument("target", metavar="DST", help="the folder to write; must be empty or new")
    parser.add_argument("--to", required=True, choices=("huggingface", "paddlenlp"), help="the layout of DST")
    parser.add_argument(
        "--dtype",
        choices=("stored", "float16"),
        default="stored",
        help="stored: every number as it is; float16: rounded to it, half the size (default: stored)",
    )
    add_label_map(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    dispatch("checkpoints.conversion:convert_model", make_parser().parse_args(argv))


if __name__ == "__main__":
    run(main)
