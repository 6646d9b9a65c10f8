"""Print measured dev scores beside the published ones, in percent.

Example:
  python -m scripts.reproduction runs --size base

Of several runs of a task the median of each score is taken. The paper's GLUE scores are of the test set,
whose labels nobody has: they stand there for orientation, and no difference is given.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from common.command_line import CommandParser, run
from common.errors import InputError
from glue import published as glue_published
from glue.tasks import TASKS
from metrics.averages import leaderboard_average, paper_average
from metrics.run_scores import find_scores, read_scores
from squad import published as squad_published

SQUAD_EXACT = {"1.1": "exact_match", "2.0": "exact"}  # what the official scripts call it
SIZES = ("small", "medium-small", "base")
Scores = Mapping[str, Mapping[str, float]]


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m scripts.reproduction", description=__doc__)
    parser.add_argument("runs_dir", metavar="RUNS_DIR", help="a folder with runs in it, at any depth")
    parser.add_argument(
        "--size", choices=SIZES, default="base", help="whose published rows to show (default: base)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    measured = read_measured(Path(flags.runs_dir))
    lines = [*glue_lines(measured, flags.size), *squad_lines(measured, flags.size)]
    print("\n".join(lines))


def read_measured(folder: Path) -> dict[str, dict[str, float]]:
    """Task → score key → median over its runs' best evaluations, in percent."""
    squad_keys = {f"squad_{version}": (exact, "f1") for version, exact in SQUAD_EXACT.items()}
    keys = {name: task.score_keys for name, task in TASKS.items()} | squad_keys
    values: dict[str, dict[str, list[float]]] = {}
    for path in find_scores(folder):
        for tasks, unit in ((TASKS, 100), (squad_keys, 1)):  # SQuAD's are percent in the file
            known = {name: keys[name] for name in tasks}
            if scores := read_scores(path, known.get, 100 / unit, kinds=("best",)):
                for key in keys[scores["task"]]:
                    by_key = values.setdefault(scores["task"], {})
                    by_key.setdefault(key, []).append(float(scores["best"][key]) * unit)
    if not values:
        raise InputError("no scores.json of a run below it", path=folder, code="missing")
    return {
        task: {key: statistics.median(of) for key, of in by_key.items()} for task, by_key in values.items()
    }


def glue_lines(measured: Scores, size: str) -> Iterator[str]:
    """A line a score, then the two averages; nothing without a GLUE run."""
    if not any(name in measured for name in TASKS):
        return
    rows = glue_published.rows_of(size)
    yield f"{'GLUE':<9}{'score':<21}{'dev':>7}" + "".join(
        f"{row.name + ', ' + row.split:>30}" for row in rows
    )
    for task in TASKS.values():
        for key in task.score_keys:
            yield _line(task.name, key, measured, [(row.split, row.scores) for row in rows])
    for name, average in (("leaderboard", leaderboard_average), ("ConvBERT paper", paper_average)):
        values = [average(scores, TASKS) for scores in (measured, *(row.scores for row in rows))]
        shown = [f"{value:.2f}" if value is not None else "–" for value in values]
        yield f"{'average':<9}{name:<21}{shown[0]:>7}" + "".join(f"{text:>30}" for text in shown[1:])


def _line(task: str, key: str, measured: Scores, rows: Sequence[tuple[str, Scores]]) -> str:
    value = measured.get(task, {}).get(key)
    shown = "–" if value is None else f"{value:.2f}"
    cells = [
        _cell(scores.get(task, {}).get(key), value if split == "dev" else None) for split, scores in rows
    ]
    return f"{task:<9}{key:<21}{shown:>7}" + "".join(f"{cell:>30}" for cell in cells)


def _cell(expected: float | None, value: float | None) -> str:
    """A published score, with the measured one's difference where there is one."""
    if expected is None:
        return "–"
    return f"{expected:.2f}" if value is None else f"{expected:.2f} ({value - expected:+.2f})"


def squad_lines(measured: Scores, size: str) -> Iterator[str]:
    """A line a published row; nothing without a SQuAD run."""
    for version, exact_key in SQUAD_EXACT.items():
        scores = measured.get(f"squad_{version}")
        if scores is None:
            continue
        yield f"SQuAD {version} dev: exact {scores[exact_key]:.2f}  F1 {scores['f1']:.2f}"
        for row in squad_published.rows_of(size, version):
            yield (
                f"  {row.name}: exact {row.exact:.2f} ({scores[exact_key] - row.exact:+.2f})  "
                f"F1 {row.f1:.2f} ({scores['f1'] - row.f1:+.2f})"
            )


if __name__ == "__main__":
    run(main)
