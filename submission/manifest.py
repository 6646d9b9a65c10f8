"""What is known of a submission, as FILE.manifest.json beside FILE.zip."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from common.errors import InputError
from common.files import MANIFEST, sha256_of, write_json
from common.json_files import read_json_object
from common.provenance import recorded_digest
from glue.predictions import SplitPredictions, npz_path
from glue.runs import read_runs
from glue.tasks import TASKS, submission_files
from metrics.averages import leaderboard_average, missing_scores, paper_average
from submission.check import FileReport, manifest_path


def predictions_path(archive: str | Path) -> Path:
    """``submission.zip`` → ``submission.predictions`` beside it: its dev and test predictions."""
    return Path(archive).with_suffix(".predictions")


def write_manifest(
    archive: str | Path,
    reports: Sequence[FileReport],
    tasks: Mapping[str, Mapping[str, Any]],
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Write the manifest of a packed zip, whose reports are those of ``submission.pack``; returns its path.

    tasks: task → what is known of its predictions: its scores on the dev files (fractions of 1) under
    ``dev``, and where these flatter, better estimates under ``expected``. more: further entries.
    """
    path = manifest_path(archive)
    dev = {name: task.get("dev") or {} for name, task in tasks.items()}
    expected = {name: task.get("expected") or dev[name] for name, task in tasks.items()}
    entries: dict[str, Any] = {
        "zip": Path(archive).name,
        "sha256": sha256_of(archive),
        "expected": averages_of(expected),
        "dev": averages_of(dev),
        "tasks": {name: dict(tasks.get(name, {})) for name in TASKS},
        "files": {
            report.name: {"rows": report.rows, "filled": bool(report.filled), "notes": report.notes}
            for report in reports
        },
    }
    entries |= more
    write_json(path, {**entries, "digest": digest_of_entries(entries)})
    return path


def digest_of_entries(entries: Mapping[str, Any]) -> str:
    """SHA-256 over a manifest's entries but its own ``digest``: whoever edits one leaves another."""
    values = {key: value for key, value in entries.items() if key != "digest"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def data_digests(predictions: Path) -> dict[str, str]:
    """Test file → SHA-256 of the one that was predicted, by the .npz in a folder of predictions."""
    digests: dict[str, str] = {}
    for task, split in submission_files():
        if npz_path(predictions, split).is_file():
            digests |= SplitPredictions.read(predictions, task, split).provenance.data
    return digests


def averages_of(scores: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Both averages (metrics/averages.py) of dev scores; None where scores are missing, and which."""
    averages: dict[str, Any] = {}
    ways = {"leaderboard_average": leaderboard_average, "convbert_paper_average": paper_average}
    for key, average in ways.items():
        averages[key] = average(scores, TASKS)
        if averages[key] is None:
            averages[f"{key}_lacks"] = missing_scores(scores, TASKS, average is paper_average)
    return averages


def provenance_of(predictions: str | Path, runs: str | Path | None) -> dict[str, dict[str, Any]]:
    """Task → the digest of the checkpoint that predicted it, and its run below ``runs`` where there is one.

    The run is the one whose ``best/`` has that digest: its folder, seed, step and dev scores.
    """
    runs_by_digest = {
        recorded_digest(folder / "best"): run_details(Path(runs), folder, scores)
        for folder, scores in (read_runs(Path(runs)) if runs else [])
        if runs and (folder / "best" / MANIFEST).is_file()
    }
    origins: dict[str, dict[str, Any]] = {}
    for task, split in submission_files():
        if task.name not in origins and npz_path(Path(predictions), split).is_file():
            digest = SplitPredictions.read(Path(predictions), task, split).provenance.model
            origins[task.name] = {"checkpoint_digest": digest, **runs_by_digest.get(digest, {})}
    return origins


def run_details(runs: Path, folder: Path, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run: its folder below ``runs``, seed, step and dev scores, and what it began with: the digest of
    that model, and its run where it is one of these."""
    best, args = scores["best"], read_json_object(folder / "args.json")
    keys = ("main", *TASKS[scores["task"]].score_keys)
    recipe, digest = args.get("recipe"), args.get("model_sha256")
    began_with = {"model_sha256": digest}
    # It may be the best/ of a run TASK/NAME, wherever the runs lay then.
    *_, task, run, last = ("", "", "", *Path(str(args.get("model_name_or_path"))).parts)
    with suppress(InputError):
        if last == "best" and task and run and recorded_digest(runs / task / run / last) == digest:
            began_with["run"] = f"{task}/{run}"
    seed = recipe.get("seed") if isinstance(recipe, dict) else None
    scored = {"step": best["step"], "dev": {key: best[key] for key in keys}}
    return {"run": str(folder.relative_to(runs)), "seed": seed, **scored, "began_with": began_with}
