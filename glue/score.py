"""Score a prediction file against an official dev file.

Prints one JSON object: the scores (fractions of 1), main (what the leaderboard counts), and the
signature that says how they were computed. A task with two dev files takes both at once
(--predictions A B --gold A B); with one of them there is no main.
"""

from collections.abc import Sequence
from typing import Any

from common.command_line import CommandParser, path, run
from common.dispatch import dispatch
from glue.arguments import add_task

# What a flag takes that names a file for each dev file.
FILES: dict[str, Any] = {"required": True, "nargs": "+", "type": path, "metavar": "FILE.tsv"}


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m glue.score", description=__doc__)
    add_task(parser)
    parser.add_argument("--predictions", **FILES, help="index, prediction")
    parser.add_argument("--gold", **FILES, help="official dev file")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    dispatch("glue.file_scoring:score", make_parser().parse_args(argv))


if __name__ == "__main__":
    run(main)
