"""A plan's trials: which there are, in which order, and what they are called."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from common.errors import InputError
from lab.plan import Plan, PlannedCheckpoint, Search, TaskPlan

_LONGEST_NAME = 200  # bytes; file systems take 255, and a record's name is longer
_SHORT = {"learning_rate": "lr", "batch_size": "batch", "num_train_epochs": "epochs"}


@dataclass(frozen=True)
class Trial:
    """One run. settings: those of the plan that hold for it, but for the seed and what a search draws.

    varied: the settings that tell it from its neighbours. number: of the search's suggestion, from 1.
    seed: None for the recipe's own. init_from: the task whose best run it begins with, or empty.
    """

    task: str
    checkpoint: PlannedCheckpoint
    preset: str
    seed: int | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    varied: tuple[tuple[str, Any], ...] = ()
    init_from: str = ""
    search: Search | None = None
    number: int = 0

    @property
    def configuration(self) -> str:
        """The name without the seed: what trials have in common that differ by chance alone."""
        parts = [self.checkpoint.name]
        if self.init_from:
            parts.append(f"from-{self.init_from}")
        parts += [f"{_SHORT.get(key, key)}{_shown(value)}" for key, value in self.varied]
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
    trials = [trial for task_plan in plan.tasks.values() for trial in _trials_of_task(task_plan)]
    for trial in trials:
        if len(trial.name.partition("/")[2].encode()) > _LONGEST_NAME:
            said = f"{trial.name[:60]}…: a name too long for a folder; vary fewer settings"
            raise InputError(f"{plan.path}: {said}")
    return trials


def _trials_of_task(plan: TaskPlan) -> Iterator[Trial]:
    for checkpoint in plan.checkpoints:
        for varied in plan.grid:
            for number in range(1, plan.search.trials + 1) if plan.search else [0]:
                for seed in plan.seeds or [None]:
                    yield Trial(
                        task=plan.task,
                        checkpoint=checkpoint,
                        preset=plan.preset,
                        seed=seed,
                        settings={**plan.settings, **varied},
                        varied=tuple(varied.items()),
                        init_from=plan.init_from,
                        search=plan.search,
                        number=number,
                    )


def _shown(value: Any) -> str:
    """A setting's value as a part of a name: exact, and short: ``1e-4``, ``0.1``, ``3``."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value).lower()
    exact = Decimal(repr(value)).normalize()
    return f"{exact:e}" if 0 < value < 1e-2 else f"{exact:f}"
