"""Upload a model folder to a repository of the Hugging Face hub.

Example:
  python -m checkpoints.push runs/rte my-name/convbert-mini-rte --private

Uploads the model's files alone, in one commit: configuration, weights, tokenizer and model card (README.md);
of a run's folder those of best/. The token is that of `hf auth login`, or HF_TOKEN. Prints the address of the
commit.
"""

from collections.abc import Sequence

from common.command_line import CommandParser, path, run
from common.dispatch import dispatch


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m checkpoints.push", description=__doc__)
    parser.add_argument("folder", type=path, metavar="FOLDER", help="a model folder, or a run's")
    parser.add_argument("repository", metavar="OWNER/NAME", help="the repository on the hub")
    parser.add_argument(
        "--create", action="store_true", help="make the repository if there is none: a public one"
    )
    parser.add_argument(
        "--private", action="store_true", help="to a private repository alone, which is made if there is none"
    )
    parser.add_argument("--revision", metavar="BRANCH", help="an existing branch (default: main)")
    parser.add_argument(
        "--dry_run", action="store_true", help="list the files with their sizes; upload nothing"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    dispatch("checkpoints.upload:push_model", make_parser().parse_args(argv))


if __name__ == "__main__":
    run(main)
