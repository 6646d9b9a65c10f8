"""Which runs fit into the time that is left: decided from seconds alone, so that any clock can be simulated.

A task's first run may have a fraction of its recipe's epochs. First every task gets its shortest run, as long
as time permits, the one with most to gain a second first. What is left is spent step by step on what
promises most a second: a longer run, or one more seed. The promises are rough, and only order the steps: a
first run gains what the majority answer lacks; a run of 1/n of the epochs loses n - 1 times ``_LOSS`` of
that; seeds vary by about one over the root of the training rows, and the n-th adds 1/(n - 1) - 1/n of it.
"""

import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

FRACTIONS = (1.0, 0.5, 0.25, 0.125)  # of a recipe's epochs that a run may have
MAX_RUNS = 10  # of a task and a fraction; more gain next to nothing
CLOSING_SECONDS = 30.0  # to pack, check and report, and to start verifying
_LOSS = 0.1
_LATEST = 3  # runs, by which the speed is corrected: a machine may have other work for a while
_MARGIN = 1.1  # plans leave so much more time than was measured


@dataclass(frozen=True)
class TaskCost:
    """What runs of a task take and may gain."""

    task: str
    seconds: Mapping[float, float]  # fraction → of a run with its predictions
    closing: float  # seconds at the end for each run: to join it, and to predict the test rows once more
    rows: int  # of the training file
    gain: float  # the best score there is minus that of the majority answer
    init_from: str = ""  # the task whose best run its runs begin with, where that has one


@dataclass(frozen=True)
class PlannedRun:
    """A run by what tells it from others of the same model."""

    task: str
    fraction: float
    seed: int
    init_from: str = field(default="", compare=False)


@dataclass(frozen=True)
class Situation:
    """How far the runs are, and what is left of the time."""

    seconds: float
    workers: int = 1
    done: tuple[PlannedRun, ...] = ()
    busy: Mapping[PlannedRun, float] = field(
        default_factory=dict
    )  # runs at work → seconds that they still need
    # Runs that were interrupted → the same; 0 for one that was done and only has to be looked at
    begun: Mapping[PlannedRun, float] = field(default_factory=dict)
    closed: Collection[str] = ()  # tasks that get no further run


@dataclass(frozen=True)
class TimePlan:
    """The runs still to begin, in order, and after how many seconds everything is verified and reported."""

    runs: tuple[PlannedRun, ...]
    seconds: float


def correct(costs: Mapping[str, TaskCost], taken: Mapping[PlannedRun, float]) -> dict[str, TaskCost]:
    """The costs as the latest runs that are done suggest: of their own task, else of all tasks. taken: run →
    its seconds, the latest last."""

    def ratio(runs: Sequence[PlannedRun]) -> float:
        expected = sum(costs[run.task].seconds[run.fraction] for run in runs)
        return sum(taken[run] for run in runs) / expected if runs else 1.0

    general, corrected = ratio(list(taken)[-_LATEST:]), {}
    for task, cost in costs.items():
        runs = [run for run in taken if run.task == task][-_LATEST:]
        factor = ratio(runs) if runs else general
        seconds = {fraction: factor * value for fraction, value in cost.seconds.items()}
        corrected[task] = replace(cost, seconds=seconds, closing=factor * cost.closing)
    return corrected


def closing_seconds(costs: Mapping[str, TaskCost], runs: Collection[PlannedRun]) -> float:
    """How long joining, packing, verifying and reporting of so many runs takes."""
    return CLOSING_SECONDS + _MARGIN * sum(costs[run.task].closing for run in runs)


def shortest_seconds(costs: Mapping[str, TaskCost], workers: int = 1) -> float:
    """The least time in which each of these tasks gets a run, and all is packed and verified."""
    runs = [PlannedRun(cost.task, min(cost.seconds), 1) for cost in costs.values()]
    return _Planner(costs, Situation(0.0, workers)).end(runs)


def plan_runs(costs: Mapping[str, TaskCost], situation: Situation) -> TimePlan:
    """Plan what is to begin from now on; no run if none fits."""
    planner = _Planner(costs, situation)
    planner.cover()
    planner.resume()
    planner.improve()
    return TimePlan(tuple(planner.in_order(planner.runs)), planner.end(planner.runs))


def ready_runs(plan: TimePlan, situation: Situation) -> list[PlannedRun]:
    """The runs that may begin now: a transfer waits for its source, and nothing but first runs begins before
    every planned first run has."""
    answered = {run.task for run in (*situation.done, *situation.busy)}
    sources, ready, is_waiting = {run.task for run in situation.done}, [], False
    for run in plan.runs:
        is_first = run.task not in answered
        if run.init_from and run.init_from not in sources:
            is_waiting = is_waiting or is_first
        elif is_first or not is_waiting:
            ready.append(run)
        answered.add(run.task)
    return ready


class _Planner:
    def __init__(self, costs: Mapping[str, TaskCost], situation: Situation) -> None:
        self.costs, self.now, self.runs = costs, situation, list[PlannedRun]()
        self.before = [*situation.done, *situation.busy]
        self._sources_done = {run.task for run in situation.done}

    def cover(self) -> None:
        """Give every task that has no run its interrupted or its shortest one, the one that gains most a
        second first."""
        self.runs = [run for run, seconds in self.now.begun.items() if not seconds]
        answered = {run.task for run in (*self.before, *self.runs)}
        for cost in sorted(self.costs.values(), key=_first_rate, reverse=True):
            if cost.task not in answered and cost.task not in self.now.closed:
                begun = [run for run in self.now.begun if run.task == cost.task]
                shortest = PlannedRun(cost.task, min(cost.seconds), 1)
                any(self._take_if_it_fits([*self.runs, run]) for run in (*begun, shortest))

    def resume(self) -> None:
        """Go on with what else was interrupted."""
        for run in self.now.begun:
            if run not in self.runs and run.task not in self.now.closed:
                self._take_if_it_fits([*self.runs, run])

    def improve(self) -> None:
        """Lengthen first runs and add seeds as long as something fits; what does not never will."""
        too_long = set[PlannedRun]()
        while steps := [step for step in self._steps() if step[1][-1] not in too_long]:
            _, runs = max(steps, key=lambda step: step[0])
            if not self._take_if_it_fits(runs):
                too_long.add(runs[-1])

    def end(self, runs: Sequence[PlannedRun]) -> float:
        """After how many seconds all is over: list scheduling, then the closing."""
        busy = self.now.busy
        free = [*busy.values(), *[0.0] * (self.now.workers - len(busy))]
        heapq.heapify(free)
        ends = {run.task: seconds for run, seconds in busy.items()}
        for run in self.in_order(runs):
            ready = 0.0 if run.init_from in self._sources_done else ends.get(run.init_from, 0.0)
            end = max(heapq.heappop(free), ready) + self._seconds(run)
            ends[run.task] = min(end, ends.get(run.task, math.inf))
            heapq.heappush(free, end)
        return max(free) + closing_seconds(self.costs, [*self.before, *runs])

    def in_order(self, runs: Sequence[PlannedRun]) -> list[PlannedRun]:
        """First runs, interrupted runs, further runs, each with what it begins with; sources before the runs
        that wait for them, and with several workers before all others, so that nobody has to wait."""
        tasks = {run.task for run in (*self.before, *runs)}
        linked = [replace(run, init_from=self._source(run.task, tasks)) for run in runs]
        sources = {run.init_from for run in linked}
        answered = {run.task for run in self.before}
        firsts = {run.task: run for run in reversed(linked) if run.task not in answered}

        def key(run: PlannedRun) -> tuple[bool, bool, int, float]:
            is_first = firsts.get(run.task) == run
            waits = bool(run.init_from) and run.init_from not in self._sources_done
            rank = 2 if waits else 0 if run.task in sources and self.now.workers > 1 else 1
            rate = _first_rate(self.costs[run.task]) if is_first else 0.0
            return not is_first, run not in self.now.begun, rank, -rate

        return sorted(linked, key=key)

    def _steps(self) -> list[tuple[float, list[PlannedRun]]]:
        """What could be added now: what it promises a second → the runs with it."""
        steps = []
        for task, cost in self.costs.items():
            before = [run for run in self.before if run.task == task]
            runs = [run for run in self.runs if run.task == task]
            if task in self.now.closed or not (before or runs):
                continue
            fraction = max(run.fraction for run in (*before, *runs))
            longest = [run for run in (*before, *runs) if run.fraction == fraction]
            count, one_more = len(longest), cost.seconds[fraction] + cost.closing
            if count < MAX_RUNS:
                value = 1 / math.sqrt(cost.rows) / (count * (count + 1))
                seed = next(seed for seed in range(1, MAX_RUNS + 1) if all(r.seed != seed for r in longest))
                steps.append((value / one_more, [*self.runs, PlannedRun(task, fraction, seed)]))
            longer = next((each for each in sorted(cost.seconds) if each > fraction), None)
            if longer is not None:
                value = cost.gain * _LOSS * (1 / fraction - 1 / longer)
                new, kept, seconds = PlannedRun(task, longer, 1), self.runs, cost.seconds[longer]
                if not before and len(runs) == 1 and runs[0] not in self.now.begun:  # in its place
                    kept, seconds = [run for run in self.runs if run not in runs], seconds - one_more
                steps.append((value / max(1e-9, seconds + cost.closing), [*kept, new]))
        return steps

    def _take_if_it_fits(self, runs: list[PlannedRun]) -> bool:
        if self.end(runs) > self.now.seconds:
            return False
        self.runs = runs
        return True

    def _seconds(self, run: PlannedRun) -> float:
        return _MARGIN * self.now.begun.get(run, self.costs[run.task].seconds[run.fraction])

    def _source(self, task: str, tasks: Collection[str]) -> str:
        source = self.costs[task].init_from
        return source if source in tasks else ""


def _first_rate(cost: TaskCost) -> float:
    return cost.gain / min(cost.seconds.values())
