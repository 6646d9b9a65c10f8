"""Answer with a fine-tuned model folder as it is, in Paddle; deploy.infer does the same with an exported one.

Example:
  python -m deploy.predict --model_path runs/sst-2 --text "A fine film ."
  python -m deploy.predict --model_path runs/rte --input rows.jsonl --output answers.jsonl
"""

from collections.abc import Sequence

from common.command_line import CommandParser, run
from common.dispatch import dispatch
from deploy.answering import add_engine, add_flags, add_model_path, answer, check_flags


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m deploy.predict", description=__doc__)
    add_model_path(parser)
    add_engine(parser)
    add_flags(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    check_flags(flags)
    settings = (flags.device, flags.max_seq_length, flags.do_lower_case, flags.label_map, flags.engine)
    answer(dispatch("deploy.network_loading:open_model_folder", flags.model_path, *settings), flags)


if __name__ == "__main__":
    run(main)
