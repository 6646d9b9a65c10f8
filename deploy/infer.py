"""Answer with an exported model: a text, a pair, a question on a passage, or a file of them.

Example:
  python -m deploy.infer --model_dir exported --text "A fine film ."
  python -m deploy.infer --model_dir exported --input rows.jsonl --output answers.jsonl
  python -m deploy.infer --model_dir exported-squad --question "Who came?" --context "Ada came, and left."

An exported folder tells the engine (paddle.inference or ONNX Runtime); a model folder computes in Paddle as
it is, in --engine bfloat16 faster where the processor has instructions for it. Files are streamed: .txt (a
text a line), .tsv (a header with the task's columns, or text and text_pair, or question and context) or
.jsonl (objects with these names).
"""

from collections.abc import Sequence

from common.command_line import SWITCH, CommandParser, run
from common.dispatch import dispatch
from common.errors import UsageError
from common.flags import add_lower_case
from deploy.answering import add_flags, add_model_dir, answer, check_flags


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m deploy.infer", description=__doc__)
    add_model_dir(parser)
    add_flags(parser)
    add_lower_case(parser)
    parser.add_argument("--use_gpu", **SWITCH, help="the same as --device gpu; false: --device cpu")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    check_flags(flags)
    if flags.use_gpu is False and flags.device == "gpu":
        raise UsageError("--use_gpu false and --device gpu contradict each other")
    device = "gpu" if flags.use_gpu else flags.device
    settings = (device, flags.max_seq_length, 0, flags.do_lower_case, flags.engine)
    answer(dispatch("deploy.model_loading:open_folder", flags.model_dir, *settings), flags)


if __name__ == "__main__":
    run(main)
