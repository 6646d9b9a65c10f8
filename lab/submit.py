"""From a plan's runs to the leaderboard's zip: choose, join, check, pack, and say where all of it came from.

Example:
  python -m lab.submit --runs runs --plan leaderboard --data_dir glue_data --output submission.zip

For each task the plan's runs are joined as lab.ensemble does it (the plan's ensemble: says how many at most).
Runs made with other settings than the plan's, or predictions made from other files than those below
--data_dir, are refused. Writes FILE.zip; beside it FILE.manifest.json, which says of each task the run or
runs, seeds, steps, dev scores and digests, and both averages (dev: on the rows that chose; expected:
cross-validated); and FILE.predictions/dev and /test, the answers with their .npz.

WNLI is all 0 unless told otherwise: its test set is made against its training labels, and no model trained
on these beats the constant answer there.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, path, run
from common.errors import InputError, UsageError
from common.messages import escape_unprintable
from glue.arguments import data_folder
from glue.data import find_file
from glue.tasks import TASKS, Task

if TYPE_CHECKING:
    from glue.predictions import SplitPredictions
    from lab.plan import Plan
    from lab.trial_store import Result

# The tasks that the paper leaves out, for the reason above: one, in the table as it is.
_AGAINST_TRAINING = [task for task in TASKS.values() if not task.paper_score]


@dataclass(frozen=True)
class TaskAnswers:
    """A task's answers to its dev and test files. about: what the manifest says of them."""

    task: Task
    about: dict[str, Any]
    parts: "Mapping[str, Sequence[SplitPredictions]]"


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.submit", description=__doc__)
    parser.add_argument("--runs", required=True, type=path, metavar="DIR", help="what lab.sweep wrote into")
    parser.add_argument("--plan", required=True, type=path, metavar="PLAN", help="the plan that was swept")
    parser.add_argument("--output", required=True, type=path, metavar="FILE.zip", help="the zip to write")
    parser.add_argument(
        "--data_dir",
        type=path,
        metavar="DIR",
        help="the folder of the official CoLA/, … (default: the download cache)",
    )
    for task in _AGAINST_TRAINING:
        parser.add_argument(
            f"--{task.name}", choices=("zeros", "trained"), default="zeros",
            help=f"{task.name}: every row {task.majority} (default), or the plan's runs as for other tasks",
        )  # fmt: skip
    parser.add_argument(
        "--fill_missing",
        choices=["majority"],
        help="what to answer for a task without a run that is done, or without any test file",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if Path(flags.output).suffix.lower() != ".zip":
        raise UsageError(f"--output {flags.output}: give a name that ends in .zip")
    from common.files import atomic_folder
    from common.json_files import read_json_object
    from glue.predictions import write_predictions
    from lab.plan import read_plan
    from submission.manifest import write_manifest
    from submission.pack import pack

    data = data_folder(flags.data_dir)
    answered = _answered(flags, read_plan(flags.plan), data)
    if Path(flags.output).is_dir():
        raise InputError(f"{flags.output}: is a folder; name a file")
    place, told = predictions_path(flags.output), {each.task.name: each.about for each in answered}
    with atomic_folder(place / "dev") as dev, atomic_folder(place / "test") as test:
        for answers in answered:
            for folder, split in ((dev, "dev"), (test, "test")):
                write_predictions(folder, answers.parts[split])
        reports = pack(test, flags.output, data)  # where it fails, what was there before stays
        manifest = write_manifest(flags.output, reports, told, {"dev_predictions": _digests(dev)})
    print(f"{flags.output}\n{manifest}")
    print("\n".join(report.line() for report in reports))
    print("\n".join(_lines(answered, read_json_object(manifest))))


def predictions_path(archive: str | Path) -> Path:
    """``submission.zip`` → ``submission.predictions`` beside it."""
    return Path(archive).with_suffix(".predictions")


def _answered(flags: Namespace, plan: "Plan", data: Path) -> list["TaskAnswers"]:
    from lab.jobs import Jobs
    from lab.progress import Progress
    from lab.scheduling import Sweep
    from lab.search import suggest
    from lab.trial_store import DONE, read_results
    from lab.trials import trials_of

    runs, trials = Path(flags.runs).resolve(), trials_of(plan)
    if not runs.is_dir():
        raise InputError(f"{runs}: no such folder of runs; python -m lab.sweep makes one")
    sweep = Sweep(trials, Jobs(runs, data), Progress(trials, runs), suggest)
    found, missing = [], []
    for task in TASKS.values():
        if task in _AGAINST_TRAINING and getattr(flags, task.name) == "zeros":
            found.append(_constant(task, data, f"every row is {task.majority}: chosen, not predicted"))
            continue
        own = [trial for trial in trials if trial.task == task.name]
        done = [result for result in read_results(runs, [t.name for t in own]) if result.status == DONE]
        why = _unanswered(task, data) if done else "no run of the plan is done"
        if not why:
            for trial in own:
                if trial.name in {result.trial for result in done} and (said := sweep.difference(trial)):
                    raise InputError(f"{said}; take the plan, the checkpoints and the files of the sweep")
            found.append(_joined(task, done, runs, data, plan))
            continue
        missing.append(f"{task.name} ({why})")
        if flags.fill_missing:
            found.append(_constant(task, data, f"{why}: every row is {task.majority}"))
    if not any("constant" not in each.about for each in found):
        raise InputError(f"{runs}: no run of the plan {flags.plan} is done; python -m lab.sweep runs it")
    if missing and not flags.fill_missing:
        raise InputError(f"{runs}: missing: {', '.join(missing)}; add --fill_missing majority to answer "
                         "these with the most frequent training label; nothing was written")  # fmt: skip
    return found


def _unanswered(task: Task, data: Path) -> str:
    """Why no run can have answered a task's test rows: none of the files is there; else empty."""
    splits = task.of_kind("test")
    for split in splits:
        with suppress(InputError):
            find_file(data, split)
            return ""
    return f"there is no {' nor '.join(split.file for split in splits)}"


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each hand-in file in a folder."""
    from common.files import sha256_of

    return {path.name: sha256_of(path) for path in sorted(folder.glob("*.tsv"))}


def _joined(task: Task, results: Sequence["Result"], runs: Path, data: Path, plan: "Plan") -> "TaskAnswers":
    from lab.ensemble_io import described, join

    joined = join(task, results, data, plan.ensemble_size, plan.methods)
    return TaskAnswers(task, {**described(joined, runs), "runs": len(results)}, joined.answers)


def _constant(task: Task, data: Path, note: str) -> "TaskAnswers":
    from lab.ensemble_io import constant, gold_values
    from lab.ensemble_selection import scores_of
    from submission.check import RowCounts

    golds = [gold_values(task, split, data) for split in task.of_kind("dev")]
    counts = [RowCounts(data).of(split)[0] for split in task.of_kind("test")]
    dev = constant(task, "dev", [len(gold) for gold in golds])
    scores = scores_of(task, golds, [task.values_of(part.values) for part in dev])
    about = {"constant": task.majority, "note": note, "dev": scores}
    return TaskAnswers(task, about, {"dev": dev, "test": constant(task, "test", counts)})


def _lines(answered: Sequence["TaskAnswers"], manifest: Mapping[str, Any]) -> list[str]:
    """Per task where its answers come from, its dev and expected main score; then the averages."""
    lines = [f"{'task':<7} {'dev':>6} {'expected':>8}  answered by"]
    for each in answered:
        about = each.about
        dev, expected = about["dev"]["main"], about.get("expected", about["dev"])["main"]
        by = about.get("run") or about.get("note") or _members(about)
        by = escape_unprintable(str(by))
        lines.append(f"{each.task.name:<7} {100 * dev:6.2f} {100 * expected:8.2f}  {by}")
    for key, name in (
        ("leaderboard_average", "leaderboard average (nine tasks)"),
        ("convbert_paper_average", "ConvBERT paper's average (eight tasks)"),
    ):
        dev, expected = manifest["dev"][key], manifest["expected"][key]
        lines.append(f"{name}: dev {100 * dev:.2f}, expected {100 * expected:.2f}")
    return lines


def _members(about: Mapping[str, Any]) -> str:
    runs = ", ".join(member["run"] for member in about["members"])
    return f"{about['ensemble']['method']} of {len(about['members'])}: {runs}"


if __name__ == "__main__":
    run(main)
