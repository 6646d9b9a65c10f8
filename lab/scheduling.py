"""Which trial is begun when: as soon as a worker is free and what it waits for is settled."""

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from commands.errors import InputError
from lab.jobs import Jobs
from lab.records import (
    DONE,
    FAILED,
    SKIPPED,
    STOPPED,
    Outcome,
    Result,
    read_status,
    readable_results,
    record_path,
    scores_of,
    write_record,
)
from lab.trial_run import Job, is_predicted, is_trained
from lab.trials import Trial

_REFRESH_SECONDS = 1.0
_REMEDY = "take another --runs, or remove that run"


class Engine(Protocol):
    """Where jobs run. workers: how many at a time, which may change."""

    @property
    def workers(self) -> int: ...

    def submit(self, job: Job) -> "Future[Outcome]": ...

    def close(self) -> None: ...


class Watcher(Protocol):
    """Who is told what happens."""

    def began(self, trial: Trial) -> None: ...

    def ended(self, trial: Trial, outcome: Outcome) -> None: ...

    def refresh(self) -> None: ...


Suggest = Callable[[Trial, Sequence[tuple[Trial, Result | None]]], Mapping[str, Any]]


class Sweep:
    """The trials of a plan and how far they are.

    suggest: (a search's trial, the trials before it that it may know with their results) → its settings.
    """

    def __init__(self, trials: Sequence[Trial], jobs: Jobs, watcher: Watcher, suggest: Suggest) -> None:
        self.trials, self.jobs, self.watcher, self.suggest = list(trials), jobs, watcher, suggest
        self.outcomes: dict[str, Outcome] = {}

    def check(self) -> None:
        """InputError if a folder holds a run of other settings than the plan's; what depends on results
        that are still to come, or cannot be read, is told when its time has come."""
        for trial in self.trials:
            source = best_folder(self.jobs.runs, self._sources(trial)) if trial.init_from else None
            if trial.search is None and (source or not trial.init_from):
                difference = ""
                with suppress(InputError, OSError):
                    difference = self.jobs.difference(trial, self.jobs.job(trial, source, {}, []))
                if difference:
                    raise InputError(f"{difference}; {_REMEDY}")

    def run(self, engine: Engine) -> dict[str, Outcome]:
        """Run all trials to their ends; trial's name → outcome."""
        running: dict[Future[Outcome], Trial] = {}
        waiting = list(self.trials)
        while waiting or running:
            for trial in list(waiting):
                if len(running) >= engine.workers:
                    break
                if not self._is_ready(trial):
                    continue
                waiting.remove(trial)
                try:
                    job = self._prepared(trial)
                except (InputError, OSError) as error:
                    self._settle(trial, self._refused(trial, error), recorded=False)
                    continue
                if job is not None:
                    self.watcher.began(trial)
                    running[engine.submit(job)] = trial
            if running:
                done, _ = concurrent.futures.wait(
                    running, _REFRESH_SECONDS, concurrent.futures.FIRST_COMPLETED
                )
                for future in done:
                    self._settle(running.pop(future), future.result())
            self.watcher.refresh()
        return self.outcomes

    def is_settled(self, trial: Trial) -> bool:
        """Whether nothing of a trial is left to do, as far as its own folder tells."""
        return self._settled(trial, self.jobs.job(trial, None, {}, [])) is not None

    def _prepared(self, trial: Trial) -> Job | None:
        """The job of a trial; None if it is settled without one, or cannot be run."""
        source = None
        if trial.init_from:
            source = best_folder(self.jobs.runs, self._sources(trial))
            if source is None:
                self._settle(trial, Outcome(SKIPPED, f"no {trial.init_from} run to begin with is done"))
                return None
        peers = [other for other in self.trials if other.task == trial.task]
        job = self.jobs.job(trial, source, self._drawn(trial), peers)
        if difference := self.jobs.difference(trial, job):
            self._settle(trial, Outcome(FAILED, f"{difference}; {_REMEDY}"), recorded=False)
        elif (status := self._settled(trial, job)) is not None:
            self._settle(trial, status, recorded=status != KEPT)
        else:
            return job
        return None

    def _refused(self, trial: Trial, error: Exception) -> Outcome:
        """The outcome of a trial whose files, or the official ones, cannot be read."""
        said, folder = " ".join(str(error).split()), trial.folder(self.jobs.runs)
        own = str(record_path(folder)) in said or f"{folder}/" in said
        return Outcome(FAILED, said + (f"; remove {folder} and {record_path(folder).name}" if own else ""))

    def _settled(self, trial: Trial, job: Job) -> Outcome | None:
        """The outcome of a trial that need not run: done before, or stopped early before; else None."""
        folder = Path(job.folder)
        status = read_status(folder)
        if status == STOPPED and self.jobs.stop_early:
            return Outcome(STOPPED, "was stopped early before")
        if not is_trained(folder):
            return None
        scores_of(folder, trial.task)  # InputError if it is damaged
        if not all(is_predicted(job, split) for split in job.splits):
            return None
        return KEPT if status == DONE else Outcome(DONE)

    def _settle(self, trial: Trial, outcome: Outcome, recorded: bool = True) -> None:
        if recorded:
            write_record(self.jobs.runs, trial, outcome)
        self.outcomes[trial.name] = outcome
        self.watcher.ended(trial, outcome)

    def _is_ready(self, trial: Trial) -> bool:
        before = [*self._sources(trial), *self._earlier(trial)]
        return all(other.name in self.outcomes for other in before)

    def _sources(self, trial: Trial) -> list[Trial]:
        """The trials that a transfer chooses from."""
        return [
            other
            for other in self.trials
            if other.task == trial.init_from and other.checkpoint == trial.checkpoint
        ]

    def _earlier(self, trial: Trial) -> list[Trial]:
        """The trials whose results a search's suggestion knows."""
        if trial.search is None:
            return []
        latest = trial.number - trial.search.at_once
        return [
            other
            for other in self.trials
            if (other.task, other.checkpoint) == (trial.task, trial.checkpoint) and other.number <= latest
        ]

    def _drawn(self, trial: Trial) -> Mapping[str, Any]:
        if trial.search is None:
            return {}
        earlier = self._earlier(trial)
        results = {result.trial: result for result in _done(self.jobs.runs, earlier)}
        return self.suggest(trial, [(other, results.get(other.name)) for other in earlier])


KEPT = Outcome(DONE, "was done before")


def best_folder(runs: Path, trials: Sequence[Trial]) -> Path | None:
    """The run with the best dev score of those that are done (ties: the first); None if none is."""
    done = _done(runs, trials)
    return max(done, key=lambda result: result.main).folder if done else None


def _done(runs: Path, trials: Sequence[Trial]) -> list[Result]:
    results = readable_results(runs, [trial.name for trial in trials])
    return [result for result in results if result.status == DONE]
