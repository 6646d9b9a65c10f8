"""How far the run in a folder is: the one rule for it, whoever asks. No Paddle.

A run writes ``args.json``, then at every evaluation ``best/`` (if it is better), ``last/`` (the one before it
becomes ``previous/``) and ``scores.json``, in this order. It is trained only where it recorded that itself:

1. ``.finished`` stands there: the saves of a trained run were removed (``remove_saves``), or about to be.
2. Else the latest of ``last/state.json`` and ``previous/state.json`` says ``"finished": true``.

In both cases ``scores.json`` must be there: a run killed just before it was written is resumed to write it.
A run with scores but without any save counts as not trained: nobody can tell whether it took its last step.
"""

import enum
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import verify_manifest, write_text
from common.json_files import parse_json, read_json_object
from common.plain_files import read_plain

ARGS, SCORES, STATE, FINISHED, LOCK = "args.json", "scores.json", "state.json", ".finished", ".lock"
LAST, PREVIOUS, MEAN, PREDICTIONS = "last", "previous", "mean", "predictions"
_MAX_STEPS = 10**12
MAX_HISTORY_BYTES = 1 << 28  # a line takes some 200
_SAVES = (LAST, PREVIOUS)  # the latest first


class Stage(enum.Enum):
    """How far a run is."""

    EMPTY = "empty"
    BEGUN = "begun"
    SAVED = "saved"
    TRAINED = "trained"
    LOST = "lost"  # it has scores, but neither a save nor the record that it was trained


@dataclass(frozen=True)
class RunState:
    """What stood in a run's folder when it was read."""

    folder: Path  # the run's folder
    stage: Stage  # how far the run is
    step: int | None = None  # the step of the latest save; None where there is no save
    took_last_step: bool = False  # whether the run recorded its last step; the scores may not be written yet
    # The splits that have files below ``predictions/``. Whether these were made by the model now in ``best/``
    # is a question of provenance, not of state
    predicted: tuple[str, ...] = ()
    reason: str = ""  # why the run does not count as trained; empty if it does

    @property
    def is_trained(self) -> bool:
        """Whether the run took its last step and wrote its scores."""
        return self.stage is Stage.TRAINED


@dataclass(frozen=True)
class Save:
    """The latest undamaged save of a run."""

    folder: Path | None  # ``last/`` or ``previous/``; None where there is no undamaged one
    problem: InputError | None = None  # what is wrong with a later save


def read_run_state(folder: str | Path) -> RunState:
    """Read how far the run in a folder is, which need not exist.

    Only names and one small file are looked at; no digest is computed (see ``latest_valid_checkpoint``).
    """
    folder = Path(folder)
    if is_empty(folder):
        return RunState(folder, Stage.EMPTY, reason="nothing was begun")
    predicted = tuple(sorted({path.parent.name for path in folder.glob(f"{PREDICTIONS}/*/[!.]*")}))
    states = [folder / save / STATE for save in _SAVES]
    state_file = next((path for path in states if path.is_file()), None)
    state = read_json_object(state_file) if state_file else {}
    step = state["step"] if type(state.get("step")) is int else None
    has_scores, is_marked = (folder / SCORES).is_file(), (folder / FINISHED).is_file()
    took_last_step = is_marked or state.get("finished") is True
    if took_last_step and has_scores:
        stage, reason = Stage.TRAINED, ""
    elif state_file:
        stage, reason = Stage.SAVED, "saved, not trained"
        if took_last_step:
            reason = f"{folder / SCORES}: is missing; --resume writes it"
    elif has_scores or is_marked:
        stage, reason = Stage.LOST, f"{folder / (LAST if has_scores else SCORES)}: is missing"
    else:
        stage, reason = Stage.BEGUN, "nothing was saved yet"
    return RunState(folder, stage, step, took_last_step, predicted, reason)


def is_empty(folder: Path) -> bool:
    """Whether there is no folder, or nothing in it but the locks of a run."""
    return not folder.is_dir() or all(entry.name.startswith(LOCK) for entry in folder.iterdir())


def latest_valid_checkpoint(folder: Path) -> Save:
    """Find the latest save of a run whose files are as its manifest says; every byte of it is read."""
    problem = None
    for save in (folder / name for name in _SAVES):
        if save.is_dir():
            fault = verify_manifest(save)
            if not fault:
                return Save(save, problem)
            problem = problem or fault
    return Save(None, problem)


def remove_saves(folder: Path) -> None:
    """Remove the saves of a trained run, which only resuming needs; the run goes on counting as trained."""
    write_text(folder / FINISHED, "")
    for name in _SAVES:
        shutil.rmtree(folder / name, ignore_errors=True)


def read_history(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's history that have a step; none where there is no history.

    While a run writes it, or after a kill, the last line may be a half: what is no such line is left out.
    """
    try:
        raw = read_plain(run / "history.jsonl", MAX_HISTORY_BYTES)
    except FileNotFoundError:
        return []
    lines = []
    for text in raw.decode("utf-8-sig", errors="replace").splitlines():
        with suppress(InputError):
            value = parse_json(text)
            step = value.get("step") if isinstance(value, dict) else None
            if type(step) is int and 0 <= step <= _MAX_STEPS:
                lines.append(value)
    return lines
