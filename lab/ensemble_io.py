"""The runs of a task → its answers on both splits: read, chosen, joined, written."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import sha256_of
from common.provenance import recorded_digest
from glue.data import find_file, read_gold
from glue.predictions import Answers, answers_of
from glue.tasks import Split, Task
from lab.ensemble_selection import Choice, DevRuns, joined, options_for, predicted_values, scores_of
from lab.trial_run import predictions
from lab.trial_store import Result
from submission.manifest import run_details
from submission.provenance import Logits, read_logits

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
    answers: dict[str, list[Answers]]  # by split


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
            raise InputError(f"{dev[0].path}: {len(dev[0].logits)} rows, expected {len(gold)}; sweep again")
    stacked = {kind: [_stacked(task, part) for part in parts] for kind, parts in files.items()}
    digests = [_digest(result, run) for result, run in zip(results, _by_run(files), strict=True)]
    for number, result in enumerate(results):
        _check_scores(task, golds, [part[number] for part in stacked["dev"]], result)
    choice = DevRuns(task, golds, stacked["dev"]).choose(options_for(task, len(results), size, methods))
    members, method = list(choice.members), choice.option.method
    answers = {
        kind: [
            _answers(task, split, joined(part[members], method), found[0].data_digest)
            for split, part, found in zip(task.of_kind(kind), parts, files[kind], strict=True)
        ]
        for kind, parts in stacked.items()
    }
    digest = digests[members[0]]
    if len(members) > 1:
        told = " ".join([method, *sorted(digests[number] for number in members)])
        digest = hashlib.sha256(told.encode()).hexdigest()
    return Joined(task, choice, tuple(results[number] for number in members), digest, answers)


def _by_run(files: dict[str, list[list[Logits]]]) -> list[list[Logits]]:
    """All files of each run."""
    return [list(run) for run in zip(*(part for parts in files.values() for part in parts), strict=True)]


def _digest(result: Result, files: Sequence[Logits]) -> str:
    """The checkpoint that all files of a run are of: its best."""
    digest = recorded_digest(result.folder / "best")
    for file in files:
        if file.checkpoint_digest != digest:
            found = f"is not of the checkpoint in {result.folder / 'best'}"
            raise InputError(f"{file.path}: {found}; sweep again to predict again")
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
    return values_of(task, [str(gold) for gold in read_gold(task, split, find_file(data_dir, split))])


def constant(task: Task, kind: str, counts: Sequence[int]) -> list[Answers]:
    """The task's majority answer to every row of its files of a kind; counts: their rows."""
    parts = []
    for split, rows in zip(task.of_kind(kind), counts, strict=True):
        logits = np.zeros((rows, task.num_outputs), dtype=np.float32)
        if task.is_regression:
            logits[:] = float(task.majority)
        else:
            logits[:, task.labels.index(task.majority)] = 1.0
        parts.append(_answers(task, split, logits))
    return parts


def values_of(task: Task, answers: Sequence[str]) -> np.ndarray:
    """(N,) label ids in the table's order, or numbers."""
    if task.is_regression:
        return np.array(answers, dtype=np.float64)
    return np.array([task.labels.index(answer) for answer in answers])


def _answers(task: Task, split: Split, logits: np.ndarray, data_digest: str = "") -> Answers:
    answers = answers_of(task, logits, task.labels)
    return Answers(split.submission_file, logits, task.labels, answers, data_digest)


def _read_split(task: Task, results: Sequence[Result], split: Split, data_dir: Path) -> list[Logits]:
    """A file's predictions by each run, all made from the official file that is there now."""
    file = find_file(data_dir, split)
    digest, found = sha256_of(file), []
    for result in results:
        found.append(_read(task, result, split))
        if found[-1].data_digest != digest:
            raise InputError(f"{found[-1].path}: was not predicted from this {file}; sweep again with it")
    return found


def _read(task: Task, result: Result, split: Split) -> Logits:
    path = (predictions(result.folder, split.kind) / split.submission_file).with_suffix(".npz")
    if not path.is_file():
        raise InputError(f"{path}: is missing; sweep again with the {split.kind} files below --data_dir")
    logits = read_logits(path)
    if task.labels and sorted(logits.labels) != sorted(task.labels):
        raise InputError(f"{path}: expected the labels {', '.join(task.labels)}; predict again")
    return logits


def _stacked(task: Task, files: Sequence[Logits]) -> np.ndarray:
    """(runs, N, L), columns in the table's order of labels."""
    rows = {len(file.logits) for file in files}
    if len(rows) > 1:
        raise InputError(f"{files[0].path}: other runs' files have other row counts: {sorted(rows)}")
    if task.is_regression:
        return np.stack([file.logits for file in files])
    return np.stack([file.logits[:, [file.labels.index(name) for name in task.labels]] for file in files])
