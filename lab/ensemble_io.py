"""The done runs of a task → one set of predictions for both splits: read, chosen, combined."""

import hashlib
import json
from argparse import Namespace
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.dispatch import dispatch
from common.errors import InputError
from common.files import sha256_of
from common.json_files import read_json_object
from common.messages import say
from common.provenance import Provenance, difference, recorded_digest, short
from glue.arguments import data_folder
from glue.data import find_file, read_gold
from glue.predictions import SplitPredictions, npz_path, write_predictions
from glue.tasks import TASKS, Split, Task
from lab.ensemble_selection import (
    Choice,
    EnsembleSelector,
    combine,
    options_for,
    predicted_values,
    score_splits,
    stack_logits,
)
from lab.plan import NETWORK_METHODS
from lab.thresholds import add_offset
from lab.trial_store import DONE, TrialResult, predictions_folder, read_results
from submission.manifest import run_details
from training.run_state import ARGS, MEAN

SPLITS = ("dev", "test")
_ROUNDING = 5e-3  # of a score computed twice, by different engines or precisions


@dataclass(frozen=True)
class Ensemble:
    """A task's answers and where they come from."""

    task: Task
    choice: Choice  # made on the dev rows, with its scores
    members: tuple[TrialResult, ...]  # the best first
    digest: str  # of the one checkpoint, or of the members' digests together
    predictions: dict[str, list[SplitPredictions]]  # of each ``dev`` and each ``test`` file


def build_ensemble(
    task: Task, results: Sequence[TrialResult], data_dir: Path, size: int, methods: Sequence[str]
) -> Ensemble:
    """Choose among the done trials of a task and combine ``size`` of them at most, by these methods.

    Raises:
        InputError: A run's predictions are missing or damaged, do not score what the run says, or were made
            by another checkpoint than its ``best/`` or from other files than those in ``data_dir``.
    """
    results = sorted(results, key=lambda result: result.trial)  # of equal ones always the same is taken
    for kind in SPLITS:
        for split in task.of_kind(kind):
            find_file(data_dir, split)  # where one is missing, the trials predicted none of its kind
    parts = {kind: [_read_split(task, results, s, data_dir) for s in task.of_kind(kind)] for kind in SPLITS}
    golds = [gold_values(task, split, data_dir) for split in task.of_kind("dev")]
    logits = {kind: [stack_logits(task, part) for part in of_kind] for kind, of_kind in parts.items()}
    _check_scores(task, golds, logits["dev"], results)
    groups = [start_of(result) for result in results]
    options = options_for(task, len(results), size, possible_methods(task, methods, results))
    joiner: Any = None
    if {option.method for option in options} & set(NETWORK_METHODS):  # it imports Paddle
        joiner = dispatch(
            "lab.joined_models:ModelJoiner", task, [result.folder for result in results], data_dir
        )
    choice = EnsembleSelector(task, golds, logits["dev"], joiner and joiner.dev_logits, groups).choose(
        options
    )
    digest, joined = _join(results, choice, logits, joiner)
    predictions = {
        kind: [
            SplitPredictions(
                task, part[0].split, add_offset(answers, choice.offset).astype(np.float32), task.labels,
                Provenance(digest, part[0].provenance.data),
            )
            for part, answers in zip(parts[kind], joined[kind], strict=True)
        ]
        for kind in SPLITS
    }  # fmt: skip
    return Ensemble(task, choice, tuple(results[number] for number in choice.members), digest, predictions)


def _join(
    results: Sequence[TrialResult], choice: Choice, logits: dict[str, list[np.ndarray]], joiner: Any
) -> tuple[str, dict[str, list[np.ndarray]]]:
    """What was chosen: the digest of what answers, and its logits of each ``dev`` and each ``test`` file."""
    members, method = list(choice.members), choice.option.method
    digests = [recorded_digest(_answering(results[number], choice)) for number in members]
    digest = combined_digest("mean" if method == "saves" else method, digests)
    if method not in NETWORK_METHODS or (method == "soup" and len(members) == 1):
        return digest, {kind: [combine(each[members], method) for each in logits[kind]] for kind in SPLITS}
    if method == "soup":
        digest = joiner.write_soup(members, results[0].folder.parent / f"soup-{short(digest)}")
    return digest, {kind: joiner.logits(method, members, kind) for kind in SPLITS}


def _answering(result: TrialResult, choice: Choice) -> Path:
    """The model folder of a run that answers."""
    return result.folder / (MEAN if choice.option.method == "saves" else "best")


def start_of(result: TrialResult) -> Hashable:
    """What a run began with, as far as its weights go: runs that are equal in it can be averaged."""
    recipe, is_new = result.recipe, bool(read_json_object(result.folder / ARGS).get("from_scratch"))
    head, renewed = recipe.get("head_seed"), recipe.get("reinit_layers")
    seed = None if head and not (renewed or is_new) else recipe.get("seed")
    return result.model, recipe.get("classifier_head"), head, renewed, is_new, seed


def possible_methods(task: Task, methods: Sequence[str], results: Sequence[TrialResult]) -> list[str]:
    """The methods but those that the runs do not allow, which is noted."""
    starts, impossible = [start_of(result) for result in results], {}
    if len(set(starts)) == len(starts):
        impossible["soup"] = "no soup, as no two runs share the start and --head_seed"
    if not all((result.folder / MEAN).is_dir() for result in results):
        impossible["saves"] = "no mean of saves, as a run was made without --mean_of_saves"
    for method in methods:
        if method in impossible:
            say(f"note: {task.name}: {impossible[method]}")
    return [method for method in methods if method not in impossible]


def combined_digest(method: str, digests: Sequence[str]) -> str:
    """The digest of the checkpoints that answer together: of a single one its own."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256(" ".join([method, *sorted(digests)]).encode()).hexdigest()


def _read_split(
    task: Task, results: Sequence[TrialResult], split: Split, data_dir: Path
) -> list[SplitPredictions]:
    """A file's predictions by each run, made by its best model from the official file that is there now."""
    file = find_file(data_dir, split)
    parts: list[SplitPredictions] = []
    data = {split.file: sha256_of(file)}
    for result in results:
        path = npz_path(predictions_folder(result.folder, split.kind), split)
        best = result.folder / "best"
        if not path.is_file():
            message = f"is missing; sweep again with the {split.kind} files below --data_dir"
            raise InputError(message, path=path)
        part = SplitPredictions.read(path.parent, task, split)
        if difference(Provenance(data=data), part.provenance):
            raise InputError(f"was not predicted from this {file}; sweep again with it", path=path)
        if difference(Provenance(recorded_digest(best)), part.provenance):
            raise InputError(f"is not of the checkpoint in {best}; sweep again to predict again", path=path)
        if parts and len(part.logits) != len(parts[0].logits):
            message = (
                f"{len(part.logits)} rows, but {len(parts[0].logits)} by {results[0].trial}; sweep again"
            )
            raise InputError(message, path=path)
        parts.append(part)
    return parts


def _check_scores(
    task: Task, golds: Sequence[np.ndarray], logits: Sequence[np.ndarray], results: Sequence[TrialResult]
) -> None:
    """InputError unless each run's dev predictions score what the run says that its best evaluation did."""
    for number, result in enumerate(results):
        folder = predictions_folder(result.folder, "dev")
        for gold, part, split in zip(golds, logits, task.of_kind("dev"), strict=True):
            if part.shape[1] != len(gold):
                message = f"{part.shape[1]} rows, expected {len(gold)}; sweep again"
                raise InputError(message, path=npz_path(folder, split))
        main = score_splits(task, golds, [predicted_values(task, part[number]) for part in logits])["main"]
        if abs(main - result.main) > _ROUNDING:
            message = f"score {100 * main:.2f}, but scores.json says {100 * result.main:.2f}"
            raise InputError(f"{message}; remove {folder.parent} and sweep again", path=folder)


def describe_ensemble(ensemble: Ensemble, runs: Path) -> dict[str, Any]:
    """What a manifest says of an ensemble."""
    choice, members = ensemble.choice, []
    for member in ensemble.members:
        assert member.scores is not None
        details = run_details(runs, member.folder, member.scores)
        members.append({**details, "checkpoint_digest": recorded_digest(_answering(member, choice))})
    scores: dict[str, Any] = {"dev": choice.dev, "expected": choice.expected}
    if choice.option.threshold:
        scores |= {"threshold": choice.offset, "gain_over_one_run": choice.gain}
    method: dict[str, Any] = {"method": choice.option.method, "gain_over_one_run": choice.gain}
    if choice.option.method in ("orders", "saves"):
        key = "both_orders" if method["method"] == "orders" else "mean_of_saves"
        method["method"] = "mean"
        scores |= {key: True, "gain_over_one_run": choice.gain}
    if len(members) == 1:
        return {**members[0], **scores}
    return {"ensemble": method, "members": members, **scores, "checkpoint_digest": ensemble.digest}


def gold_values(task: Task, split: Split, data_dir: Path) -> np.ndarray:
    """(N,) label ids in the table's order, or numbers, of a dev file."""
    return task.values_of([str(gold) for gold in read_gold(task, split, find_file(data_dir, split))])


def constant_predictions(task: Task, kind: str, counts: Sequence[int]) -> list[SplitPredictions]:
    """The task's majority answer to every row of its files of a kind, which have so many rows."""
    parts = []
    for split, rows in zip(task.of_kind(kind), counts, strict=True):
        row = [float(label == task.majority) for label in task.labels] or [float(task.majority)]
        logits = np.tile(np.array(row, dtype=np.float32), (rows, 1))
        parts.append(SplitPredictions(task, split, logits, task.labels, Provenance("constant")))
    return parts


def write_ensemble(flags: Namespace) -> None:
    """Carry out ``lab.ensemble``."""
    task = TASKS[flags.task_name]
    results = [r for r in read_results(flags.runs) if r.task == task.name and r.status == DONE]
    if not results:
        raise InputError(f"no {task.name} run of a sweep is done", path=flags.runs)
    ensemble = build_ensemble(task, results, data_folder(flags.data_dir), flags.size, flags.methods)
    for split, parts in ensemble.predictions.items():
        write_predictions(Path(flags.output_dir) / split, parts)
    print(json.dumps({"task": task.name, **describe_ensemble(ensemble, Path(flags.runs))}, indent=2))
