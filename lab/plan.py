"""What to run: a plan, read from YAML and checked before anything starts.

A plan names checkpoints and tasks; ``preset``, ``seeds``, ``settings``, ``grid`` and ``search`` stand at
the top for all tasks, or below a task for it alone (its settings are laid over those at the top, the others
take their place). ``extends: NAME`` begins with a shipped plan or another file: keys given here at the top
take the place of that plan's.
"""

import dataclasses
import itertools
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.messages import shortened
from common.yaml_file import Node, read_nodes
from glue.config import PRESETS, GlueTrainingConfig, check_task
from glue.tasks import TASKS, find_task, known_tasks, task_named

PLANS = Path(__file__).parent / "plans"
METHODS = ("mean", "vote")
_MOST_TRIALS = 1000  # of a grid or a search; more are a slip
_MOST_EXTENDED = 20  # plans
_SETTINGS = {f.name: str(getattr(f.type, "__name__", f.type)) for f in dataclasses.fields(GlueTrainingConfig)}
_OF_A_TASK = ("preset", "seeds", "settings", "grid", "search")
_AT_THE_TOP = ("extends", "checkpoints", *_OF_A_TASK, "stop_early", "ensemble", "tasks")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")  # no hyphen: it separates the parts of a trial's name
_INIT_FROM = re.compile(r"best of (\S+)")


@dataclass(frozen=True)
class PlannedCheckpoint:
    """Where trials begin. model: a folder or a published name. from_scratch: the folder has no weights.
    do_lower_case: whether texts are, whatever the folder says; None: as it says."""

    name: str
    model: str
    from_scratch: bool = False
    do_lower_case: bool | None = None


@dataclass(frozen=True)
class Range:
    """What a search draws a setting from: choices, or numbers from low to high, evenly in their logarithm
    where log is true; whole ones where both ends are whole."""

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
    """trials: how many suggestions. at_once: a suggestion knows the results of all those before it but
    the last at_once - 1, however many run at the same time; so the same plan gives the same trials."""

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
    """What to run of one task. seeds: empty for the recipe's own. init_from: a task, or empty.

    grid: the combinations of settings to try, each over ``settings``; one empty one where there is no grid.
    """

    task: str
    checkpoints: tuple[PlannedCheckpoint, ...]
    preset: str = ""
    seeds: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    grid: tuple[Mapping[str, Any], ...] = ({},)
    search: Search | None = None
    init_from: str = ""


@dataclass(frozen=True)
class Plan:
    """ensemble_size: the most runs that a task's answer is made of. methods: ways to join them."""

    path: str
    tasks: Mapping[str, TaskPlan]
    stop_early: bool = False
    ensemble_size: int = 1
    methods: tuple[str, ...] = METHODS


def shipped_plans() -> list[str]:
    return sorted(path.stem for path in PLANS.glob("*.yaml"))


def read_plan(path: str) -> Plan:
    """The plan in a file, or the shipped one of that name; InputError with file, line and key."""
    top = _extended(_read(path, may_be_pipe=True), [path])
    if "checkpoints" not in top or "tasks" not in top:
        missing = "tasks" if "checkpoints" in top else "checkpoints"
        raise InputError(f"{path}: no '{missing}:'; a plan names checkpoints and tasks")
    checkpoints = _checkpoints(top["checkpoints"])
    tasks = {}
    for key, node in top["tasks"].entries().items():
        task = find_task(key)
        if task is None:
            raise node.refused(f"no such task; known: {known_tasks(key)}")
        if task.name in tasks:
            raise node.refused("stands twice")
        tasks[task.name] = _task_plan(task.name, node, top, checkpoints)
    if not tasks:
        raise top["tasks"].wrong("at least one task")
    _check_sources(tasks, top["tasks"])
    size, methods = _ensemble(top.get("ensemble"))
    return Plan(path, tasks, _stop_early(top.get("stop_early")), size, methods)


def _read(path: str, may_be_pipe: bool = False) -> Node:
    is_there = Path(path).exists() and not Path(path).is_dir()
    if path in shipped_plans() and not is_there:
        return read_nodes(PLANS / f"{path}.yaml", f"{path}.yaml")
    if not is_there:
        raise InputError(f"{path}: no such plan file; shipped plans: {', '.join(shipped_plans())}")
    return read_nodes(path, path, may_be_pipe)


def _extended(root: Node, seen: list[str]) -> dict[str, Node]:
    top = root.fields(_AT_THE_TOP)
    if "extends" not in top:
        return top
    base = written = top["extends"].text()
    if base not in shipped_plans():
        base = os.path.normpath(Path(seen[-1]).parent / os.path.expanduser(base))  # noqa: PTH111
        if not os.path.isfile(base):  # noqa: PTH113 (false, not an error, for a name that is too long)
            known = ", ".join(shipped_plans())
            raise top["extends"].refused(f"no such plan file: {written}; shipped plans: {known}")
    if len(seen) > _MOST_EXTENDED:
        raise top["extends"].refused(f"more than {_MOST_EXTENDED} plans extend one another")
    if os.path.realpath(base) in map(os.path.realpath, seen):
        raise top["extends"].refused(f"{base} extends itself")
    return {**_extended(_read(base), [*seen, base]), **top}


def _checkpoints(node: Node) -> tuple[PlannedCheckpoint, ...]:
    found = []
    for name, entry in node.entries().items():
        if not _NAME.fullmatch(name):
            raise entry.refused("a checkpoint's name has letters, digits, '_' and '.' only")
        if isinstance(entry.value, dict):
            fields = entry.fields(("model", "from_scratch", "do_lower_case"))
            if "model" not in fields:
                raise entry.refused("names no 'model:'")
            scratch = "from_scratch" in fields and fields["from_scratch"].truth()
            lower_case = fields["do_lower_case"].truth() if "do_lower_case" in fields else None
            found.append(PlannedCheckpoint(name, fields["model"].text(), scratch, lower_case))
        else:
            found.append(PlannedCheckpoint(name, entry.text()))
    if not found:
        raise node.wrong("lines 'name: model folder or published name'")
    return tuple(found)


def _task_plan(
    task: str, node: Node, top: Mapping[str, Node], checkpoints: tuple[PlannedCheckpoint, ...]
) -> TaskPlan:
    own = node.fields((*_OF_A_TASK, "init_from", "checkpoints"))
    if "grid" in own or "search" in own:  # of these two there is one
        top = {key: value for key, value in top.items() if key not in ("grid", "search")}
    parts = {key: own.get(key, top.get(key)) for key in _OF_A_TASK}
    settings = [_settings(part["settings"]) for part in (top, own) if "settings" in part]
    grid = _grid(parts["grid"]) if parts["grid"] else ({},)
    search = _search(parts["search"]) if parts["search"] else None
    if grid != ({},) and search and parts["search"]:
        raise parts["search"].refused("a grid and a search exclude each other")
    if "checkpoints" in own:
        known = {checkpoint.name: checkpoint for checkpoint in checkpoints}
        for item in own["checkpoints"].items():
            if item.text() not in known:
                raise item.refused(f"no checkpoint {shortened(item.text(), 60)}; known: {', '.join(known)}")
        names = [item.value for item in own["checkpoints"].items()]
        if len(set(names)) < len(names):
            raise own["checkpoints"].refused("a checkpoint stands twice")
        checkpoints = tuple(known[item.value] for item in own["checkpoints"].items())
    settings_in_all = {key: value for part in settings for key, value in part.items()}
    choices = (
        [{key: choice} for key, space in search.space.items() for choice in space.choices] if search else []
    )
    for cell in (*grid, *choices):
        try:
            check_task(GlueTrainingConfig(**{**settings_in_all, **cell}), TASKS[task])
        except InputError as error:  # each is fine by itself
            raise node.refused(str(error)) from None
    return TaskPlan(
        task=task,
        checkpoints=checkpoints,
        preset=_preset(parts["preset"]),
        seeds=_seeds(parts["seeds"]),
        settings=settings_in_all,
        grid=grid,
        search=search,
        init_from=_init_from(own.get("init_from")),
    )


def _preset(node: Node | None) -> str:
    if node is None:
        return ""
    if not isinstance(node.value, str) or node.value not in PRESETS:
        raise node.wrong(f"one of {', '.join(PRESETS)}")
    return str(node.value)


def _seeds(node: Node | None) -> tuple[int, ...]:
    if node is None:
        return ()
    if len(node.items()) > _MOST_TRIALS:
        raise node.refused(f"more than {_MOST_TRIALS} seeds")
    seeds = tuple(_checked("seed", item) for item in node.items())
    if len(set(seeds)) < len(seeds):
        raise node.refused("a seed stands twice")
    return seeds


def _settings(node: Node) -> dict[str, Any]:
    return {key: _value(key, entry) for key, entry in node.entries().items()}


def _grid(node: Node) -> tuple[dict[str, Any], ...]:
    """Every combination of a grid, or of each grid of a list."""
    found: list[dict[str, Any]] = []
    for grid in node.items() if isinstance(node.value, list) else [node]:
        values = {}
        for key, entry in grid.entries().items():
            values[key] = [_value(key, item) for item in entry.items()]
            if len(set(values[key])) < len(values[key]):
                raise entry.refused("a value stands twice")
        if len(found) + math.prod(map(len, values.values())) > _MOST_TRIALS:
            raise grid.refused(f"more than {_MOST_TRIALS} combinations")
        for cell in itertools.product(*values.values()):
            found.append(dict(zip(values, cell, strict=True)))
    for number, combination in enumerate(found):
        if combination in found[:number]:
            raise node.refused(f"{combination or 'the plain recipe'} stands in two grids")
    return tuple(found)


def _search(node: Node) -> Search | None:
    fields = node.fields(("trials", "at_once", "space"))
    if not fields:
        return None
    if "trials" not in fields or "space" not in fields:
        raise node.refused("a search has 'trials:' and 'space:'")
    space = {key: _range(key, entry) for key, entry in fields["space"].entries().items()}
    if not space:
        raise fields["space"].wrong("lines 'setting: {low: …, high: …}' or 'setting: [choices]'")
    at_once = fields["at_once"].whole(1, _MOST_TRIALS) if "at_once" in fields else 1
    return Search(fields["trials"].whole(1, _MOST_TRIALS), space, at_once)


def _range(key: str, node: Node) -> Range:
    if isinstance(node.value, list):
        return Range(choices=tuple(_value(key, item) for item in node.items()))
    fields = node.fields(("low", "high", "log"))
    if "low" not in fields or "high" not in fields:
        raise node.refused("a range has 'low:' and 'high:', or is a list of choices")
    low, high = _value(key, fields["low"]), _value(key, fields["high"])
    if isinstance(low, str | bool) or not low < high:
        raise node.refused(f"low {low} is not below high {high}")
    log = "log" in fields and fields["log"].truth()
    if log and low <= 0:
        raise fields["low"].refused("0 has no logarithm; begin above it")
    return Range(low, high, log)


def _value(key: str, node: Node) -> Any:
    """A training setting, checked as the flag of that name would be."""
    if key == "seed":
        raise node.refused("seeds are listed under 'seeds:'")
    if key not in _SETTINGS:
        raise node.refused("no such setting; python -m glue.run_glue --help lists them")
    return _checked(key, node)


def _checked(key: str, node: Node) -> Any:
    value = node.value
    if isinstance(value, list | dict) or value is None:
        raise node.wrong("one value")
    if _SETTINGS[key] == "float":  # YAML 1.1 reads 1e-4 (without a dot) as text
        try:
            value = float(value) if isinstance(value, str | int) and not isinstance(value, bool) else value
        except (ValueError, OverflowError):
            raise node.wrong("a number") from None
    alone = {"max_steps": 1} if key == "num_train_epochs" else {}  # 0 epochs are fine where steps are given
    try:
        GlueTrainingConfig(**{**alone, key: value})
    except InputError as error:
        raise node.refused(str(error).partition(": ")[2]) from None
    return value


def _init_from(node: Node | None) -> str:
    if node is None:
        return ""
    match = _INIT_FROM.fullmatch(node.text())
    task = find_task(match[1]) if match else None
    if task is None:
        raise node.wrong("'best of TASK'")
    return task.name


def _check_sources(tasks: Mapping[str, TaskPlan], node: Node) -> None:
    entries = {task_named(key).name: entry for key, entry in node.entries().items()}
    for name, plan in tasks.items():
        place = entries[name].entries()["init_from"] if plan.init_from else node
        if plan.init_from and plan.init_from not in tasks:
            raise place.refused(f"the plan has no {plan.init_from}")
        path, source = [name], plan.init_from
        while source:
            if source in path:
                raise place.refused(f"{' from '.join([*path, source])}: nothing to begin with")
            path.append(source)
            source = tasks[source].init_from
        if plan.init_from:
            known = tasks[plan.init_from].checkpoints
            for checkpoint in plan.checkpoints:
                if checkpoint not in known:
                    raise place.refused(f"{plan.init_from} is not run from checkpoint {checkpoint.name}")


def _stop_early(node: Node | None) -> bool:
    if node is None or node.value is False:
        return False
    if node.value != "median":
        raise node.wrong("median, or false")
    return True


def _ensemble(node: Node | None) -> tuple[int, tuple[str, ...]]:
    if node is None or node.value is False:
        return 1, METHODS
    fields = node.fields(("size", "methods"))
    methods = tuple(item.text() for item in fields["methods"].items()) if "methods" in fields else METHODS
    for method in methods:
        if method not in METHODS:
            raise fields["methods"].wrong(f"some of {', '.join(METHODS)}")
    return fields["size"].whole(1, _MOST_TRIALS) if "size" in fields else 5, methods
