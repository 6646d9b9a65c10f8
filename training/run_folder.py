"""What a run leaves behind, and nothing outside its folder.

``args.json`` every setting in force · ``train.log`` · ``history.jsonl`` a line per log and per
evaluation · ``scores.json`` · ``best/`` a model folder · ``last/`` a model folder and all that
resuming needs.
"""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from commands.errors import InputError
from commands.files import (
    atomic_folder,
    atomic_write,
    read_json_object,
    settle_folder,
    write_json,
    write_text,
)

LOG = logging.getLogger("training")
Scores = dict[str, float]
WriteModel = Callable[[Path], None]

_STATE, _MOMENTS = "state.json", "optimizer.safetensors"


class RunFolder:
    """A run's folder. resume: go on from ``last/``. overwrite: take what stands there away first.

    A folder with something in it, and neither of the two, is an InputError.
    """

    def __init__(self, path: str | Path, resume: bool = False, overwrite: bool = False) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path}: is a file; --output_dir names a folder")
        filled = self.path.is_dir() and any(self.path.iterdir())
        if filled and not (resume or overwrite):
            raise InputError(f"{self.path}: is not empty; give --resume to go on, or --overwrite_output_dir")
        if filled and overwrite and not resume:
            self._clear()
        self.path.mkdir(parents=True, exist_ok=True)
        self.resumes = resume and self._settle()
        if resume and not self.resumes:  # stopped before anything was saved: begin anew
            (self.path / "history.jsonl").unlink(missing_ok=True)
        self._log_to_file()

    def _settle(self) -> bool:
        """Put right what a killed run left behind; whether there is something to go on from."""
        settle_folder(self.path / "best")
        settle_folder(self.path / "last")
        for name in ("args.json", "scores.json", "history.jsonl"):
            for half_written in self.path.glob(f".{name}.*.part"):
                half_written.unlink()
        return (self.path / "last" / _STATE).is_file()

    def _clear(self) -> None:
        """Remove what a run of ours leaves; a folder that holds anything else is not touched."""
        import shutil

        ours = {"args.json", "train.log", "history.jsonl", "scores.json", "best", "last", "visualdl"}
        ours |= {".best.before", ".last.before", ".best.part", ".last.part"}
        self._settle()
        others = sorted(entry.name for entry in self.path.iterdir() if entry.name not in ours)
        if others:
            raise InputError(f"{self.path}: holds {others[0]!r}, which no run writes; nothing was removed")
        for entry in self.path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _log_to_file(self) -> None:
        LOG.setLevel(logging.INFO)
        LOG.propagate = False
        for handler in list(LOG.handlers):
            LOG.removeHandler(handler)
            handler.close()
        LOG.addHandler(logging.StreamHandler(sys.stderr))
        to_file = logging.FileHandler(self.path / "train.log", encoding="utf-8")
        to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        LOG.addHandler(to_file)

    def write_args(self, values: dict[str, Any]) -> None:
        write_json(self.path / "args.json", values)

    def check_args(self, values: dict[str, Any], keys: Sequence[str]) -> None:
        """InputError if a run is resumed with other settings, data or model than it was begun with."""
        begun = read_json_object(self.path / "args.json")
        now = json.loads(json.dumps(values))
        for key in keys:
            old, new = begun.get(key), now.get(key)
            if old == new:
                continue
            if isinstance(old, dict) and isinstance(new, dict):
                inner = next(name for name in {**old, **new} if old.get(name) != new.get(name))
                key, old, new = f"{key}: {inner}", old.get(inner), new.get(inner)
            raise InputError(
                f"{self.path / 'args.json'}: this run was begun with {key} {old}, not {new}; "
                "resume it as it was begun, or take another --output_dir"
            )

    def add_history(self, line: dict[str, Any]) -> None:
        with open(self.path / "history.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def cut_history(self, step: int) -> None:
        """Forget the lines after a step: a resumed run writes them again."""
        path = self.path / "history.jsonl"
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
            write_text(path, "".join(line + "\n" for line in kept))

    def write_scores(self, task: str, main: str, best: Scores, last: Scores) -> None:
        write_json(self.path / "scores.json", {"task": task, "main": main, "best": best, "last": last})

    def save_best(self, write_model: WriteModel) -> None:
        with atomic_folder(self.path / "best") as folder:
            write_model(folder)

    def save_last(
        self, write_model: WriteModel, state: dict[str, Any], moments: dict[str, np.ndarray]
    ) -> None:
        """Write ``last/``: the model, the optimiser's moments, and the position with the random states."""
        with atomic_folder(self.path / "last") as folder:
            write_model(folder)
            with atomic_write(folder / _MOMENTS) as file:
                file.write(safetensors.numpy.save(moments))
            write_json(folder / _STATE, state)

    def read_last(self) -> tuple[Path, dict[str, Any], dict[str, np.ndarray]]:
        """The folder ``last/``, its state and the moments; InputError if one cannot be read."""
        folder = self.path / "last"
        try:
            state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            moments = safetensors.numpy.load_file(folder / _MOMENTS)
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            raise InputError(f"{folder}: cannot be resumed from: {error}") from None
        return folder, state, moments


class Curves:
    """VisualDL scalars under the run's folder, where VisualDL is installed; else nothing."""

    def __init__(self, folder: Path) -> None:
        try:
            from visualdl import LogWriter

            self._writer = LogWriter(logdir=str(folder / "visualdl"))
        except ImportError:
            self._writer = None

    def add(self, name: str, value: float, step: int) -> None:
        if self._writer is not None:
            self._writer.add_scalar(tag=name, value=value, step=step)
