"""Write a page about runs and a hand-in: one HTML file that needs no network and no script.

Example:
  python -m lab.report --runs runs --data_dir glue_data --output report.html

Shows scores beside published ones, both averages, curves, the spread over seeds; with --data_dir and dev
predictions in the runs (glue.run_predict --split dev) also who is taken for whom, the worst errors and length
against score; the diagnostic set by category where diagnostic/diagnostic-full.tsv is there; what a zip holds.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, path, run
from common.errors import InputError
from common.files import write_text

if TYPE_CHECKING:
    from lab.report_runs import Run

TEMPLATE = "report.html"
SIZES = ("small", "medium-small", "base")


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.report", description=__doc__)
    parser.add_argument(
        "--runs", required=True, type=path, metavar="DIR", help="a folder with runs, at any depth"
    )
    parser.add_argument(
        "--output", type=path, metavar="FILE.html", help="the page (default: report.html in --runs)"
    )
    parser.add_argument(
        "--data_dir",
        type=path,
        metavar="DIR",
        help="the folder of the official CoLA/, …, for texts and labels",
    )
    parser.add_argument(
        "--zip",
        type=path,
        metavar="FILE.zip",
        help="a hand-in (default: submission.zip in --runs, if it is there)",
    )
    parser.add_argument(
        "--size", choices=SIZES, default="base", help="whose published scores to show (default: base)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    runs = Path(flags.runs)
    data = None if flags.data_dir is None else Path(flags.data_dir)
    if data is not None and not data.is_dir():
        raise InputError(f"{data}: no such folder; --data_dir names the folder that holds CoLA/, SST-2/, …")
    packed = runs / "submission.zip"
    archive = Path(flags.zip) if flags.zip else packed if packed.is_file() else None
    target = Path(flags.output or runs / "report.html")
    write_text(target, page(runs, data, archive, flags.size))
    print(target)


def page(runs: Path, data_dir: Path | None, archive: Path | None, size: str = "base") -> str:
    """The page's HTML. The same files give the same page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(contents(runs, data_dir, archive, size))


def contents(runs: Path, data_dir: Path | None, archive: Path | None, size: str) -> dict[str, Any]:
    """What the template shows, under the names it uses."""
    from lab import report_hand_in, report_rows, report_runs
    from lab.report_numbers import whole

    found = report_runs.read(runs)
    groups = report_runs.by_task(found)
    answers, source = _diagnostic_answers(found, archive)
    return {
        "title": runs.name or str(runs),
        "run_count": whole(len(found), "runs"),
        "task_count": whole(len(groups), "tasks"),
        "averages": report_runs.averages(found, size),
        "published": report_runs.published_rows(size),
        "unofficial": [name for name, group in groups.items() if not all(r.is_official for r in group)],
        "scores": report_runs.score_rows(found, size),
        "views": report_runs.task_views(found),
        "unfinished": report_runs.unfinished_trials(runs),
        "panels": {name: report_rows.panels(group, data_dir) for name, group in groups.items()},
        "categories": report_hand_in.categories(answers, data_dir) if answers and data_dir else [],
        "diagnostic_source": source,
        "zip": report_hand_in.read_zip(archive, data_dir) if archive else None,
    }


def _diagnostic_answers(runs: Sequence["Run"], archive: Path | None) -> tuple[list[str], str]:
    """The diagnostic set's answers and where they are from: the zip, else the best run that has some."""
    from lab.report_hand_in import diagnostic_answers, diagnostic_split

    task, split = diagnostic_split()
    own = sorted((run for run in runs if run.task.name == task.name), key=lambda run: -run.best["main"])
    files = [(run.folder / "predictions" / "test", run.name) for run in own]
    for place, name in [(archive, archive.name if archive else ""), *files]:
        if place is not None and (answers := diagnostic_answers(place)):
            return answers, f"{split.submission_file} of {name}"
    return [], ""


if __name__ == "__main__":
    run(main)
