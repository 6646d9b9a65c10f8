"""Write a page about runs and a submission: one HTML file that needs no network and no script.

Example:
  python -m lab.report --runs runs --data_dir glue_data --output report.html

Shows scores beside published ones, both averages, curves and the spread over seeds. With --data_dir, and
dev predictions in the runs (glue.run_predict --split dev), also confusions, the worst errors and scores by
length. With diagnostic/diagnostic-full.tsv the diagnostic set by category. With a zip what it contains.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, path, run
from common.errors import InputError
from common.files import write_text
from common.provenance import code_version

if TYPE_CHECKING:
    from pandas import DataFrame

TEMPLATE = "report.html"
SIZES = ("small", "medium-small", "base")


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
    write_text(target, page(runs, data, archive, flags.size))
    print(target)


def page(runs: Path, data_dir: Path | None, archive: Path | None, size: str = "base") -> str:
    """Render the page's HTML. The same files give the same page.

    Raises:
        InputError: No run below the folder is done, or a file cannot be read.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["percent"] = lambda value: _number(None if value is None else 100 * value)
    return environment.get_template(TEMPLATE).render(_contents(runs, data_dir, archive, size))


def _number(value: float | None) -> str:
    """Two decimals; ``–`` for None and for what is not a number."""
    return "–" if value is None or value != value else f"{value:.2f}"


def _contents(runs: Path, data_dir: Path | None, archive: Path | None, size: str) -> dict[str, Any]:
    """Collect what the template shows, under the names it uses."""
    from glue.published import rows_of
    from glue.tasks import TASKS
    from lab import report_charts, report_rows, report_runs, report_submission
    from lab.results import done_runs, results

    table = results(runs)
    table = table[table["task"].isin(TASKS)]  # the page is the leaderboard's
    done = done_runs(table)
    if done.empty:
        raise InputError("no run below it is done yet", path=runs)
    unfinished = table[table["status"] != "done"]
    majorities = {name: report_runs.majority_scores(TASKS[name], data_dir) for name in done["task"].unique()}
    answers, source = _diagnostic_answers(done, archive)
    return {
        "title": runs.name or str(runs),
        "task_count": len(TASKS),
        "version": code_version(),
        "run_count": len(done),
        "averages": report_runs.averages(done, size),
        "published": rows_of(size),
        "unofficial": report_runs.unofficial_tasks(done),
        "scores": report_runs.score_rows(done, size, majorities),
        "runs": report_runs.run_rows(done),
        "majorities": majorities,
        "has_charts": report_charts.are_available(),
        "views": report_runs.task_views(done, majorities),
        "unfinished": unfinished[["run", "status", "message"]].to_numpy().tolist(),
        "dev_rows": {
            name: report_rows.dev_rows(TASKS[name], group, data_dir)
            for name, group in done.groupby("task", sort=False)
        },
        "categories": report_submission.categories(answers, data_dir) if answers and data_dir else [],
        "diagnostic_source": source,
        "zip": report_submission.read_zip(archive, data_dir) if archive else None,
    }


def _diagnostic_answers(done: "DataFrame", archive: Path | None) -> tuple[list[str], str]:
    """The diagnostic set's answers and where they are from: the zip, else the best run that has some."""
    from lab.report_submission import diagnostic_answers, diagnostic_split

    task, split = diagnostic_split()
    runs = done[done["task"] == task.name].sort_values("main", ascending=False, kind="stable")
    folders = [folder / "predictions" / "test" for folder in runs["folder"]]
    zipped = [(archive, archive.name)] if archive else []
    for source, name in [*zipped, *zip(folders, runs["run"], strict=True)]:
        if answers := diagnostic_answers(source):
            return answers, f"{split.submission_file} of {name}"
    return [], ""


if __name__ == "__main__":
    run(main)
