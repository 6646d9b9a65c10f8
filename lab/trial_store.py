"""What became of each trial: NAME.trial.json beside the run's folder NAME, written by the sweep alone.

A run's folder holds nothing but what runs write; whether a trial failed, and what it is within its plan,
stands beside it.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import write_json
from common.json_files import read_json_object
from common.messages import escape_unprintable, shortened
from glue.runs import read_run_scores
from glue.tasks import position
from lab.plan import Trial
from metrics.run_scores import SCORES
from training.run_state import ARGS, PREDICTIONS

DONE, FAILED, STOPPED, SKIPPED = "done", "failed", "stopped early", "skipped"
_SUFFIX = ".trial.json"
_MAX_SECONDS = 1e9


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. message: why, in one line, unless it is done. seconds: spent by this sweep."""

    status: str
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class TrialResult:
    """A trial as its record says. Only a done one has the last three."""

    trial: str
    task: str
    configuration: str
    status: str
    message: str
    seconds: float
    folder: Path
    scores: dict[str, Any] | None = None  # what ``scores.json`` says
    recipe: Mapping[str, Any] = field(default_factory=dict)  # the training settings in force
    model: str = ""  # the digest of the model it began with, empty if unknown

    @property
    def seed(self) -> int | None:
        return self.recipe.get("seed")

    @property
    def main(self) -> float:
        """The best dev score; only of a done trial."""
        assert self.scores is not None
        return float(self.scores["best"]["main"])


def record_path(folder: Path) -> Path:
    return folder.with_name(folder.name + _SUFFIX)


def predictions_folder(folder: Path, kind: str) -> Path:
    """Where the predictions of a run's ``dev`` or ``test`` files are."""
    return folder / PREDICTIONS / kind


def write_record(runs: Path, trial: Trial, outcome: Outcome) -> None:
    """Record what became of a trial."""
    names = {"trial": trial.name, "task": trial.task, "configuration": trial.configuration}
    write_json(record_path(trial.folder(runs)), {**names, **asdict(outcome)})


def forget(runs: Path, trial: Trial) -> None:
    """Remove a trial's record, which is no longer true."""
    record_path(trial.folder(runs)).unlink(missing_ok=True)


def read_status(folder: Path) -> str:
    """The status of the trial in a run's folder; empty if it has none yet."""
    path = record_path(folder)
    return str(read_json_object(path).get("status", "")) if path.is_file() else ""


def read_results(runs: str | Path, names: list[str] | None = None) -> list[TrialResult]:
    """All trials below a folder of runs, or those named, that have a record; in the order of the task
    table, then of configurations and seeds. A done one whose run was removed counts as having none.
    InputError if a record or the scores of a done trial cannot be read."""
    runs = Path(runs)
    if names is None:
        if not runs.is_dir():
            raise InputError("no such folder of runs; python -m lab.sweep makes one", path=runs)
        results = [result for path in sorted(runs.glob(f"*/*{_SUFFIX}")) if (result := _read(path))]
        return sorted(results, key=lambda r: (position(r.task), r.configuration, r.seed or 0, r.trial))
    paths = [record_path(runs / name) for name in names]
    return [result for path in paths if path.is_file() and (result := _read(path))]


def readable_results(runs: Path, names: list[str]) -> list[TrialResult]:
    """The results of those of the named trials that have a record that can be read."""
    results = []
    for name in names:
        with suppress(InputError, OSError):
            results += read_results(runs, [name])
    return results


def _read(path: Path) -> TrialResult | None:
    record = read_json_object(path)
    folder = path.with_name(path.name.removesuffix(_SUFFIX))
    keys = ("trial", "task", "configuration", "status", "message")
    try:
        common: dict[str, Any] = {key: escape_unprintable(str(record[key])) for key in keys}
        common |= {"seconds": float(record["seconds"]), "folder": folder}
        if not 0 <= common["seconds"] <= _MAX_SECONDS:
            raise ValueError(f"seconds: {common['seconds']}")
    except (KeyError, TypeError, ValueError) as error:
        message = f"not a trial's record ({shortened(error)}); remove it and sweep again"
        raise InputError(message, path=path) from None
    if common["status"] != DONE:
        return TrialResult(**common)
    if not folder.is_dir():
        return None
    recipe, model = read_begun_settings(folder)
    return TrialResult(**common, scores=read_trial_scores(folder, common["task"]), recipe=recipe, model=model)


def read_begun_settings(folder: Path) -> tuple[dict[str, Any], str]:
    """Read the settings in force in a run, and the digest of the model it began with; InputError if
    ``args.json`` is missing or holds no settings."""
    path = folder / ARGS
    args = read_json_object(path)
    try:
        settings = dict(args["recipe"])
        if type(settings["seed"]) is not int:
            raise ValueError(f"seed: {settings['seed']}")
    except (KeyError, TypeError, ValueError) as error:
        message = f"not a run's settings ({shortened(error)}); remove {folder} and sweep again"
        raise InputError(message, path=path) from None
    return settings, str(args.get("model_sha256", ""))


def read_begun_model(folder: Path) -> Path | None:
    """Read which model a run began with: its folder, which may be gone; None where nothing was begun."""
    path = folder / ARGS
    return Path(str(read_json_object(path).get("model_name_or_path"))) if path.is_file() else None


def read_trial_scores(folder: Path, task: str) -> dict[str, Any]:
    """Read ``scores.json`` of a run; InputError unless both evaluations have all scores of the task."""
    path = folder / SCORES
    problem = f"not the scores of a {task} run"
    try:
        scores = read_run_scores(path)
        if scores and scores["task"] == task:
            return scores
    except InputError as error:
        problem = error.message
    raise InputError(f"{problem}; remove {folder} and sweep again", path=path, code="scores")
