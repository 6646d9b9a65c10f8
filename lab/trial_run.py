"""One trial, from nothing or from where it was to its predictions, by the ordinary commands."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from common.errors import InputError
from common.locks import Lock
from common.provenance import Provenance, difference, recorded_digest
from glue.predictions import SplitPredictions
from glue.tasks import TASKS
from lab.early_stop import is_hopeless, read_curve
from lab.trial_store import DONE, FAILED, STOPPED, Outcome, read_status
from training.run_state import read_run_state, remove_saves

PROJECT = Path(__file__).resolve().parents[1]
_POLL_SECONDS = 0.2
_LOCK_SECONDS = 60.0  # a killed process may take a while to go


@dataclass(frozen=True)
class Job:
    """What a worker has to do, wherever it is. folder: the run's, absolute. training, predicting: flags.

    splits: those to predict, with SHA-256 and rows of each of their files in the task's order. peers: folders
    of the trials that the median rule compares with; empty without that rule. keep_last: leave ``last/`` and
    ``previous/`` when all is done.
    """

    name: str
    task: str
    folder: str
    training: tuple[str, ...]
    predicting: tuple[str, ...]
    splits: Mapping[str, tuple[tuple[str, int], ...]]
    peers: tuple[str, ...] = ()
    keep_last: bool = True


@dataclass(frozen=True)
class Place:
    """Where a worker computes: its cores (empty: not bound), its threads, its GPU (empty: none)."""

    cores: tuple[int, ...]
    threads: int
    gpu: str = ""


class _StoppedError(Exception):
    """The median rule has spoken."""


def run_job(job: Job, place: Place, is_cancelled: Callable[[], bool] = lambda: False) -> Outcome:
    """Train what is not trained and predict what is not predicted. Nothing that goes wrong is raised."""
    started, folder = time.monotonic(), Path(job.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        Lock(folder / ".lock", _LOCK_SECONDS).free()
        if not read_run_state(folder).is_trained:
            _train(job, place, is_cancelled)
        for split in job.splits:
            if not is_predicted(job, split):
                words = (*job.predicting, "--split", split, "--output_dir", str(predictions(folder, split)))
                _command(place, is_cancelled, _nothing, "glue.run_predict", words)
        if not job.keep_last:
            remove_saves(folder)
        outcome = Outcome(DONE)
    except _StoppedError as stopped:
        outcome = Outcome(STOPPED, str(stopped))
    except (InputError, OSError) as error:
        outcome = Outcome(FAILED, " ".join(str(error).split()))
    except Exception as error:  # of this project itself: the trial's end, not the sweep's
        outcome = Outcome(FAILED, " ".join(f"{type(error).__name__}: {error}".split()))
    return Outcome(outcome.status, outcome.message, round(time.monotonic() - started, 1))


def _train(job: Job, place: Place, is_cancelled: Callable[[], bool]) -> None:
    look = _median_rule(job) if job.peers else _nothing
    try:
        _command(place, is_cancelled, look, "glue.run_glue", (*job.training, "--resume"))
    except _StoppedError:
        if not read_run_state(job.folder).is_trained:  # else it was through before it could be stopped
            raise


def predictions(folder: Path, split: str) -> Path:
    """Where a trial's predictions of a split lie."""
    return folder / "predictions" / split


def is_predicted(job: Job, split: str) -> bool:
    """Whether all of a split's files are there, predicted by the model that is in ``best/`` now from the
    official files that are there now."""
    try:
        digest, folder = recorded_digest(Path(job.folder) / "best"), predictions(Path(job.folder), split)
        for part, (data_digest, rows) in zip(TASKS[job.task].of_kind(split), job.splits[split], strict=True):
            predicted = SplitPredictions.read(folder, TASKS[job.task], part)
            expected = Provenance(digest, {part.file: data_digest})
            if len(predicted.logits) != rows or difference(expected, predicted.provenance):
                return False
            if not (folder / part.submission_file).is_file():
                return False
    except InputError:
        return False
    return True


def _command(
    place: Place,
    is_cancelled: Callable[[], bool],
    look: Callable[[], None],
    module: str,
    words: Sequence[str],
) -> None:
    """Run a command to its end; InputError with the last line it said if it fails. look: called now and then
    while it runs; what it raises ends the command."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(place.threads),
        **({"CUDA_VISIBLE_DEVICES": place.gpu} if place.gpu else {}),
    }
    cores = ",".join(map(str, place.cores)) or "-"
    launch = [sys.executable, "-I", str(PROJECT / "lab" / "child_process.py"), str(os.getpid()), cores]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*launch, sys.executable, "-m", module, *words, "--num_workers", str(place.threads)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,  # Ctrl-C reaches the sweep alone, which then ends its commands
        )
        try:
            _watch(process, is_cancelled, look)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise InputError(f"{module}: {_last_words(said, process.returncode)}")


def _watch(
    process: "subprocess.Popen[bytes]", is_cancelled: Callable[[], bool], look: Callable[[], None]
) -> None:
    while True:
        with suppress(subprocess.TimeoutExpired):  # then it is still at work
            process.wait(_POLL_SECONDS)
            return
        if is_cancelled():
            raise InputError("was interrupted")
        look()


def _nothing() -> None: ...


def _median_rule(job: Job) -> Callable[[], None]:
    """What looks at a training and raises _StoppedError where the median rule stops it: once an evaluation,
    when its save is there, and never at the last one. What is trained to its end is kept."""
    folder, seen = Path(job.folder), 0

    def look() -> None:
        nonlocal seen
        curve = read_curve(folder)
        if len(curve) == seen or not _can_be_stopped(folder, curve[-1][0]):
            return
        seen = len(curve)
        finished = [read_curve(Path(peer)) for peer in job.peers if _is_done(Path(peer))]
        if is_hopeless(curve, finished):
            raise _StoppedError(f"below the median of {len(finished)} trials at step {curve[-1][0]}")

    return look


def _can_be_stopped(folder: Path, step: int) -> bool:
    """Whether a run has saved a step, and it was not its last."""
    try:
        state = read_run_state(folder)
    except (InputError, OSError):  # not saved yet, or being saved now
        return False
    return state.step == step and not state.took_last_step


def _is_done(folder: Path) -> bool:
    with suppress(InputError, OSError):  # a damaged record is its own trial's trouble
        return read_status(folder) == DONE
    return False


def _last_words(said: IO[bytes], code: int) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - 4096))
    lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1].strip().removeprefix("error: ") if lines else "it said nothing"
    return f"killed by signal {-code} (out of memory?); last: {last}" if code < 0 else f"exit {code}: {last}"
