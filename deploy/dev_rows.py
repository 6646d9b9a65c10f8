"""A task's dev rows as a .jsonl file that deploy.infer, deploy.predict and deploy.client take.

Example:
  python -m deploy.dev_rows --task_name sst-2 --data_dir glue_data --output rows.jsonl --rows 64
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import json
from collections.abc import Sequence

from common.command_line import CommandParser, count, path, run
from glue.arguments import add_task, data_folder


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m deploy.dev_rows", description=__doc__)
    add_task(parser)
    parser.add_argument(
        "--data_dir", type=path, metavar="DIR", help="official folders (default: the download cache)"
    )
    parser.add_argument("--output", required=True, type=path, metavar="FILE.jsonl", help="where to")
    parser.add_argument("--rows", type=count, metavar="N", help="only the first so many (default: all)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    from common.files import write_text
    from glue.data import read_split
    from glue.tasks import task_named

    task = task_named(flags.task_name)
    split = task.of_kind("dev")[0]
    examples = read_split(task, split, data_folder(flags.data_dir)).examples[: flags.rows]
    rows = [dict(zip(("text", "text_pair"), example.texts, strict=False)) for example in examples]
    write_text(flags.output, "".join(json.dumps(row) + "\n" for row in rows))
    print(f"{flags.output}: {len(rows)} rows")


if __name__ == "__main__":
    run(main)
