"""One trial, from nothing or from where it was to its predictions, by the ordinary commands."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from common.errors import InputError
from common.locks import Lock
from common.provenance import Provenance, difference, recorded_digest
from glue.predictions import SplitPredictions
from lab.early_stop import MedianRule
from lab.trial_config import TrialConfig
from lab.trial_store import DONE, FAILED, STOPPED, Outcome, predictions_folder
from training.run_config import as_flags
from training.run_state import LOCK, read_run_state, remove_saves

PROJECT = Path(__file__).resolve().parents[1]
_POLL_SECONDS = 0.2
_LOCK_SECONDS = 60.0  # a killed process may take a while to go
_MAX_OUTPUT = 4096  # bytes at its end that the last line is looked for in


@dataclass(frozen=True)
class WorkerSlot:
    """Where a worker computes: its cores (empty: not bound), its threads, its GPU (empty: none)."""

    cores: tuple[int, ...]
    threads: int
    gpu: str = ""


class _StoppedError(Exception):
    """The median rule has stopped a training."""


def noop() -> None:
    """Do nothing."""


def run_trial(
    config: TrialConfig,
    slot: WorkerSlot,
    is_cancelled: Callable[[], bool] = lambda: False,
    run_command: Callable[..., None] | None = None,
) -> Outcome:
    """Train what is not trained and predict what is not predicted. Nothing that goes wrong is raised.

    Args:
        config: The trial.
        slot: Where it computes.
        is_cancelled: Asked now and then; True ends the trial.
        run_command: Runs a command; None: ``run_module``.
    """
    run = partial(run_command or run_module, slot=slot, is_cancelled=is_cancelled)
    started = time.monotonic()
    try:
        config.folder.mkdir(parents=True, exist_ok=True)
        Lock(config.folder / LOCK, _LOCK_SECONDS).free()
        if not read_run_state(config.folder).is_trained:
            _train(config, run)
        for kind in config.splits:
            if prediction_problem(config, kind):
                run("glue.run_predict", _prediction_flags(config, kind))
        if not config.keep_saves:
            remove_saves(config.folder)
        outcome = Outcome(DONE)
    except _StoppedError as stopped:
        outcome = Outcome(STOPPED, str(stopped))
    except (InputError, OSError) as error:
        outcome = Outcome(FAILED, " ".join(str(error).split()))
    except Exception as error:  # of this project itself: the trial's end, not the sweep's
        outcome = Outcome(FAILED, " ".join(f"{type(error).__name__}: {error}".split()))
    return Outcome(outcome.status, outcome.message, round(time.monotonic() - started, 1))


def _train(config: TrialConfig, run: Callable[..., None]) -> None:
    rule = MedianRule(config.folder, config.peers)

    def on_poll() -> None:
        if reason := rule.reason_to_stop():
            raise _StoppedError(reason)

    try:
        run("glue.run_glue", as_flags(config.run), on_poll=on_poll if config.peers else noop)
    except _StoppedError:
        if not read_run_state(config.folder).is_trained:  # else it was through before it could be stopped
            raise


def _prediction_flags(config: TrialConfig, kind: str) -> list[str]:
    folder, run = predictions_folder(config.folder, kind), config.run
    return [
        f"--task_name={run.task_name}", f"--data_dir={run.data_dir}", f"--device={run.device}",
        f"--ckpt_path={config.folder / 'best'}", f"--split={kind}", f"--output_dir={folder}",
    ]  # fmt: skip


def prediction_problem(config: TrialConfig, kind: str) -> str:
    """Say why ``dev`` or ``test`` has to be predicted.

    Returns:
        One line; empty if all its files are there, predicted by the model that is in ``best/`` now from the
        official files that are there now.
    """
    folder = predictions_folder(config.folder, kind)
    try:
        digest = recorded_digest(config.folder / "best")
        for split, (data_digest, rows) in zip(config.task.of_kind(kind), config.splits[kind], strict=True):
            path = folder / split.submission_file
            predicted = SplitPredictions.read(folder, config.task, split)
            expected = Provenance(digest, {split.file: data_digest})
            if differences := difference(expected, predicted.provenance):
                return f"{path}: was made with {differences[0]}"
            if len(predicted.logits) != rows:
                return f"{path}: has {len(predicted.logits)} rows, expected {rows}"
            if not path.is_file():
                return f"{path}: is missing"
    except InputError as error:
        return str(error)
    return ""


def run_module(
    module: str,
    flags: Sequence[str],
    slot: WorkerSlot,
    is_cancelled: Callable[[], bool],
    on_poll: Callable[[], None] = noop,
) -> None:
    """Run a command to its end.

    Args:
        module: The command's module.
        flags: Its command line.
        slot: Where it computes.
        is_cancelled: Asked now and then while it runs; True ends it.
        on_poll: Called as often; what it raises ends the command.

    Raises:
        InputError: It failed; with the last line it wrote to stderr.
    """
    cores = ",".join(map(str, slot.cores)) or "-"
    starter = [sys.executable, "-I", str(PROJECT / "lab" / "child_process.py"), str(os.getpid()), cores]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*starter, sys.executable, "-m", module, *flags, f"--num_workers={slot.threads}"],
            env=_environment(slot),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches the sweep alone, which then ends its commands
        )
        try:
            _wait(process, is_cancelled, on_poll)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise InputError(f"{module}: {_last_line(output, process.returncode)}")


def _environment(slot: WorkerSlot) -> dict[str, str]:
    """The environment of a command that computes in a slot."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(slot.threads),
        **({"CUDA_VISIBLE_DEVICES": slot.gpu} if slot.gpu else {}),
    }


def _wait(
    process: "subprocess.Popen[bytes]", is_cancelled: Callable[[], bool], on_poll: Callable[[], None]
) -> None:
    while True:
        with suppress(subprocess.TimeoutExpired):  # then it is still at work
            process.wait(_POLL_SECONDS)
            return
        if is_cancelled():
            raise InputError("was interrupted")
        on_poll()


def _last_line(output: IO[bytes], code: int) -> str:
    output.seek(max(0, output.seek(0, os.SEEK_END) - _MAX_OUTPUT))
    lines = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1].strip().removeprefix("error: ") if lines else "it wrote nothing"
    return f"killed by signal {-code} (out of memory?); last: {last}" if code < 0 else f"exit {code}: {last}"
