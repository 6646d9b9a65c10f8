"""Print the table of dev scores of all runs below a folder, with both published averages.

Example:
  python -m glue.summary runs

Of several runs of a task the averages count the one with the best main score. Best and last are of one
run: its best evaluation and its last one. Dev scores of the best of many evaluations flatter.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, run
from common.messages import say
from common.tables import add_format, render
from glue.runs import read_runs
from glue.tasks import TASKS, task_named
from metrics.averages import leaderboard_average, missing_scores, paper_average
from training.run_state import Stage, read_run_state

if TYPE_CHECKING:
    from pandas import DataFrame


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m glue.summary", description=__doc__)
    parser.add_argument("runs_dir", metavar="RUNS_DIR", help="a folder with runs in it, at any depth")
    add_format(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    folder = Path(flags.runs_dir)
    runs = read_runs(folder)
    print(render(summary_table(folder, runs), flags.format))
    show = say if flags.format in ("csv", "json") else print
    for line in average_lines([scores for _, scores in runs]):
        show(line)


def summary_table(folder: Path, runs: Sequence[tuple[Path, dict[str, Any]]]) -> "DataFrame":
    """Tabulate runs below a folder, as ``read_runs`` gives them, and their scores, in percent."""
    import pandas

    rows = []
    for path, scores in runs:
        best, state = scores["best"], read_run_state(path)
        mark = " (last/ is missing: perhaps unfinished)" if state.stage is Stage.LOST else " (unfinished)"
        rows.append({
            "task": scores["task"], "best": 100.0 * best["main"], "last": 100.0 * scores["last"]["main"],
            "step": int(best["step"]),
            "scores of the best step": "  ".join(
                f"{key} {100 * best[key]:.2f}" for key in task_named(scores["task"]).score_keys
            ),
            "run": f"{path.relative_to(folder)}{'' if state.is_trained else mark}",
        })  # fmt: skip
    return pandas.DataFrame(rows)


def average_lines(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Both averages over the best run of each task, each named, or what they lack."""
    chosen: dict[str, dict[str, float]] = {}
    for scores in runs:
        task, best = scores["task"], scores["best"]
        if task not in chosen or best["main"] > chosen[task]["main"]:
            chosen[task] = best
    lines = []
    for name, average, is_paper in (
        ("leaderboard average (nine tasks, dev)", leaderboard_average, False),
        ("ConvBERT paper's average (eight tasks, dev)", paper_average, True),
    ):
        value = average(chosen, TASKS)
        lacks = missing_scores(chosen, TASKS, is_paper)
        missing = ", ".join(dict.fromkeys(score.partition("/")[0] for score in lacks))
        lines.append(f"{name}: {f'none, for lack of {missing}' if value is None else f'{100 * value:.2f}'}")
    return lines


if __name__ == "__main__":
    run(main)
