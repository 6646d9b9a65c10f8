"""Print the table of dev scores of all runs below a folder, with both published averages.

Example:
  python -m glue.summary runs

Of several runs of a task the averages count the one with the best main score. Best and last are of one
run: its best evaluation and its last one. Dev scores of the best of many evaluations flatter.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, run
from common.messages import escape_unprintable
from glue.runs import read_runs
from glue.tasks import TASKS
from metrics.averages import leaderboard_average, missing_scores, paper_average
from training.run_state import Stage, read_run_state

_MARKS = {Stage.LOST: "last/ is missing: perhaps unfinished"}


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m glue.summary", description=__doc__)
    parser.add_argument("runs_dir", metavar="RUNS_DIR", help="a folder with runs in it, at any depth")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    folder = Path(make_parser().parse_args(argv).runs_dir)
    runs = read_runs(folder)
    for line in table(folder, runs):
        print(line)


def table(folder: Path, runs: list[tuple[Path, dict[str, Any]]]) -> list[str]:
    """The lines to print: a run a line, then the averages over each task's best run, in percent."""
    chosen: dict[str, dict[str, float]] = {}
    for _, scores in runs:
        best = scores["best"]
        if scores["task"] not in chosen or best["main"] > chosen[scores["task"]]["main"]:
            chosen[scores["task"]] = best
    lines = [f"{'task':<7} {'best':>6} {'last':>6} {'step':>7}  {'scores of the best step':<48} run"]
    for path, scores in runs:
        task, best, state = TASKS[scores["task"]], scores["best"], read_run_state(path)
        parts = "  ".join(f"{key} {100 * best[key]:.2f}" for key in task.score_keys)
        lines.append(
            f"{task.name:<7} {100 * best['main']:6.2f} {100 * scores['last']['main']:6.2f} "
            f"{best['step']:7.0f}  {parts:<48} {escape_unprintable(str(path.relative_to(folder)))}"
            + ("" if state.is_trained else f" ({_MARKS.get(state.stage, 'unfinished')})")
        )
    for name, average, paper in (
        ("leaderboard average (nine tasks, dev)", leaderboard_average, False),
        ("ConvBERT paper's average (eight tasks, dev)", paper_average, True),
    ):
        value = average(chosen, TASKS)
        missing = ", ".join(missing_scores(chosen, TASKS, paper))
        lines.append(
            f"{name}: " + (f"{100 * value:.2f}" if value is not None else f"none, for lack of {missing}")
        )
    return lines


if __name__ == "__main__":
    run(main)
