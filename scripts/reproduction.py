"""Print measured dev scores beside the published ones, in percent.

Example:
  python -m scripts.reproduction runs --size base

Of several runs of a task the median of each score is taken. The paper's GLUE scores are of the test set,
whose labels are not public: they are shown for orientation, without a difference.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from common.command_line import CommandParser, run
from common.errors import InputError
from common.tables import add_format, render
from glue import published as glue_published
from glue.tasks import TASKS
from metrics.averages import Scores, leaderboard_average, paper_average
from metrics.run_scores import find_scores, read_scores
from squad import published as squad_published

SQUAD_KEYS = {"squad_1.1": ("exact_match", "f1"), "squad_2.0": ("exact", "f1")}  # the official scripts' names


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m scripts.reproduction", description=__doc__)
    parser.add_argument("runs_dir", metavar="RUNS_DIR", help="a folder with runs in it, at any depth")
    help_text = "whose published rows to show (default: base)"
    parser.add_argument("--size", choices=glue_published.SIZES, default="base", help=help_text)
    add_format(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    from pandas import DataFrame

    rows = table_rows(read_measured(Path(flags.runs_dir)), flags.size)
    print(render(DataFrame(rows), flags.format))


def read_measured(folder: Path) -> dict[str, dict[str, float]]:
    """Task → score key → median over its runs' best evaluations, in percent."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    glue_keys = {name: task.score_keys for name, task in TASKS.items()}
    for path in find_scores(folder):
        for keys, unit in ((glue_keys, 100), (SQUAD_KEYS, 1)):  # SQuAD's are percent in the file
            if scores := read_scores(path, keys.get, 100 / unit, kinds=("best",)):
                for key in keys[scores["task"]]:
                    values[scores["task"]][key].append(float(scores["best"][key]) * unit)
    if not values:
        raise InputError("no scores.json of a run below it", path=folder, code="missing")
    return {task: {key: statistics.median(of) for key, of in keys.items()} for task, keys in values.items()}


def table_rows(measured: Scores, size: str) -> list[dict[str, str]]:
    """A row for each score, of GLUE with both averages, and of SQuAD; only of what was run."""
    published: dict[str, dict[str, Mapping[str, float]]] = defaultdict(dict)
    for row in (*glue_published.ROWS, *squad_published.ROWS):
        if row.size == size:
            published[f"{row.name}, {row.split}"] |= row.scores

    def rows_of(keys: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
        for task, key in ((task, key) for task, of_task in keys.items() for key in of_task):
            value = measured.get(task, {}).get(key)
            cells = {
                column: _cell(scores.get(task, {}).get(key), value if column.endswith(", dev") else None)
                for column, scores in published.items()
            }
            yield {"task": task, "score": key, "dev": _cell(value), **cells}

    rows: list[dict[str, str]] = []
    if any(name in measured for name in TASKS):
        rows += rows_of({name: task.score_keys for name, task in TASKS.items()})
        for name, average in (("leaderboard", leaderboard_average), ("ConvBERT paper", paper_average)):
            columns = {"dev": measured, **published}
            cells = {column: _cell(average(scores, TASKS)) for column, scores in columns.items()}
            rows.append({"task": "average", "score": name, **cells})
    return [*rows, *rows_of({name: keys for name, keys in SQUAD_KEYS.items() if name in measured})]


def _cell(score: float | None, measured: float | None = None) -> str:
    """A score, with the measured one's difference where there is one."""
    if score is None:
        return "–"
    return f"{score:.2f}" if measured is None else f"{score:.2f} ({measured - score:+.2f})"


if __name__ == "__main__":
    run(main)
