"""The answers that a submission's manifest stands for, predicted again and compared with the zip."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import MANIFEST, sha256_of
from common.json_files import read_json_object
from common.provenance import recorded_digest, short
from glue.arguments import data_folder
from glue.data_files import locate
from glue.predictions import SplitPredictions
from glue.runs import read_run_scores
from glue.scoring import load_splits, predict_splits
from glue.task_model import TaskModel
from glue.tasks import TASKS, Split, Task, submission_files
from inference.tie_breaking import near_tie, tie_margin
from lab.ensemble_io import combined_digest, constant_predictions
from lab.ensemble_selection import combine, stack_logits
from lab.thresholds import add_offset
from metrics.prediction_file import Form, parse_predictions
from metrics.run_scores import SCORES
from submission.check import expected_rows, manifest_path, read_submission
from submission.manifest import averages_of, digest_of_entries, run_details
from submission.pack import filled_content
from submission.verify import DIFFERS, ROUNDING, SAME, UNKNOWN, FileVerdict, Verification

_ROUNDING = 5e-3  # of a score computed twice, by different engines or precisions


@dataclass(frozen=True)
class PredictedFile:
    """A file predicted again. is_close: (N,) bool, the rows that rounding decides."""

    part: SplitPredictions
    is_close: np.ndarray
    content: bytes


def verify(
    archive: str | Path, manifest: str | Path | None, data_dir: str | Path | None, runs: str | Path | None
) -> Verification:
    """See ``submission.verify``."""
    archive = Path(archive)
    if archive.is_dir():
        raise InputError("is a folder; name the zip that the manifest is of", path=archive)
    contents = read_submission(archive)  # first, as its error names a missing file
    folder = Path(runs) if runs else archive.resolve().parent
    if not folder.is_dir():
        raise InputError("no such folder; --runs names one that holds the checkpoints", path=folder)
    record_path = Path(manifest) if manifest else manifest_path(archive)
    data = data_folder(None if data_dir is None else str(data_dir))
    verifier = _Verifier(read_json_object(record_path), data, folder, Verification())
    verifier.check_manifest(archive)
    result = verifier.result
    result.problems += [f"{name} in the zip {why}" for name, why in contents.strays.items()]
    for name, task in TASKS.items():
        predicted, reason = verifier.predict(task)
        for split in task.of_kind("test"):
            file = split.submission_file
            if (content := contents.files.get(file)) is None:
                result.files.append(FileVerdict(file, DIFFERS, None, contents.problems[file]))
            elif file not in predicted:
                status = DIFFERS if reason else UNKNOWN
                why = reason or f"the manifest names no checkpoint for {name}, or there is no {split.file}"
                result.files.append(FileVerdict(file, status, None, why))
            else:
                result.files.append(_compare(content, predicted[file]))
    order = [split.submission_file for _, split in submission_files()]
    result.files.sort(key=lambda file: order.index(file.name))
    return result


@dataclass
class _Verifier:
    record: Mapping[str, Any]  # the manifest
    data: Path
    runs: Path
    result: Verification

    @cached_property
    def folders(self) -> dict[str, Path]:
        """Digest → the model folder below ``runs`` that has it."""
        folders: dict[str, Path] = {}
        for path in sorted(self.runs.rglob(MANIFEST)):  # best/ before last/
            with suppress(InputError, OSError):
                folders.setdefault(recorded_digest(path.parent), path.parent)
        return folders

    def check_manifest(self, archive: Path) -> None:
        """Compare what the manifest says with the zip, with itself and with the test files."""
        record, problems = self.record, self.result.problems
        if record.get("digest") is None:
            self.result.unverified.append("that nobody edited the manifest: it records no digest of its own")
        elif record["digest"] != digest_of_entries(record):
            problems.append("was edited: its entries have another digest than it records")
        if record.get("sha256") != sha256_of(archive):
            problems.append(f"is of another zip: SHA-256 {short(str(record.get('sha256')))}")
        tasks = {name: _mapping(_mapping(record.get("tasks")).get(name)) for name in TASKS}
        dev = {name: _scores(entry.get("dev")) for name, entry in tasks.items()}
        expected = {name: _scores(entry.get("expected")) or dev[name] for name, entry in tasks.items()}
        for key, scores in (("dev", dev), ("expected", expected)):
            if averages_of(scores) != record.get(key):
                problems.append(f"{key}: not the averages of its tasks' scores")
        known = _mapping(record.get("data"))
        for _, split in submission_files():
            path = locate(self.data, split)
            if path and split.file in known and sha256_of(path) != known[split.file]:
                problems.append(f"{split.file} is another file than was predicted: {path}")
        self.result.unverified.append("the expected scores, which lab.submit cross-validates")

    def predict(self, task: Task) -> tuple[dict[str, PredictedFile], str]:
        """A task's files as the manifest says that they were made; else why that cannot be."""
        entry = _mapping(_mapping(self.record.get("tasks")).get(task.name))
        files, filled = _mapping(self.record.get("files")), {}
        splits = list(task.of_kind("test"))
        counts = [expected_rows(split, self.data)[0] for split in splits]
        for part in constant_predictions(task, "test", counts):
            name = part.split.submission_file
            if "constant" in entry or _mapping(files.get(name)).get("filled"):
                content = part.content if "constant" in entry else filled_content(task, len(part.values))
                filled[name] = PredictedFile(part, np.zeros(len(part.values), dtype=bool), content)
        members = entry.get("members") or ([entry] if entry.get("checkpoint_digest") else [])
        if len(filled) == len(splits) or not members:
            return filled, ""
        try:
            return {**self._join(task, entry, [_mapping(member) for member in members]), **filled}, ""
        except InputError as error:
            return filled, str(error)

    def _join(
        self, task: Task, entry: Mapping[str, Any], members: list[dict[str, Any]]
    ) -> dict[str, PredictedFile]:
        method = str(_mapping(entry.get("ensemble")).get("method", "mean"))
        digests = [str(member.get("checkpoint_digest")) for member in members]
        both_orders = bool(entry.get("both_orders"))
        if method == "soup":  # one network, which is beside the runs
            digests, members = [str(entry.get("checkpoint_digest"))], [dict(entry)]
        if combined_digest("orders" if both_orders else method, digests) != entry.get("checkpoint_digest"):
            raise InputError(f"{task.name} in the manifest has not the digest of its members and method")
        of_runs = [self._predict_again(task, member, both_orders) for member in members]
        files = {}
        for parts in zip(*of_runs, strict=True):
            logits = stack_logits(task, parts)
            joined = add_offset(combine(logits, method), float(entry.get("threshold") or 0.0))
            part = SplitPredictions(task, parts[0].split, joined, task.labels)
            voters = logits if method == "vote" else joined[None]
            is_close = np.any([*map(near_tie, voters)], axis=0)
            files[part.split.submission_file] = PredictedFile(part, is_close, part.content)
        return files

    def _predict_again(
        self, task: Task, member: Mapping[str, Any], both_orders: bool
    ) -> list[SplitPredictions]:
        digest, run = str(member.get("checkpoint_digest")), str(member.get("run") or "")
        folder = self.folders.get(digest)
        if folder is None:
            raise InputError(f"no checkpoint {short(digest)} ({run or task.name})", path=self.runs)
        self._check_run(task, folder, member)
        model = TaskModel(folder, task, None)
        return predict_splits(model, load_splits(model, "test", self.data), both_orders=both_orders)

    def _check_run(self, task: Task, folder: Path, member: Mapping[str, Any]) -> None:
        """Compare what the manifest says of a run with the run's own record."""
        scores = read_run_scores(path) if (path := folder.parent / SCORES).is_file() else None
        if "run" not in member or not scores or scores["task"] != task.name:
            self.result.unverified.append(f"seed, step and dev scores of {task.name}: {folder} is in no run")
            return
        details = run_details(folder.parent, folder.parent, scores)
        name = f"tasks: {task.name}: {member['run']}"
        for key in ("seed", "step"):
            if member.get(key) != details[key]:
                self.result.problems.append(
                    f"{name}: {key} {member.get(key)}, but the run's is {details[key]}"
                )
        start, recorded = (_mapping(each.get("began_with")).get("model_sha256") for each in (details, member))
        if start != recorded:
            self.result.problems.append(f"{name}: began with {recorded}, but args.json says {start}")
        dev = _scores(member.get("dev"))
        wrong = [
            key for key, value in details["dev"].items() if not abs(dev.get(key, 9) - value) <= _ROUNDING
        ]
        if wrong and "threshold" not in member:
            self.result.problems.append(f"{name}: dev {wrong[0]} is not what scores.json says")


def _compare(content: bytes, predicted: PredictedFile) -> FileVerdict:
    """Compare a file of the zip with the same predicted again."""
    part = predicted.part
    task, split, count = part.task, part.split, len(part.values)
    if content == predicted.content:
        return FileVerdict(split.submission_file, SAME, count)
    file = parse_predictions(content, Form(task.labels, task.target_range), count)
    if file.problems:
        problem = file.problems[0]
        where = f"line {problem.line}: " if problem.line else ""
        return FileVerdict(split.submission_file, DIFFERS, file.rows, f"{where}{problem}")
    is_close = predicted.is_close
    before, now = (np.array(values) for values in (file.predictions, part.values))
    if task.is_regression:
        before, now = before.astype(float), now.astype(float)
        is_close = np.abs(before - now) <= tie_margin(np.abs(now))
    return _verdict(split, before, now, is_close)


def _verdict(split: Split, before: np.ndarray, now: np.ndarray, is_close: np.ndarray) -> FileVerdict:
    changed, name, count = before != now, split.submission_file, len(now)
    other = np.flatnonzero(changed & ~is_close)
    if len(other):
        row = int(other[0])
        further = f"; {len(other)} such rows" if len(other) > 1 else ""
        note = f"row {row} says {before[row]}, its checkpoint says {now[row]}{further}"
        return FileVerdict(name, DIFFERS, count, note)
    if changed.any():
        return FileVerdict(name, ROUNDING, count, f"{int(changed.sum())} rows that rounding decides")
    return FileVerdict(name, DIFFERS, count, "the predictions are the same, but not the bytes")


def _mapping(value: Any) -> dict[str, Any]:
    """A value of a JSON file where a mapping belongs; empty where something else stands there."""
    return value if isinstance(value, dict) else {}


def _scores(value: Any) -> dict[str, float]:
    """The numbers of a mapping."""
    return {key: score for key, score in _mapping(value).items() if isinstance(score, int | float)}
