"""Write a page about runs and a submission: one HTML file that needs no network and no script.

Example:
  python -m lab.report --runs runs --data_dir glue_data --output report.html

Shows scores beside published ones, both averages, curves and the spread over seeds. With --data_dir, and
dev predictions in the runs (glue.run_predict --split dev), also confusions, the worst errors and scores by
length. With diagnostic/diagnostic-full.tsv the diagnostic set by category. With a zip what it contains.
"""

from collections.abc import Sequence
from pathlib import Path

from common.command_line import CommandParser, path, run
from common.dispatch import dispatch
from common.errors import InputError
from common.files import write_text
from glue.published import SIZES


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.report", description=__doc__)
    for name, metavar, is_required, help_text in (
        ("--runs", "DIR", True, "a folder with runs, at any depth"),
        ("--output", "FILE.html", False, "the page (default: report.html in --runs)"),
        ("--data_dir", "DIR", False, "the folder of the official CoLA/, …, for texts and labels"),
        ("--zip", "FILE.zip", False, "a submission (default: submission.zip in --runs, if it is there)"),
    ):
        parser.add_argument(name, required=is_required, type=path, metavar=metavar, help=help_text)
    help_text = "whose published scores to show (default: base)"
    parser.add_argument("--size", choices=SIZES, default="base", help=help_text)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    runs = Path(flags.runs)
    data = None if flags.data_dir is None else Path(flags.data_dir)
    if data is not None and not data.is_dir():
        raise InputError("no such folder; --data_dir names the folder that holds CoLA/, SST-2/, …", path=data)
    packed = runs / "submission.zip"
    archive = Path(flags.zip) if flags.zip else packed if packed.is_file() else None
    target = Path(flags.output or runs / "report.html")
    write_text(target, dispatch("lab.report_page:page", runs, data, archive, flags.size))
    print(target)


if __name__ == "__main__":
    run(main)
