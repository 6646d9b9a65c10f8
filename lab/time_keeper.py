"""Keeps a plan in step with the time that its runs really take. It knows no clock: whoever calls says how
many seconds have passed."""

from collections.abc import Mapping
from dataclasses import replace

from lab.time_plan import (
    PlannedRun,
    Situation,
    TaskCost,
    TimePlan,
    closing_seconds,
    correct,
    plan_runs,
    ready_runs,
)

_LEAST_LEFT = 0.05  # of a run's seconds, of one that takes longer than expected


class TimeKeeper:
    """The runs of so many seconds: done, at work, still to begin; planned anew whenever one ends.

    begun: runs of an earlier call → the seconds that they still need, 0 for one that is done. taken: how many
    those took that are done.
    """

    def __init__(
        self,
        costs: Mapping[str, TaskCost],
        seconds: float,
        workers: int = 1,
        begun: Mapping[PlannedRun, float] | None = None,
        taken: Mapping[PlannedRun, float] | None = None,
    ) -> None:
        self._costs, self._seconds, self._workers = dict(costs), seconds, workers
        self._begun, self._taken = dict(begun or {}), dict(taken or {})
        self._needed = dict(self._begun)  # of a run that began: the seconds that it needed then, if known
        self.done: list[PlannedRun] = []
        self.busy: dict[PlannedRun, float] = {}  # since when
        self.closed: set[str] = set()  # tasks of which a run failed
        self.plan = TimePlan((), 0.0)
        for run in self._begun:
            self._settle(run)

    def _settle(self, run: PlannedRun) -> None:
        """All runs of a task begin with what one of them began with."""
        self._costs[run.task] = replace(self._costs[run.task], init_from=run.init_from)

    def replan(self, now: float) -> TimePlan:
        """Plan again what is still to begin."""
        self.plan = plan_runs(self._corrected(), self._situation(now))
        return self.plan

    @property
    def begun(self) -> list[PlannedRun]:
        """The runs that were begun: done, at work, interrupted, failed."""
        return list(dict.fromkeys([*self.done, *self.busy, *self._begun]))

    def ready(self, now: float) -> list[PlannedRun]:
        """The planned runs that may begin now, in order."""
        return ready_runs(self.plan, self._situation(now))

    def began(self, run: PlannedRun, now: float) -> None:
        """A run has begun."""
        self.busy[run] = now
        self._begun.pop(run, None)
        self._settle(run)

    def ended(self, run: PlannedRun, now: float, is_done: bool, taken: float = 0.0) -> None:
        """A run is done, failed, or was stopped because the time is up. taken: its seconds in all calls; 0 if
        they say nothing of its speed."""
        left = self._situation(now).busy.get(run, 0.0)
        self.busy.pop(run, None)
        self._begun.pop(run, None)
        if is_done:
            self.done.append(run)
            if taken:
                self._taken[run] = taken
            return
        self._begun[run] = left or self._costs[run.task].seconds[run.fraction]
        if not self.is_over(now):
            self.closed.add(run.task)

    def is_over(self, now: float) -> bool:
        """Whether what is left is needed for the closing; then no run goes on."""
        return now >= self.deadline()

    def deadline(self) -> float:
        """The moment from which all that is left is needed for the closing."""
        return self._seconds - closing_seconds(self._corrected(), [*self.done, *self.busy])

    def can_answer(self, run: PlannedRun, now: float, end: float) -> bool:
        """Whether a run that was stopped can be predicted, and all be closed, till a moment."""
        costs = self._corrected()
        return now + costs[run.task].closing + closing_seconds(costs, [*self.done, run]) <= end

    def _corrected(self) -> dict[str, TaskCost]:
        return correct(self._costs, self._taken)

    def _situation(self, now: float) -> Situation:
        corrected = self._corrected()
        busy = {}
        for run, since in self.busy.items():
            whole = self._needed.get(run, corrected[run.task].seconds[run.fraction])
            busy[run] = max(whole - (now - since), _LEAST_LEFT * whole)
        return Situation(
            self._seconds - now, self._workers, tuple(self.done), busy, self._begun, frozenset(self.closed)
        )
