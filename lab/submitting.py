"""The runs of a plan → the leaderboard's zip and its manifest: the work of ``lab.submit``."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pandas import DataFrame

from common.errors import InputError
from common.files import atomic_folder, sha256_of, write_text
from common.json_files import read_json_object
from common.messages import say
from common.tables import render
from glue.arguments import data_folder
from glue.data import find_file
from glue.predictions import SplitPredictions, write_predictions
from glue.tasks import TASKS, Task
from lab.ensemble_io import build_ensemble, constant_predictions, describe_ensemble, gold_values
from lab.ensemble_selection import score_splits
from lab.form_text import form_text
from lab.plan import Plan, trials_of
from lab.plan_file import read_plan
from lab.scheduling import Sweep
from lab.search import suggest
from lab.submit import AGAINST_TRAINING
from lab.trial_config import TrialResolver
from lab.trial_store import DONE, TrialResult, read_results
from submission.check import expected_rows, mark_filled
from submission.manifest import data_digests, predictions_path, write_manifest
from submission.pack import pack


@dataclass(frozen=True)
class TaskAnswers:
    """A task's answers to its dev and test files."""

    task: Task
    details: dict[str, Any]  # what the manifest says of them
    predictions: Mapping[str, Sequence[SplitPredictions]]  # of each ``dev`` and each ``test`` file


def submit(flags: Namespace) -> None:
    """Carry out ``lab.submit``."""
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
        mark_filled(Path(flags.output), reports)
    form = Path(flags.output).with_suffix(".form.txt")
    write_text(form, form_text(read_json_object(manifest), Path(flags.runs)))
    table, *averages = _summary_lines(answers, read_json_object(manifest), flags.format)
    show = say if flags.format in ("csv", "json") else print  # then the table alone is on stdout
    for line in (flags.output, manifest, form, *(report.line() for report in reports)):
        show(str(line))
    print(table)
    for line in averages:
        show(line)


def _answer_tasks(flags: Namespace, plan: Plan, data: Path) -> list[TaskAnswers]:
    """The answers to every task, by the plan's runs or constant; InputError if the plan has no run, or one
    task has none and is not to be filled."""
    runs = Path(flags.runs).resolve()
    if not runs.is_dir():
        raise InputError("no such folder of runs; python -m lab.sweep makes one", path=runs)
    for name in plan.tasks:
        if name not in TASKS:
            say(f"note: {name} is a task of your own, which is no part of a submission")
    sweep = Sweep(trials_of(plan), TrialResolver(runs, data), suggest)
    answers, missing = [], []
    for task in TASKS.values():
        if task in AGAINST_TRAINING and getattr(flags, task.name) == "zeros":
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


def _why_unanswered(task: Task, done: Sequence[TrialResult], data: Path) -> str:
    """Why no run can have answered a task's test rows: none is done, or there is no test file; else empty."""
    if not done:
        return "no run of the plan is done"
    splits = task.of_kind("test")
    for split in splits:
        with suppress(InputError):
            find_file(data, split)
            return ""
    return f"there is no {' nor '.join(split.file for split in splits)}"


def _ensemble(task: Task, results: Sequence[TrialResult], sweep: Sweep, plan: Plan) -> TaskAnswers:
    """The answers of a task's done runs; InputError if one was made otherwise than the plan says."""
    resolver, done = sweep.resolver, {result.trial for result in results}
    for trial in sweep.trials:
        if trial.name in done and (difference := sweep.difference(trial)):
            message = f"{difference}; take the plan, the checkpoints and the files of the sweep"
            raise InputError(message, path=trial.folder(resolver.runs) / "args.json")
    ensemble = build_ensemble(task, results, resolver.data_dir, plan.ensemble_size, plan.methods)
    details = {**describe_ensemble(ensemble, resolver.runs), "runs": len(results)}
    if len(ensemble.members) == 1 and not {"both_orders", "mean_of_saves"} & set(details):
        details["not_joined"] = (
            "train more seeds" if len(results) == 1 else
            "the plan's ensemble has size 1" if plan.ensemble_size == 1 else
            "no gain by cross-validation"
        )  # fmt: skip
    return TaskAnswers(task, details, ensemble.predictions)


def _constant(task: Task, data: Path, note: str) -> TaskAnswers:
    golds = [gold_values(task, split, data) for split in task.of_kind("dev")]
    counts = [expected_rows(split, data)[0] for split in task.of_kind("test")]
    dev = constant_predictions(task, "dev", [len(gold) for gold in golds])
    scores = score_splits(task, golds, [task.values_of(part.values) for part in dev])
    details = {"constant": task.majority, "note": note, "dev": scores}
    return TaskAnswers(task, details, {"dev": dev, "test": constant_predictions(task, "test", counts)})


def _summary_lines(answers: Sequence[TaskAnswers], manifest: Mapping[str, Any], form: str) -> list[str]:
    """Per task where its answers come from, its dev and expected main score; then the averages."""
    rows = []
    for each in answers:
        details = each.details
        dev, expected = details["dev"]["main"], details.get("expected", details["dev"])["main"]
        gain = {**details, **details.get("ensemble", {})}.get("gain_over_one_run")
        rows.append((each.task.name, 100 * dev, 100 * expected, gain and 100 * gain, _origin(details)))
    columns = ["task", "dev", "expected", "gain", "answered by"]
    lines = [render(DataFrame(rows, columns=columns).astype({"gain": float}), form)]
    for key, name in (
        ("leaderboard_average", "leaderboard average (nine tasks)"),
        ("convbert_paper_average", "ConvBERT paper's average (eight tasks)"),
    ):
        dev, expected = manifest["dev"][key], manifest["expected"][key]
        lines.append(f"{name}: dev {100 * dev:.2f}, expected {100 * expected:.2f}")
    return lines


def _origin(details: Mapping[str, Any]) -> str:
    """Where a task's answers come from, for people."""
    threshold = " with a threshold" if "threshold" in details else ""
    threshold += " in both orders" if "both_orders" in details else ""
    threshold += " with the mean of the last saves" if "mean_of_saves" in details else ""
    if "members" in details:
        members = [member["run"] for member in details["members"]]
        return f"{details['ensemble']['method']} of {len(members)}{threshold}: {', '.join(members)}"
    if "note" in details:
        return str(details["note"])
    others = [f"the best of {details['runs']}"] if details["runs"] > 1 else []
    others += [f"not joined: {details['not_joined']}"] if "not_joined" in details else []
    suffix = f" ({', '.join(others)})" if others else ""
    return f"{details['run']}{threshold}{suffix}"
