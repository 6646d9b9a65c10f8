"""Which trial is begun when: as soon as a worker is free and what it waits for is settled."""

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from common.errors import InputError
from lab.jobs import Jobs
from lab.trial_run import Job, is_predicted
from lab.trial_store import (
    DONE,
    FAILED,
    SKIPPED,
    STOPPED,
    Outcome,
    Result,
    begun_with,
    forget,
    read_status,
    readable_results,
    record_path,
    scores_of,
    write_record,
)
from lab.trials import Trial
from training.run_state import read_run_state

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
            difference = ""
            with suppress(InputError, OSError):
                difference = self.difference(trial)
            if difference:
                raise InputError(f"{difference}; {_REMEDY}")

    def difference(self, trial: Trial) -> str:
        """How the run in a trial's folder was made otherwise than the plan says; empty if it was not, or if
        there is none. Of a transfer whose source is gone all but that is compared. InputError where that
        cannot be read."""
        folder = trial.folder(self.jobs.runs)
        if not (folder / "args.json").is_file():
            return ""
        source = self._source(trial)
        is_gone = bool(trial.init_from) and self.jobs.source_of(folder, source)[1]
        return self.jobs.difference(trial, self.jobs.job(trial, source, self._drawn(trial), []), not is_gone)

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
        source, folder = self._source(trial), trial.folder(self.jobs.runs)
        if trial.init_from and source is None and not read_run_state(folder).is_trained:
            self._settle(trial, Outcome(SKIPPED, f"no {trial.init_from} run to begin with is done"))
            return None
        peers = [other for other in self.trials if other.task == trial.task]
        job = self.jobs.job(trial, source, self._drawn(trial), peers)
        if difference := self.difference(trial):
            self._settle(trial, Outcome(FAILED, f"{difference}; {_REMEDY}"), recorded=False)
        elif (status := self._settled(trial, job)) is not None:
            self._settle(trial, status, recorded=status != KEPT)
        else:
            if not read_run_state(folder).is_trained:
                forget(self.jobs.runs, trial)
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
        if not read_run_state(folder).is_trained:
            stays = status == STOPPED and self.jobs.stop_early
            return Outcome(STOPPED, "was stopped early before") if stays else None
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

    def _source(self, trial: Trial) -> Path | None:
        """The run that a transfer begins with, if there is one."""
        return best_folder(self.jobs.runs, self._sources(trial)) if trial.init_from else None

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
        """What a search says of a trial: what it or one of its other seeds has begun with, else what it
        suggests now. So a result that changes later changes no trial that has begun."""
        if trial.search is None:
            return {}
        own = trial.folder(self.jobs.runs)
        others = [other.folder(self.jobs.runs) for other in self.trials if _are_one_suggestion(trial, other)]
        for folder in [own, *others]:
            with suppress(InputError, OSError):
                drawn = trial.search.drawn(begun_with(folder)[0])
                if drawn is not None:
                    return drawn
        earlier = self._earlier(trial)
        results = {result.trial: result for result in _done(self.jobs.runs, earlier)}
        return self.suggest(trial, [(other, results.get(other.name)) for other in earlier])


KEPT = Outcome(DONE, "was done before")


def _are_one_suggestion(trial: Trial, other: Trial) -> bool:
    """Whether two trials of a search differ by their seeds alone."""
    return (trial.configuration, trial.search) == (other.configuration, other.search)


def best_folder(runs: Path, trials: Sequence[Trial]) -> Path | None:
    """The run with the best dev score of those that are trained (ties: the first), also where its predictions
    failed; None if none is."""
    mains: dict[Path, float] = {}
    for trial in trials:
        folder = trial.folder(runs)
        with suppress(InputError, OSError):  # a damaged one is its own trial's trouble
            if read_status(folder) in (DONE, FAILED) and read_run_state(folder).is_trained:
                mains[folder] = scores_of(folder, trial.task)["best"]["main"]
    return max(mains, key=lambda folder: mains[folder]) if mains else None


def _done(runs: Path, trials: Sequence[Trial]) -> list[Result]:
    results = readable_results(runs, [trial.name for trial in trials])
    return [result for result in results if result.status == DONE]
