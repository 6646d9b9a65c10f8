"""The planner of lab.leaderboard on a simulated clock: it keeps its hours, whatever the speeds are."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from lab.time_keeper import TimeKeeper
from lab.time_plan import (
    CLOSING_SECONDS,
    FRACTIONS,
    MAX_RUNS,
    PlannedRun,
    Situation,
    TaskCost,
    correct,
    plan_runs,
    ready_runs,
)

ROWS = {"mnli": 392702, "qqp": 363846, "sst-2": 67349, "cola": 8551, "rte": 2490}
TRANSFERS = ("rte",)


def cost(task: str, whole: float, closing: float = 1.0, gain: float = 0.5) -> TaskCost:
    seconds = {fraction: 6 + fraction * whole for fraction in FRACTIONS}
    return TaskCost(task, seconds, closing, ROWS[task], gain, "mnli" if task in TRANSFERS else "")


@dataclass
class Simulation:
    """What a machine does whose runs take ``factors[task]`` times as long as expected.

    kills: moments at which everything ends and begins again, a half of what was at work being lost.
    """

    costs: Mapping[str, TaskCost]
    hours: float  # in seconds
    workers: int = 1
    factors: Mapping[str, float] = field(default_factory=dict)
    failing: frozenset[str] = frozenset()
    kills: tuple[float, ...] = ()
    begun: list[PlannedRun] = field(default_factory=list)
    overtaken: set[str] = field(default_factory=set)  # tasks whose planned first run was, by a second run
    done: dict[PlannedRun, float] = field(default_factory=dict)
    cut: list[PlannedRun] = field(default_factory=list)
    now: float = 0.0

    def true_seconds(self, run: PlannedRun) -> float:
        return self.factors.get(run.task, 1.0) * self.costs[run.task].seconds[run.fraction]

    def run(self) -> float:
        """→ the moment at which all runs have ended."""
        begun: dict[PlannedRun, float] = {}
        for kill in (*self.kills, float("inf")):
            begun = self._until(kill, begun)
        return self.now

    def _until(self, kill: float, begun: dict[PlannedRun, float]) -> dict[PlannedRun, float]:
        keeper = TimeKeeper(
            self.costs, self.hours, self.workers, {**dict.fromkeys(self.done, 0.0), **begun}, dict(self.done)
        )
        keeper.replan(self.now)
        ends: dict[PlannedRun, float] = {}
        while True:
            while len(ends) < self.workers and (ready := keeper.ready(self.now)):
                answered = {run.task for run in (*self.done, *ends)}
                if ready[0].task in answered and ready[0] not in self.done:
                    self.overtaken |= {run.task for run in keeper.plan.runs} - answered
                keeper.began(ready[0], self.now)
                left = begun.get(ready[0], self.true_seconds(ready[0]))
                ends[ready[0]] = self.now + (0.0 if ready[0] in self.done else left)
                self.begun.append(ready[0])
                keeper.replan(self.now)
            if not ends:
                return {}
            run, end = min(ends.items(), key=lambda item: item[1])
            moment = min(end, kill)
            if keeper.is_over(moment):  # a watch looks on all the time
                while not keeper.is_over(self.now):
                    self.now += 0.01 * self.hours
                self.now = min(self.now, moment)
                self.cut += ends
                return {}
            self.now = moment
            if kill < end:
                return {other: (ends[other] - kill) / 2 + self.true_seconds(other) / 2 for other in ends}
            ends.pop(run)
            is_done = run.task not in self.failing
            if is_done:
                self.done.setdefault(run, self.true_seconds(run))
            keeper.ended(run, self.now, is_done, self.true_seconds(run))
            keeper.replan(self.now)

    def closing(self) -> float:
        """What the end takes on that machine."""
        each = (self.factors.get(run.task, 1.0) * self.costs[run.task].closing for run in self.done)
        return CLOSING_SECONDS + sum(each)


def machine_of(number: int, exact: bool = False) -> Simulation:
    """A machine drawn at random, always the same for a number."""
    draw = random.Random(number)

    def scale(low: float, high: float) -> float:
        return float(math.exp(draw.uniform(math.log(low), math.log(high))))

    tasks = draw.sample(sorted(ROWS), draw.randint(1, len(ROWS)))
    costs = {task: cost(task, scale(20, 20_000), scale(0.1, 100), draw.uniform(0.05, 1)) for task in tasks}
    hours, workers = scale(60, 20_000), draw.randint(1, 4)
    if exact:
        return Simulation(costs, hours, workers)
    factors = {task: scale(0.3, 3) for task in tasks}
    kills = tuple(sorted(hours * draw.random() for _ in range(draw.randint(0, 3))))
    failing = frozenset(draw.sample(tasks, draw.choice([0, 0, 1])))
    return Simulation(costs, hours, workers, factors, failing, kills)


def test_with_the_speeds_as_measured_all_that_is_begun_ends_within_the_hours() -> None:
    begun = 0
    for number in range(50):
        machine = machine_of(number, exact=True)
        end = machine.run() + machine.closing()
        begun += len(machine.begun)
        assert not machine.begun or end <= machine.hours, number
        assert not machine.cut, number
        assert not machine.overtaken, number
    assert begun > 300


@pytest.mark.parametrize("numbers", [range(start, start + 50) for start in (0, 50)])
def test_whatever_the_speeds_the_hours_are_kept_and_first_runs_come_first(numbers: range) -> None:
    """0.01 of the hours is how often the simulated watch looks."""
    for number in numbers:
        machine = machine_of(number)
        end = machine.run()
        assert not machine.begun or end <= 1.01 * machine.hours - CLOSING_SECONDS, number
        assert not machine.overtaken, number
        if not machine.kills:
            assert len(set(machine.begun)) == len(machine.begun), number
        assert max((run.seed for run in machine.begun), default=1) <= MAX_RUNS, number


NINE = {task: cost(task, whole) for task, whole in zip(ROWS, (3000, 2000, 1000, 200, 250), strict=True)}
WHOLE = sum(each.seconds[1.0] for each in NINE.values())
SHORTEST = sum(each.seconds[0.125] for each in NINE.values())


def planned(seconds: float, **more: object) -> list[PlannedRun]:
    return list(plan_runs(NINE, Situation(seconds, **more)).runs)  # type: ignore[arg-type]


def test_where_time_permits_every_task_has_its_whole_recipe_before_seeds_are_added() -> None:
    runs = planned(1.2 * WHOLE + 100)
    assert {(run.task, run.fraction) for run in runs} >= {(task, 1.0) for task in NINE}
    assert {run.task for run in runs[:5]} == set(NINE)
    assert {run.task for run in runs[5:]} == {"rte", "cola"}  # few rows: their seeds vary most


def test_little_time_is_for_shorter_runs_of_all_and_less_for_some_tasks() -> None:
    runs = planned(1.2 * SHORTEST + 50)
    assert {run.task for run in runs} == set(NINE)
    assert min(run.fraction for run in runs) < 1
    runs = planned(0.3 * SHORTEST + 50)
    assert 1 <= len({run.task for run in runs}) < 5
    assert "mnli" not in {run.task for run in runs}
    assert planned(CLOSING_SECONDS + 5) == []


def test_transfers_begin_with_their_source_only_if_it_is_trained() -> None:
    runs = planned(WHOLE)
    names = [run.task for run in runs]
    assert names.index("mnli") < names.index("rte")
    assert {run.init_from for run in runs if run.task == "rte"} == {"mnli"}
    assert {run.init_from for run in planned(WHOLE, closed={"mnli"}) if run.task == "rte"} == {""}


def test_with_several_workers_nothing_but_first_runs_begins_while_one_waits_for_its_source() -> None:
    situation = Situation(10 * WHOLE, 2)
    plan = plan_runs(NINE, situation)
    assert plan.runs[0].task == "mnli"
    ready = ready_runs(plan, situation)
    assert [run.task for run in ready].count("rte") == 0
    assert len(ready) == len({run.task for run in ready}) == 4


def test_speeds_that_differ_from_the_estimate_change_the_plan() -> None:
    keeper = TimeKeeper(NINE, 1.2 * WHOLE + 100)
    before = keeper.replan(0.0)
    first = before.runs[0]
    keeper.began(first, 0.0)
    taken = 3 * NINE[first.task].seconds[first.fraction]
    keeper.ended(first, taken, True, taken)
    keeper.replan(taken)
    assert keeper.plan.seconds <= 1.2 * WHOLE + 100 - taken
    rest = {run.task: run.fraction for run in keeper.plan.runs}
    assert set(rest) == set(NINE) - {first.task}  # each has its first run yet, but a shorter one
    assert min(rest.values()) < 1.0
    keeper = TimeKeeper(NINE, 1.2 * WHOLE + 100)
    keeper.replan(0.0)
    keeper.began(first, 0.0)
    keeper.ended(first, 10.0, True, 10.0)  # faster than expected
    keeper.replan(10.0)
    assert len(keeper.plan.runs) > len(before.runs)


def test_costs_are_corrected_by_their_own_task_else_by_all() -> None:
    rte, cola = PlannedRun("rte", 1.0, 1), PlannedRun("cola", 0.5, 1)
    corrected = correct(NINE, {rte: 2 * 256.0, cola: 106.0})
    assert corrected["rte"].seconds[0.5] == pytest.approx(2 * 131.0)
    assert corrected["cola"].seconds[1.0] == pytest.approx(206.0)
    assert corrected["mnli"].seconds[1.0] == pytest.approx(3006.0 * (512 + 106) / (256 + 106))
    assert corrected["mnli"].closing == pytest.approx((512 + 106) / (256 + 106))
    assert correct(NINE, {}) == NINE
    slow_once = {PlannedRun("rte", 1.0, seed): seconds for seed, seconds in enumerate([9e9, 256, 256, 256])}
    assert correct(NINE, slow_once)["mnli"] == NINE["mnli"]


def test_more_hours_lengthen_what_was_short() -> None:
    """A second call with more time: the short run stays, a longer one joins it."""
    short = PlannedRun("mnli", 0.125, 1)
    runs = planned(3 * WHOLE, begun={short: 0.0})
    assert short in runs
    assert PlannedRun("mnli", 1.0, 1) in runs
    half = PlannedRun("mnli", 1.0, 1)
    assert planned(1500, begun={half: 400.0})[0] == half
