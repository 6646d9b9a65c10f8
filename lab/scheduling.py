"""Which trial is begun when: as soon as a worker is free and what it waits for is settled."""

import concurrent.futures
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from common.errors import InputError
from lab.plan import PlannedCheckpoint, Trial
from lab.trial_config import TrialConfig, TrialResolver
from lab.trial_run import prediction_problem
from lab.trial_store import (
    DONE,
    FAILED,
    SKIPPED,
    STOPPED,
    Outcome,
    TrialResult,
    forget,
    read_begun_model,
    read_begun_settings,
    read_status,
    read_trial_scores,
    readable_results,
    record_path,
    write_record,
)
from training.run_state import ARGS, Stage, read_run_state

KEPT = Outcome(DONE, "was done before")
_REFRESH_SECONDS = 1.0
_REMEDY = "take another --runs, or remove that run"


class Runner(Protocol):
    """Runs trials somewhere. workers: how many at a time, which may change."""

    @property
    def workers(self) -> int: ...

    def submit(self, config: TrialConfig) -> "Future[Outcome]": ...

    def close(self) -> None: ...


class Watcher(Protocol):
    """Is told what happens."""

    def began(self, trial: Trial) -> None: ...

    def ended(self, trial: Trial, outcome: Outcome) -> None: ...

    def refresh(self) -> None: ...


Suggest = Callable[[Trial, Sequence[tuple[Trial, TrialResult | None]]], Mapping[str, Any]]


class _TransferSource(NamedTuple):
    """The folder of the model that a transfer begins with, if there is one. is_known: False if the trial has
    begun with one that is gone, so that nothing can be compared with it."""

    model: Path | None
    is_known: bool = True


class Sweep:
    """The trials of a plan and how far they are.

    trials: all of them, in the order in which they begin where nothing else decides. suggest: (a search's
    trial, the trials before it that it may know with their results) → its settings.
    """

    def __init__(self, trials: Sequence[Trial], resolver: TrialResolver, suggest: Suggest) -> None:
        self.trials, self.resolver, self._suggest = list(trials), resolver, suggest
        self.outcomes: dict[str, Outcome] = {}

    def check(self) -> None:
        """InputError if a folder holds a run of other settings than the plan's.

        What depends on results that are still to come, or cannot be read, is reported when its time has come.
        """
        for trial in self.trials:
            difference = ""
            with suppress(InputError, OSError):
                difference = self.difference(trial)
            if difference:
                path = trial.folder(self.resolver.runs) / ARGS
                raise InputError(f"{difference}; {_REMEDY}", path=path)

    def difference(self, trial: Trial) -> str:
        """How the run in a trial's folder was made otherwise than the plan says; empty if it was not, or if
        there is none."""
        is_begun = read_begun_model(trial.folder(self.resolver.runs)) is not None
        return self.resolver.difference(self.resolve(trial)) if is_begun else ""

    def resolve(self, trial: Trial, source: _TransferSource | None = None) -> TrialConfig:
        """The config of a trial, by what is there now: runs to begin with, results of a search."""
        source = source or self._source(trial)
        peers = [other for other in self.trials if other.task == trial.task]
        return self.resolver.resolve(trial, source.model, self._suggested(trial), peers, source.is_known)

    def outcome_before(self, config: TrialConfig) -> Outcome | None:
        """The outcome of a trial that need not run: done, or stopped early, before; else None."""
        status, folder = read_status(config.folder), config.folder
        if not read_run_state(folder).is_trained:
            stays = status == STOPPED and self.resolver.stop_early
            return Outcome(STOPPED, "was stopped early before") if stays else None
        read_trial_scores(folder, config.task.name)  # InputError if they are damaged
        if any(prediction_problem(config, kind) for kind in config.splits):
            return None
        return KEPT if status == DONE else Outcome(DONE)

    def reason_to_run(self, config: TrialConfig) -> str:
        """Say why a trial that was begun is run again; empty if none was begun, or nothing is left to do."""
        state = read_run_state(config.folder)
        if not state.is_trained:
            return "" if state.stage is Stage.EMPTY else state.reason
        return next(filter(None, (prediction_problem(config, kind) for kind in config.splits)), "")

    def run(self, runner: Runner, watcher: Watcher) -> dict[str, Outcome]:
        """Run all trials to their ends; trial's name → outcome. A watcher that is told of an end may change
        ``trials`` as long as it keeps those that run or have ended."""
        running: dict[Future[Outcome], Trial] = {}
        while True:
            while len(running) < runner.workers and (trial := self._next(running.values())):
                following = self._prepare(trial)
                if isinstance(following, Outcome):
                    self._end(trial, following, watcher)
                else:
                    watcher.began(trial)
                    running[runner.submit(following)] = trial
            if not running and not self._next(()):
                return self.outcomes
            ended, _ = concurrent.futures.wait(running, _REFRESH_SECONDS, concurrent.futures.FIRST_COMPLETED)
            for future in ended:
                trial, outcome = running.pop(future), future.result()
                write_record(self.resolver.runs, trial, outcome)
                self._end(trial, outcome, watcher)
            watcher.refresh()

    def _next(self, running: Collection[Trial]) -> Trial | None:
        """The first trial that can begin now: whatever it waits for has ended."""
        begun = {*self.outcomes, *(trial.name for trial in running)}
        for trial in self.trials:
            if trial.name in begun:
                continue
            if all(other.name in self.outcomes for other in (*self.sources(trial), *self._earlier(trial))):
                return trial
        return None

    def _end(self, trial: Trial, outcome: Outcome, watcher: Watcher) -> None:
        self.outcomes[trial.name] = outcome
        watcher.ended(trial, outcome)

    def _prepare(self, trial: Trial) -> TrialConfig | Outcome:
        """What a worker is to run; or the outcome of a trial that needs or can have none."""
        runs, folder = self.resolver.runs, trial.folder(self.resolver.runs)
        try:
            source, is_trained = self._source(trial), read_run_state(folder).is_trained
            if trial.init_from and source.model is None and not is_trained:
                outcome = Outcome(SKIPPED, f"no {trial.init_from} run to begin with is done")
                write_record(runs, trial, outcome)
                return outcome
            config = self.resolve(trial, source)
            if difference := self.resolver.difference(config):
                return Outcome(FAILED, f"{folder / ARGS}: {difference}; {_REMEDY}")
            before = self.outcome_before(config)
            if before is not None and before != KEPT:
                write_record(runs, trial, before)
            elif before is None and not is_trained:
                forget(runs, trial)
            return before or config
        except (InputError, OSError) as error:  # its files, or the official ones, cannot be read
            message, record = " ".join(str(error).split()), record_path(folder)
            is_its_own = str(record) in message or f"{folder}/" in message
            return Outcome(FAILED, message + (f"; remove {folder} and {record.name}" if is_its_own else ""))

    def _source(self, trial: Trial) -> _TransferSource:
        """What a trial begins with: a transfer with the best run so far, but one that has begun with what it
        began with, as long as that is there."""
        if not trial.init_from:
            return _TransferSource(None)
        runs, begun = self.resolver.runs, read_begun_model(trial.folder(self.resolver.runs))
        is_of_run = begun is not None and begun.name == "best" and bool(begun.parent.name)
        if begun is not None and is_of_run:  # all runs may have been moved together
            kept = runs / trial.init_from / begun.parent.name / "best"
            if kept.is_dir():
                return _TransferSource(kept)
        best = best_folder(runs, self.sources(trial))
        return _TransferSource(best and best / "best", is_known=best is not None and not is_of_run)

    def sources(self, trial: Trial) -> list[Trial]:
        """The trials that a transfer chooses from."""
        return self._runs_of(trial.init_from, trial.checkpoint)

    def _earlier(self, trial: Trial) -> list[Trial]:
        """The trials whose results a search's suggestion knows."""
        latest = trial.number - trial.search.at_once if trial.search else -1
        return [other for other in self._runs_of(trial.task, trial.checkpoint) if other.number <= latest]

    def _runs_of(self, task: str, checkpoint: PlannedCheckpoint) -> list[Trial]:
        return [trial for trial in self.trials if (trial.task, trial.checkpoint) == (task, checkpoint)]

    def _suggested(self, trial: Trial) -> Mapping[str, Any]:
        """What a search says of a trial: what it or one of its other seeds has begun with, else what it
        suggests now. So a result that changes later changes no trial that has begun."""
        if trial.search is None:
            return {}
        seeds = [
            other
            for other in self.trials
            if (other.configuration, other.search) == (trial.configuration, trial.search) and other != trial
        ]
        for other in [trial, *seeds]:
            with suppress(InputError, OSError):
                settings, _ = read_begun_settings(other.folder(self.resolver.runs))
                if (suggested := trial.search.pick(settings)) is not None:
                    return suggested
        earlier = self._earlier(trial)
        results = readable_results(self.resolver.runs, [other.name for other in earlier])
        done = {result.trial: result for result in results if result.status == DONE}
        return self._suggest(trial, [(other, done.get(other.name)) for other in earlier])


def best_folder(runs: Path, trials: Sequence[Trial]) -> Path | None:
    """The run with the best dev score of those that are trained (ties: the first), also where its predictions
    failed; None if none is."""
    mains: dict[Path, float] = {}
    for trial in trials:
        folder = trial.folder(runs)
        with suppress(InputError, OSError):  # a damaged one concerns its own trial
            if read_status(folder) in (DONE, FAILED) and read_run_state(folder).is_trained:
                mains[folder] = read_trial_scores(folder, trial.task)["best"]["main"]
    return max(mains, key=lambda folder: mains[folder]) if mains else None
