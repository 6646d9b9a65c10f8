"""Make the leaderboard's zip from the runs of a plan: choose, combine, check, pack, record the sources.

Example:
  python -m lab.submit --runs runs --plan leaderboard --data_dir glue_data --output submission.zip

The runs of each task are combined as by lab.ensemble; the plan's "ensemble:" limits their number. Runs made
with other settings than the plan's, and predictions of other files than those below --data_dir, are
refused. Writes FILE.zip; FILE.manifest.json with the runs, seeds, steps, dev scores and digests of each
task and with both averages (dev: on the rows that chose; expected: cross-validated); and
FILE.predictions/dev and /test.

WNLI is all 0 by default: its test set was made against its training labels, and no model trained on these
beats the constant answer.
"""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, path, run
from common.errors import InputError, UsageError
from common.messages import say
from common.tables import add_format, render
from glue.arguments import add_data_dir, data_folder
from glue.data import find_file
from glue.tasks import TASKS, Task

if TYPE_CHECKING:
    from glue.predictions import SplitPredictions
    from lab.plan import Plan
    from lab.scheduling import Sweep
    from lab.trial_store import TrialResult

# The tasks that the paper leaves out, for the reason above: one, in the table as it is.
_AGAINST_TRAINING = [task for task in TASKS.values() if not task.paper_score]


@dataclass(frozen=True)
class TaskAnswers:
    """A task's answers to its dev and test files."""

    task: Task
    details: dict[str, Any]  # what the manifest says of them
    predictions: "Mapping[str, Sequence[SplitPredictions]]"  # of each ``dev`` and each ``test`` file


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.submit", description=__doc__)
    parser.add_argument("--runs", required=True, type=path, metavar="DIR", help="--runs of lab.sweep")
    parser.add_argument("--plan", required=True, type=path, metavar="PLAN", help="the plan that was swept")
    parser.add_argument("--output", required=True, type=path, metavar="FILE.zip", help="the zip to write")
    add_data_dir(parser)
    for task in _AGAINST_TRAINING:
        parser.add_argument(
            f"--{task.name}", choices=("zeros", "trained"), default="zeros",
            help=f"{task.name}: every row {task.majority} (default), or the plan's runs as for other tasks",
        )  # fmt: skip
    parser.add_argument(
        "--fill_missing", choices=["majority"],
        help="what to answer for a task without a run that is done, or without any test file",
    )  # fmt: skip
    add_format(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if Path(flags.output).suffix.lower() != ".zip":
        raise UsageError(f"--output {flags.output}: give a name that ends in .zip")
    from common.files import atomic_folder, sha256_of
    from common.json_files import read_json_object
    from glue.predictions import write_predictions
    from lab.plan_file import read_plan
    from submission.manifest import data_digests, predictions_path, write_manifest
    from submission.pack import pack

    data = data_folder(flags.data_dir)
    answers = _answer_tasks(flags, read_plan(flags.plan), data)
    if Path(flags.output).is_dir():
        raise InputError("is a folder; name a file", path=flags.output)
    folder, details = predictions_path(flags.output), {each.task.name: each.details for each in answers}
    with atomic_folder(folder / "dev") as dev, atomic_folder(folder / "test") as test:
        for each in answers:
            for target, kind in ((dev, "dev"), (test, "test")):
                write_predictions(target, each.predictions[kind])
        reports = pack(test, flags.output, data)  # where it fails, what was there before stays
        digests = {path.name: sha256_of(path) for path in sorted(dev.glob("*.tsv"))}
        more = {"dev_predictions": digests, "data": data_digests(test)}
        manifest = write_manifest(flags.output, reports, details, more)
    table, *averages = _summary_lines(answers, read_json_object(manifest), flags.format)
    show = say if flags.format in ("csv", "json") else print  # then the table alone is on stdout
    for line in (flags.output, manifest, *(report.line() for report in reports)):
        show(str(line))
    print(table)
    for line in averages:
        show(line)


def _answer_tasks(flags: Namespace, plan: "Plan", data: Path) -> list[TaskAnswers]:
    """The answers to every task, by the plan's runs or constant; InputError if the plan has no run, or one
    task has none and is not to be filled."""
    from lab.plan import trials_of
    from lab.scheduling import Sweep
    from lab.search import suggest
    from lab.trial_config import TrialResolver
    from lab.trial_store import DONE, read_results

    runs = Path(flags.runs).resolve()
    if not runs.is_dir():
        raise InputError("no such folder of runs; python -m lab.sweep makes one", path=runs)
    for name in plan.tasks:
        if name not in TASKS:
            say(f"note: {name} is a task of your own, which is no part of a submission")
    sweep = Sweep(trials_of(plan), TrialResolver(runs, data), suggest)
    answers, missing = [], []
    for task in TASKS.values():
        if task in _AGAINST_TRAINING and getattr(flags, task.name) == "zeros":
            answers.append(_constant(task, data, f"every row is {task.majority}: chosen, not predicted"))
            continue
        names = [trial.name for trial in sweep.trials if trial.task == task.name]
        done = [result for result in read_results(runs, names) if result.status == DONE]
        if reason := _why_unanswered(task, done, data):
            missing.append(f"{task.name} ({reason})")
            if flags.fill_missing:
                answers.append(_constant(task, data, f"{reason}: every row is {task.majority}"))
        else:
            answers.append(_ensemble(task, done, sweep, plan))
    if all("constant" in each.details for each in answers):
        raise InputError(f"no run of the plan {flags.plan} is done; python -m lab.sweep runs it", path=runs)
    if missing and not flags.fill_missing:
        message = f"missing: {', '.join(missing)}; add --fill_missing majority to answer these with the most "
        raise InputError(f"{message}frequent training label; nothing was written", path=runs)
    return answers


def _why_unanswered(task: Task, done: Sequence["TrialResult"], data: Path) -> str:
    """Why no run can have answered a task's test rows: none is done, or there is no test file; else empty."""
    if not done:
        return "no run of the plan is done"
    splits = task.of_kind("test")
    for split in splits:
        with suppress(InputError):
            find_file(data, split)
            return ""
    return f"there is no {' nor '.join(split.file for split in splits)}"


def _ensemble(task: Task, results: Sequence["TrialResult"], sweep: "Sweep", plan: "Plan") -> TaskAnswers:
    """The answers of a task's done runs; InputError if one was made otherwise than the plan says."""
    from lab.ensemble_io import build_ensemble, describe_ensemble

    resolver, done = sweep.resolver, {result.trial for result in results}
    for trial in sweep.trials:
        if trial.name in done and (difference := sweep.difference(trial)):
            message = f"{difference}; take the plan, the checkpoints and the files of the sweep"
            raise InputError(message, path=trial.folder(resolver.runs) / "args.json")
    ensemble = build_ensemble(task, results, resolver.data_dir, plan.ensemble_size, plan.methods)
    details = {**describe_ensemble(ensemble, resolver.runs), "runs": len(results)}
    return TaskAnswers(task, details, ensemble.predictions)


def _constant(task: Task, data: Path, note: str) -> TaskAnswers:
    from lab.ensemble_io import constant_predictions, gold_values
    from lab.ensemble_selection import score_splits
    from submission.check import expected_rows

    golds = [gold_values(task, split, data) for split in task.of_kind("dev")]
    counts = [expected_rows(split, data)[0] for split in task.of_kind("test")]
    dev = constant_predictions(task, "dev", [len(gold) for gold in golds])
    scores = score_splits(task, golds, [task.values_of(part.values) for part in dev])
    details = {"constant": task.majority, "note": note, "dev": scores}
    return TaskAnswers(task, details, {"dev": dev, "test": constant_predictions(task, "test", counts)})


def _summary_lines(answers: Sequence[TaskAnswers], manifest: Mapping[str, Any], form: str) -> list[str]:
    """Per task where its answers come from, its dev and expected main score; then the averages."""
    import pandas

    rows = []
    for each in answers:
        details = each.details
        dev, expected = details["dev"]["main"], details.get("expected", details["dev"])["main"]
        origin = details.get("run") or details.get("note")
        if not origin:
            members = [member["run"] for member in details["members"]]
            origin = f"{details['ensemble']['method']} of {len(members)}: {', '.join(members)}"
        rows.append((each.task.name, 100 * dev, 100 * expected, str(origin)))
    lines = [render(pandas.DataFrame(rows, columns=["task", "dev", "expected", "answered by"]), form)]
    for key, name in (
        ("leaderboard_average", "leaderboard average (nine tasks)"),
        ("convbert_paper_average", "ConvBERT paper's average (eight tasks)"),
    ):
        dev, expected = manifest["dev"][key], manifest["expected"][key]
        lines.append(f"{name}: dev {100 * dev:.2f}, expected {100 * expected:.2f}")
    return lines


if __name__ == "__main__":
    run(main)
