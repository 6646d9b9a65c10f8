"""Compare our hidden states with those of transformers and PaddleNLP, for one and the same model folder.

Example:
  python -m scripts.compare --model conv-bert-base --against huggingface \\
      --huggingface_python ../transformers-env/bin/python
  python -m scripts.compare --random_weights small --against paddlenlp \\
      --paddlenlp_python ../paddlenlp-env/bin/python

Prints mean and largest difference of the last hidden state over real tokens, for rows without padding and
for a padded batch. The peers need packages that exclude each other (and ours), so each runs in a process of
an environment of its own: transformers 5.23.0 with torch 2.13.0; the `paddlenlp` extra.
Exit 1 if rows without padding, or padded ones computed as the peer pads, differ by more than 1e-5
of the largest number (at least of 1), which rounding does not reach on any processor.
"""

import sys
from collections.abc import Sequence

from common.command_line import CommandParser, path, program, run
from common.dispatch import dispatch

PEERS = ("huggingface", "paddlenlp")


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m scripts.compare", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    help_text = "a model folder, a run's, or a published model's name"
    which.add_argument("--model", type=path, metavar="NAME_OR_FOLDER", help=help_text)
    help_text = "a ConvBERT of this size with random weights, where real ones cannot be had"
    which.add_argument("--random_weights", choices=("small", "medium-small", "base"), help=help_text)
    parser.add_argument(
        "--against", nargs="+", choices=PEERS, default=list(PEERS), help="the peers (default: both)"
    )
    for peer in PEERS:
        parser.add_argument(
            f"--{peer}_python", default=sys.executable, type=program, metavar="PYTHON",
            help=f"the Python of an environment with {peer}'s packages (default: this one)",
        )  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    dispatch("scripts.hidden_states:compare", make_parser().parse_args(argv))


if __name__ == "__main__":
    run(main)
