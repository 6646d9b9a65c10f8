"""Print the page commands.md of the site: every subcommand of convbert-glue with its --help."""

import importlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["COLUMNS"] = "86"  # what argparse wraps at

from scripts.cli import SUBCOMMANDS

HEAD = """<style>.md-typeset pre > code { font-size: 0.6rem }</style>

# Commands

`convbert-glue SUBCOMMAND` and `python -m MODULE` are the same command. Every flag is also taken with hyphens.
Results go to stdout, messages to stderr. The exit code is 0 (done), 1 (the input is wrong: one line names
file, line and remedy), 2 (wrong usage) or 130 (Ctrl-C). The tab key completes subcommands and flags after
`complete -o default -C 'convbert-glue --complete' convbert-glue` (in zsh after `autoload bashcompinit` and
`bashcompinit`)."""


def section(name: str, module: str) -> str:
    """A subcommand's part of the page."""
    parser = importlib.import_module(module).make_parser()
    parser.prog = f"convbert-glue {name}"
    return f"### {name}\n\n`python -m {module}`\n\n```text\n{parser.format_help().rstrip()}\n```"


def page() -> str:
    """The whole page, group by group."""
    parts = [HEAD]
    for group, rows in SUBCOMMANDS.items():
        parts += [f"## {group[:1].upper()}{group[1:]}", *(section(*row) for row in rows.items())]
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(page())
