"""The runs of a task → its answers on both splits: read, chosen, joined, written."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import sha256_of
from common.provenance import Provenance, difference, recorded_digest
from glue.data import find_file, read_gold
from glue.predictions import SplitPredictions, npz_path
from glue.tasks import Split, Task
from lab.ensemble_selection import Choice, DevRuns, joined, options_for, predicted_values, scores_of
from lab.trial_run import predictions
from lab.trial_store import Result
from submission.manifest import run_details

SPLITS = ("dev", "test")
_ROUNDING = 5e-3  # of a score computed twice, by different engines or precisions


@dataclass(frozen=True)
class Joined:
    """A task's answers and where they come from. members: the runs, best first. digest: of one checkpoint,
    or of the members' digests together."""

    task: Task
    choice: Choice
    members: tuple[Result, ...]
    digest: str
    answers: dict[str, list[SplitPredictions]]  # by split


def join(task: Task, results: Sequence[Result], data_dir: Path, size: int, methods: Sequence[str]) -> Joined:
    """Choose among done trials and join them. InputError if a run's predictions are missing or damaged, of
    another checkpoint than its ``best/``, or of other files than those below ``data_dir``."""
    results = sorted(results, key=lambda result: result.trial)  # of equal ones always the same is taken
    for split in [*task.of_kind("dev"), *task.of_kind("test")]:
        find_file(data_dir, split)  # where one is missing, the trials predicted none of its kind
    golds = [gold_values(task, split, data_dir) for split in task.of_kind("dev")]
    files = {
        kind: [_read_split(task, results, split, data_dir) for split in task.of_kind(kind)] for kind in SPLITS
    }
    for gold, dev in zip(golds, files["dev"], strict=True):
        if len(dev[0].logits) != len(gold):
            message = f"{len(dev[0].logits)} rows, expected {len(gold)}; sweep again"
            raise InputError(message, path=_npz(results[0], dev[0].split))
    stacked = {kind: [_stacked(task, part) for part in parts] for kind, parts in files.items()}
    digests = [_digest(result, run) for result, run in zip(results, _by_run(files), strict=True)]
    for number, result in enumerate(results):
        _check_scores(task, golds, [part[number] for part in stacked["dev"]], result)
    choice = DevRuns(task, golds, stacked["dev"]).choose(options_for(task, len(results), size, methods))
    members, method = list(choice.members), choice.option.method
    digest = digests[members[0]]
    if len(members) > 1:
        told = " ".join([method, *sorted(digests[number] for number in members)])
        digest = hashlib.sha256(told.encode()).hexdigest()
    answers = {
        kind: [
            SplitPredictions(
                task,
                split,
                joined(part[members], method),
                task.labels,
                Provenance(digest, found[0].provenance.data),
            )
            for split, part, found in zip(task.of_kind(kind), parts, files[kind], strict=True)
        ]
        for kind, parts in stacked.items()
    }
    return Joined(task, choice, tuple(results[number] for number in members), digest, answers)


def _by_run(files: dict[str, list[list[SplitPredictions]]]) -> list[list[SplitPredictions]]:
    """All files of each run."""
    return [list(run) for run in zip(*(part for parts in files.values() for part in parts), strict=True)]


def _digest(result: Result, files: Sequence[SplitPredictions]) -> str:
    """The checkpoint that all files of a run are of: its best."""
    digest = recorded_digest(result.folder / "best")
    for file in files:
        if difference(Provenance(digest), file.provenance):
            message = f"is not of the checkpoint in {result.folder / 'best'}; sweep again to predict again"
            raise InputError(message, path=_npz(result, file.split))
    return digest


def _check_scores(
    task: Task, golds: Sequence[np.ndarray], logits: Sequence[np.ndarray], result: Result
) -> None:
    """InputError unless a run's dev predictions score what the run says that its best evaluation did."""
    found = scores_of(task, golds, [predicted_values(task, part) for part in logits])["main"]
    if abs(found - result.main) > _ROUNDING:
        raise InputError(
            f"{predictions(result.folder, 'dev')}: score {100 * found:.2f}, but scores.json says "
            f"{100 * result.main:.2f}; remove {result.folder / 'predictions'} and sweep again"
        )


def described(joined: Joined, runs: Path) -> dict[str, Any]:
    """What a manifest says of joined runs."""
    choice = joined.choice
    members = []
    for member in joined.members:
        assert member.scores is not None
        about = run_details(runs, member.folder, member.scores)
        members.append({**about, "checkpoint_digest": recorded_digest(member.folder / "best")})
    scores: dict[str, Any] = {"dev": choice.dev, "expected": choice.expected}
    if len(members) == 1:
        return {**members[0], **scores}
    return {
        "ensemble": {"method": choice.option.method, "gain_over_one_run": choice.gain},
        "members": members,
        **scores,
        "checkpoint_digest": joined.digest,
    }


def gold_values(task: Task, split: Split, data_dir: Path) -> np.ndarray:
    """(N,) label ids in the table's order, or numbers, of a dev file."""
    return task.values_of([str(gold) for gold in read_gold(task, split, find_file(data_dir, split))])


def constant(task: Task, kind: str, counts: Sequence[int]) -> list[SplitPredictions]:
    """The task's majority answer to every row of its files of a kind; counts: their rows."""
    parts = []
    for split, rows in zip(task.of_kind(kind), counts, strict=True):
        logits = np.zeros((rows, task.num_outputs), dtype=np.float32)
        if task.is_regression:
            logits[:] = float(task.majority)
        else:
            logits[:, task.labels.index(task.majority)] = 1.0
        parts.append(SplitPredictions(task, split, logits, task.labels, Provenance("constant")))
    return parts


def _read_split(
    task: Task, results: Sequence[Result], split: Split, data_dir: Path
) -> list[SplitPredictions]:
    """A file's predictions by each run, all made from the official file that is there now."""
    file = find_file(data_dir, split)
    expected, parts = Provenance(data={split.file: sha256_of(file)}), []
    for result in results:
        if not _npz(result, split).is_file():
            message = f"is missing; sweep again with the {split.kind} files below --data_dir"
            raise InputError(message, path=_npz(result, split))
        parts.append(SplitPredictions.read(predictions(result.folder, split.kind), task, split))
        if difference(expected, parts[-1].provenance):
            message = f"was not predicted from this {file}; sweep again with it"
            raise InputError(message, path=_npz(result, split))
    return parts


def _npz(result: Result, split: Split) -> Path:
    return npz_path(predictions(result.folder, split.kind), split)


def _stacked(task: Task, files: Sequence[SplitPredictions]) -> np.ndarray:
    """(runs, N, L), columns in the table's order of labels."""
    rows = {len(file.logits) for file in files}
    if len(rows) > 1:
        name = files[0].split.submission_file
        raise InputError(f"{task.name}: the runs' {name} have different row counts: {sorted(rows)}")
    if task.is_regression:
        return np.stack([file.logits for file in files])
    return np.stack([file.logits[:, [file.labels.index(name) for name in task.labels]] for file in files])
