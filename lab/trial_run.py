"""One trial, from nothing or from where it was to its predictions: the ordinary commands in one process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import InputError
from common.files import MANIFEST
from common.locks import Lock
from common.provenance import Provenance, difference, recorded_digest
from glue.config import GlueRunConfig
from glue.predictions import SplitPredictions
from lab.command_chain import chain_command, chain_environment, last_line
from lab.early_stop import MedianRule
from lab.trial_config import TrialConfig
from lab.trial_store import DONE, FAILED, STOPPED, Outcome, predictions_folder
from training.run_config import as_flags
from training.run_state import LOCK, SCORES, read_run_state, remove_saves

_CHILD_PROCESS = Path(__file__).with_name("child_process.py")
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
    """The median rule, or the end of the time, has stopped a trial."""


def run_trial(
    config: TrialConfig,
    slot: WorkerSlot,
    is_cancelled: Callable[[], bool] = lambda: False,
    run_commands: "Callable[..., None] | None" = None,
    reason_to_stop: Callable[[], str] = str,
) -> Outcome:
    """Train what is not trained and predict what is not predicted. Nothing that goes wrong is raised.

    is_cancelled: asked now and then; True ends the trial. run_commands: takes the commands, the slot and what
    to call now and then, which may raise; None: runs them in a process. reason_to_stop: asked now and then; a
    reason stops the trial, which can be resumed.
    """
    rule = MedianRule(config.folder, config.peers) if config.peers else None

    def on_poll() -> None:
        if is_cancelled():
            raise InputError("was interrupted")
        if reason := reason_to_stop() or (rule.reason_to_stop() if rule else ""):
            raise _StoppedError(reason)

    run, started = run_commands or _run_process, time.monotonic()
    try:
        config.folder.mkdir(parents=True, exist_ok=True)
        Lock(config.folder / LOCK, _LOCK_SECONDS).free()
        try:
            run(_commands(config, slot), slot, on_poll)
        except _StoppedError:
            if not read_run_state(config.folder).is_trained:
                raise
            run(_commands(config, slot), slot, on_poll)  # it was trained before it could be stopped
        if not config.keep_saves:
            remove_saves(config.folder)
        outcome = Outcome(DONE)
    except _StoppedError as stopped:
        outcome = Outcome(STOPPED, str(stopped))
    except (InputError, OSError) as error:
        outcome = Outcome(FAILED, " ".join(str(error).split()))
    except Exception as error:  # of this project itself: the trial's end, not the sweep's
        outcome = Outcome(FAILED, " ".join(f"{type(error).__name__}: {error}".split()))
    return replace(outcome, seconds=round(time.monotonic() - started, 1))


def predict_best(
    config: TrialConfig, slot: WorkerSlot, run_commands: "Callable[..., None] | None" = None
) -> Outcome:
    """Predict with the best model so far of a run that was stopped on its way.

    Returns:
        Done; or failed, if it has evaluated nothing yet, or was stopped while it saved.
    """
    best, scores = config.folder / "best" / MANIFEST, config.folder / SCORES
    try:
        if not scores.is_file() or best.stat().st_mtime_ns > scores.stat().st_mtime_ns:
            return Outcome(FAILED, "has no model that was evaluated")
        commands = [_prediction(config, kind) for kind in config.splits]
        (run_commands or _run_process)(_on_slot(commands, slot), slot, lambda: None)
    except (InputError, OSError) as error:
        return Outcome(FAILED, " ".join(str(error).split()))
    return Outcome(DONE, f"stopped at step {read_run_state(config.folder).step}")


def _commands(config: TrialConfig, slot: WorkerSlot) -> list[list[str]]:
    """What is left to do: to train what is not trained, and to predict what is not predicted."""
    run, is_trained = config.run, read_run_state(config.folder).is_trained
    flags = as_flags(replace(run, task_name="", task_file=None))
    commands = [] if is_trained else [["glue.run_glue", _task_flag(run), *flags]]
    commands += [
        _prediction(config, kind)
        for kind in config.splits
        if (prediction_problem(config, kind) if is_trained else kind != "dev")  # a training leaves those
    ]
    return _on_slot(commands, slot)


def _prediction(config: TrialConfig, kind: str) -> list[str]:
    run, folder, best = config.run, predictions_folder(config.folder, kind), config.folder / "best"
    return [
        "glue.run_predict", _task_flag(run), f"--data_dir={run.data_dir}",
        f"--device={run.device}", f"--ckpt_path={best}", f"--split={kind}", f"--output_dir={folder}",
        *(["--engine=dynamic", f"--batch_size={run.eval_batch_size}"] if kind == "dev" else []),
    ]  # fmt: skip


def _task_flag(run: GlueRunConfig) -> str:
    return f"--task_file={run.task_file}" if run.task_file else f"--task_name={run.task_name}"


def _on_slot(commands: list[list[str]], slot: WorkerSlot) -> list[list[str]]:
    return [[*command, f"--num_workers={slot.threads}"] for command in commands]


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


def _run_process(commands: list[list[str]], slot: WorkerSlot, on_poll: Callable[[], None]) -> None:
    """Run commands in a process of their own; InputError with its last line if it failed."""
    if not commands:
        return
    cores = ",".join(map(str, slot.cores)) or "-"
    starter = [sys.executable, "-I", str(_CHILD_PROCESS), str(os.getpid()), cores]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*starter, *chain_command(commands)],
            env=chain_environment(slot.threads, slot.gpu),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches the sweep alone, which then ends its commands
        )
        try:
            while process.poll() is None:
                on_poll()
                with suppress(subprocess.TimeoutExpired):  # then it is still at work
                    process.wait(_POLL_SECONDS)
        finally:
            process.kill()
            process.wait()
        if code := process.returncode:
            output.seek(max(0, output.seek(0, os.SEEK_END) - _MAX_OUTPUT))
            last = last_line(output.read().decode(errors="replace"))
            end = f"killed by signal {-code} (out of memory?); last" if code < 0 else f"exit {code}"
            raise InputError(f"{end}: {last}")
