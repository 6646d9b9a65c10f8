"""What a run leaves behind, and nothing outside its folder.

``args.json`` every setting in force · ``train.log`` · ``history.jsonl`` a line per log and per
evaluation · ``scores.json`` · ``best/`` a model folder · ``last/`` a model folder and all that
resuming needs · ``previous/`` the ``last/`` before it, for the day when that one is damaged.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from common.errors import InputError, UsageError
from common.files import (
    atomic_folder,
    atomic_write,
    check_replaceable,
    folder_meant,
    recover_folder,
    verify_manifest,
    write_json,
    write_text,
)
from common.json_files import parse_json, read_json_object
from common.locks import Lock
from common.messages import say
from common.plain_files import open_to_append, read_plain, why_not_written
from common.provenance import flat
from encoders import distributed
from training.config import with_added_settings
from training.run_log import LOG, LOG_FILE, close_log, mute_log, open_log
from training.run_state import (
    ARGS,
    FINISHED,
    LAST,
    LOCK,
    MAX_HISTORY_BYTES,
    MEAN,
    PREDICTIONS,
    PREVIOUS,
    SCORES,
    STATE,
    Stage,
    is_empty,
    latest_valid_checkpoint,
    read_run_state,
)  # fmt: skip

Scores = dict[str, float]
WriteModel = Callable[[Path], None]

_MOMENTS = "optimizer.safetensors"
_HISTORY = "history.jsonl"
_APPENDED = (LOG_FILE, _HISTORY)
_FILES = (ARGS, *_APPENDED, SCORES, LOCK, FINISHED)
_CURVES = ("visualdl", "tensorboard", "wandb")
_KEPT = "kept"  # the last saves, whose mean is made when all steps are taken
_FOLDERS = ("best", LAST, PREVIOUS, MEAN, _KEPT, *_CURVES, PREDICTIONS)
_BEGIN_ANEW = "this run cannot be resumed: --overwrite_output_dir begins anew"


def check_target(path: Path, resume: bool, overwrite: bool, extra_files: Sequence[str] = ()) -> bool:
    """Check that a run may write to a folder, which need not exist, and say whether there is anything in it.

    InputError or UsageError where the flags do not fit what is there, or something in it was written by no
    run; ``extra_files`` are what a run of this kind leaves there besides those of every run.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite_output_dir exclude each other")
    if path.exists() and not path.is_dir():
        raise InputError("is a file; --output_dir names a folder", path=path)
    if path.is_symlink() and not path.exists():
        raise InputError("is a link to nothing; --output_dir names a folder", path=path)
    if is_empty(path):
        return False
    if not (resume or overwrite):
        raise InputError("is not empty; give --resume to go on, or --overwrite_output_dir", path=path)
    _refuse_what_is_no_run(path, extra_files)
    return True


def _refuse_what_is_no_run(path: Path, extra_files: Sequence[str]) -> None:
    """A folder that holds anything but what runs write is not touched."""
    entries = sorted(path.iterdir())
    folders = [entry.name for entry in entries if entry.is_dir()]
    if folders and not (path / ARGS).is_file():
        message = f"holds {folders[0]!r} but no args.json, so it is no run's; take another --output_dir"
        raise InputError(message, path=path)
    hidden = (f"{LOCK}.", ".best.", ".last.", f".{MEAN}.", *(f".{name}." for name in _FILES))
    for entry in entries:
        known = entry.name in (_FOLDERS if entry.is_dir() else (*_FILES, *extra_files))
        if not known and not entry.name.startswith(hidden):
            message = f"holds {entry.name!r}, which no run writes; take another --output_dir"
            raise InputError(message, path=path)


class RunFolder:
    """A run's folder, held against other runs until it is closed; use it in a ``with`` statement.

    InputError as of ``check_target``, and where a run to resume has lost what resuming needs. A run that was
    stopped before it saved anything begins anew.
    """

    def __init__(
        self, path: str | Path, resume: bool = False, overwrite: bool = False, extra_files: Sequence[str] = ()
    ) -> None:
        self.path = Path(path)
        filled = check_target(self.path, resume, overwrite, extra_files)
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = Lock(self.path / LOCK)
        try:
            if filled and overwrite:
                self._clear()
            self._check_links()
            self._recover()
            self._source = self._save_to_resume() if filled and resume else None
            self.resumes = self._source is not None
            if filled and resume and not self.resumes:
                say(f"warning: {self.path}: nothing was saved yet, so this run begins anew")
            if not self.resumes:
                (self.path / _HISTORY).unlink(missing_ok=True)
            open_log(self.path)
        except BaseException:
            self._lock.free()
            raise

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the log and let others have the folder."""
        close_log()
        self._lock.free()

    def _check_links(self) -> None:
        """InputError now for links that a save could not write to, or that somebody else has put there."""
        for name in (LAST, PREVIOUS):
            if (self.path / name).is_symlink():
                raise InputError(
                    "is a link, but each save renames this folder: put the folder "
                    "itself there, or move the whole run and link that",
                    path=self.path / name,
                )
        best = self.path / "best"
        if best.is_symlink() and best.resolve().is_relative_to(self.path.resolve()):
            message = "is a link into the run's own folder, which a save replaces; remove it"
            raise InputError(message, path=best)
        check_replaceable(best)
        for name in (*_CURVES, PREDICTIONS):
            folder_meant(self.path / name)
        for name in _APPENDED:
            if fault := why_not_written(self.path / name):
                message = f"{fault}; a run writes only to a file of its own there"
                raise InputError(message, path=self.path / name)

    def _recover(self) -> None:
        """Put right what a killed run left behind."""
        recover_folder(self.path / "best")
        recover_folder(self.path / LAST)
        for name in _FILES:
            for half_written in self.path.glob(f".{name}.*.part"):
                half_written.unlink()

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            if entry.name != LOCK:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()

    def _save_to_resume(self) -> Path | None:
        """``last/``, or where it is damaged or missing ``previous/``; None if none was ever saved."""
        save = latest_valid_checkpoint(self.path)
        if save.folder is None:
            if save.problem:
                raise save.problem.with_remedy(_BEGIN_ANEW)
            state = read_run_state(self.path)
            if state.stage is Stage.LOST:
                raise InputError(f"{state.reason}; {_BEGIN_ANEW}")
            return None
        if save.folder.name != LAST:
            reason = save.problem or f"{self.path / LAST} is missing"
            say(f"warning: {reason}; going on from {save.folder}")
        if fault := verify_manifest(self.path / "best"):  # it was there before this save
            raise fault.with_remedy(_BEGIN_ANEW)
        return save.folder

    def write_args(self, values: dict[str, Any]) -> None:
        write_json(self.path / ARGS, values)

    def check_args(
        self, values: dict[str, Any], must_match: Sequence[str], should_match: Sequence[str] = ()
    ) -> None:
        """Compare the settings of a resumed run with those it was begun with.

        InputError where one of ``must_match`` differs; of ``should_match`` a difference is logged: not every
        bit will be the same.
        """
        path = self.path / ARGS
        begun, now = read_json_object(path), json.loads(json.dumps(values))
        if "recipe" in begun:
            begun["recipe"] = with_added_settings(begun["recipe"], now.get("recipe") or ())
        if differences := _differences(begun, now, must_match):
            remedy = "resume it as it was begun, or take another --output_dir"
            raise InputError(f"this run was begun with {differences[0]}; {remedy}", path=path)
        recorded = [key for key in should_match if key in begun]  # an older version did not record all
        if differences := _differences(begun, now, recorded):
            LOG.warning(f"warning: {path}: begun with {'; '.join(differences)}: the last digits may differ")

    def add_history(self, line: dict[str, Any]) -> None:
        with open_to_append(self.path / _HISTORY) as file:
            file.write((json.dumps(line) + "\n").encode())

    def cut_history(self, step: int) -> None:
        """Forget the lines after a step: a resumed run writes them again."""
        path = self.path / _HISTORY
        if path.is_file():
            lines = read_plain(path, MAX_HISTORY_BYTES).decode("utf-8-sig", errors="replace").splitlines()
            write_text(path, "".join(line + "\n" for line in lines if _step_of(line) <= step))

    def write_scores(self, task: str, main: str, best: Scores, last: Scores) -> None:
        write_json(self.path / SCORES, {"task": task, "main": main, "best": best, "last": last})

    def save_best(self, write_model: WriteModel) -> None:
        with atomic_folder(self.path / "best") as folder:
            write_model(folder)

    def save_last(
        self, write_model: WriteModel, state: dict[str, Any], moments: dict[str, np.ndarray]
    ) -> None:
        """Write ``last/``: the model, the optimiser's moments, and the position with the random states."""
        with atomic_folder(self.path / LAST, keep_before=PREVIOUS) as folder:
            write_model(folder)
            with atomic_write(folder / _MOMENTS) as file:
                file.write(safetensors.numpy.save(moments))
            write_json(folder / STATE, state)

    def keep_save(self, write_model: WriteModel, step: int, count: int) -> None:
        """Keep the model of a step beside those of the saves before it, ``count`` in all."""
        with atomic_folder(self.path / _KEPT / str(step)) as folder:
            write_model(folder)
        for old in self.kept_saves()[:-count]:
            shutil.rmtree(old)

    def kept_saves(self) -> list[Path]:
        """The model folders that ``keep_save`` kept, by step."""
        return sorted((self.path / _KEPT).glob("[0-9]*"), key=lambda folder: int(folder.name))

    def save_mean(self, write_model: WriteModel) -> None:
        """Write the mean of the kept saves, which then are removed."""
        with atomic_folder(self.path / MEAN) as folder:
            write_model(folder)
        shutil.rmtree(self.path / _KEPT)

    @property
    def source(self) -> Path:
        """The model folder to go on from; only where ``resumes`` is true."""
        assert self._source is not None
        return self._source

    def read_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The state to go on from, and the moments; InputError if one cannot be read."""
        state = read_json_object(self.source / STATE)
        try:
            return state, safetensors.numpy.load_file(self.source / _MOMENTS)
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"cannot be read: {error}", path=self.source / _MOMENTS) from None


def _differences(begun: dict[str, Any], now: dict[str, Any], keys: Sequence[str]) -> list[str]:
    """``NAME OLD, not NEW`` for every setting below these keys that differs; a missing one is None."""
    old, new = (flat({key: values.get(key) for key in keys}) for values in (begun, now))
    return [
        f"{name} {old.get(name)}, not {new.get(name)}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def _step_of(line: str) -> float:
    """The step of a line of ``history.jsonl``; infinity for a line that was cut short."""
    try:
        return float(parse_json(line, "")["step"])
    except (InputError, ValueError, KeyError, TypeError):
        return float("inf")


class ReadOnlyRunFolder(RunFolder):
    """The folder of a run as all processes but the first have it: read, never written."""

    def __init__(self, path: str | Path, source: Path | None) -> None:
        self.path, self._source, self.resumes = Path(path), source, source is not None
        mute_log()

    def _write_nothing(self, *_: Any, **__: Any) -> None: ...

    close = write_args = add_history = cut_history = write_scores = _write_nothing
    save_best = save_last = keep_save = save_mean = _write_nothing


def open_run(
    path: str | Path, resume: bool = False, overwrite: bool = False, extra_files: Sequence[str] = ()
) -> RunFolder:
    """Open a run's folder, which the first process alone writes to; an error of that one stops all."""
    run: RunFolder | None = None
    outcome: Path | InputError | None = None
    if distributed.is_first():
        try:
            run = RunFolder(path, resume, overwrite, extra_files)
            outcome = run.source if run.resumes else None
        except InputError as error:
            outcome = error
    outcome = distributed.broadcast(outcome)
    if isinstance(outcome, InputError):
        raise outcome
    return run or ReadOnlyRunFolder(path, outcome)
