"""What to run: a plan (``lab/plan_file.py`` reads it) and its trials: their order and their names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from common.errors import InputError

METHODS = ("mean", "vote", "threshold")  # by what the runs predicted: tried by default
NETWORK_METHODS = ("soup", "orders", "saves")  # by predicting again: tried where they are named
ENSEMBLE_SIZE = 5  # the most runs that are joined where nothing else says
_MAX_NAME = 200  # bytes; file systems take 255, and a record's name is longer
_SHORT = {"learning_rate": "lr", "batch_size": "batch", "num_train_epochs": "epochs"}


@dataclass(frozen=True)
class PlannedCheckpoint:
    """Where trials begin, by its name in the plan."""

    name: str
    model: str  # a folder or a published name
    from_scratch: bool = False  # the folder has no weights
    do_lower_case: bool | None = None  # whether texts are lower-cased; None: as the folder says


@dataclass(frozen=True)
class Range:
    """What a search takes a setting from: choices, or numbers from low to high (whole ones where both ends
    are whole), evenly in their logarithm where log is true."""

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    def holds(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        )


@dataclass(frozen=True)
class Search:
    """A search for settings: so many suggestions, each setting taken from its range.

    A suggestion knows the results of all those before it but the last at_once - 1, however many run at the
    same time; so the same plan gives the same trials.
    """

    trials: int
    space: Mapping[str, Range]
    at_once: int = 1

    def pick(self, settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """Of a run's settings those that are searched for; None if one is not in the space."""
        if all(key in settings and space.holds(settings[key]) for key, space in self.space.items()):
            return {key: settings[key] for key in self.space}
        return None


@dataclass(frozen=True)
class TaskPlan:
    """What to run of one task; the rest is as in ``Trial``."""

    task: str
    checkpoints: tuple[PlannedCheckpoint, ...]
    preset: str = ""
    seeds: tuple[int, ...] = ()  # empty for the preset's own
    settings: Mapping[str, Any] = field(default_factory=dict)
    grid: tuple[Mapping[str, Any], ...] = ({},)  # combinations of settings, each over ``settings``
    search: Search | None = None
    init_from: str = ""
    task_file: str = ""


@dataclass(frozen=True)
class Plan:
    """A whole plan, from a file or a shipped one of that name."""

    path: str
    tasks: Mapping[str, TaskPlan]
    stop_early: bool = False  # by the median rule
    ensemble_size: int = ENSEMBLE_SIZE  # the most runs that a task's answer is made of
    methods: tuple[str, ...] = METHODS  # ways to combine them


@dataclass(frozen=True)
class Trial:
    """One run of a plan."""

    task: str
    checkpoint: PlannedCheckpoint
    preset: str  # empty: the model's own
    seed: int | None  # None: the preset's
    settings: Mapping[str, Any] = field(default_factory=dict)  # but the seed and what a search suggests
    varied: tuple[tuple[str, Any], ...] = ()  # the settings that tell it from its neighbours
    init_from: str = ""  # the task whose best run it begins with
    search: Search | None = None  # suggests the rest of its settings
    number: int = 0  # which suggestion of the search, from 1
    task_file: str = ""  # of a task of the user's own

    @property
    def configuration(self) -> str:
        """The name without the seed: what trials have in common that differ by chance alone."""
        parts = [self.checkpoint.name]
        if self.init_from:
            parts.append(f"from-{self.init_from}")
        parts += [f"{_SHORT.get(key, key)}{_value_text(value)}" for key, value in self.varied]
        if self.search:
            parts.append(f"search{self.number}")
        return f"{self.task}/{'-'.join(parts)}"

    @property
    def name(self) -> str:
        """``rte/base-from-mnli-lr1e-4-seed42``: unique in its plan, and a path below the runs' folder."""
        return self.configuration + ("" if self.seed is None else f"-seed{self.seed}")

    def folder(self, runs: Path) -> Path:
        return runs / self.name


def trials_of(plan: Plan) -> list[Trial]:
    """All trials, in the order in which they are begun where nothing else decides."""
    trials = [
        Trial(
            task_plan.task, checkpoint, task_plan.preset, seed, {**task_plan.settings, **varied},
            tuple(varied.items()), task_plan.init_from, task_plan.search, number, task_plan.task_file,
        )
        for task_plan in plan.tasks.values()
        for checkpoint in task_plan.checkpoints
        for varied in task_plan.grid
        for number in (range(1, task_plan.search.trials + 1) if task_plan.search else [0])
        for seed in task_plan.seeds or [None]
    ]  # fmt: skip
    for trial in trials:
        if len(trial.name.partition("/")[2].encode()) > _MAX_NAME:
            message = f"{trial.name[:60]}…: a name too long for a folder; vary fewer settings"
            raise InputError(message, path=plan.path)
    return trials


def _value_text(value: Any) -> str:
    """A setting's value as a part of a name: exact, and short: ``1e-4``, ``0.1``, ``3``."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value).lower()
    exact = Decimal(repr(value)).normalize()
    return f"{exact:e}" if 0 < value < 1e-2 else f"{exact:f}"
