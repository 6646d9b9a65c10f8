"""Plans in YAML, read and checked before anything starts; ``lab.sweep --help`` shows one in full."""

import dataclasses
import itertools
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.messages import did_you_mean, shortened
from common.yaml_file import Node, read_nodes
from glue.config import PRESETS, GlueTrainingConfig, check_task
from glue.task_file import read_task_file
from glue.tasks import Task, find_task, known_tasks, task_named
from lab.plan import ENSEMBLE_SIZE, METHODS, NETWORK_METHODS, Plan, PlannedCheckpoint, Range, Search, TaskPlan

PLANS = Path(__file__).parent / "plans"
_MAX_TRIALS = 1000  # of a grid or a search; more are a slip
_MAX_EXTENDED = 20  # plans
_TASK_KEYS = ("preset", "seeds", "settings", "grid", "search")
_TOP_KEYS = ("extends", "checkpoints", *_TASK_KEYS, "stop_early", "ensemble", "tasks")
_TYPES = {setting.name: type(setting.default) for setting in dataclasses.fields(GlueTrainingConfig)}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")  # no hyphen: it separates the parts of a trial's name
_INIT_FROM = re.compile(r"best of (\S+)")


def shipped_plans() -> list[str]:
    """The names of the plans that come with the project."""
    return sorted(path.stem for path in PLANS.glob("*.yaml"))


def read_plan(path: str) -> Plan:
    """Read a plan from a file, or the shipped one of that name; InputError with file, line and key."""
    top = _extend(_read(path, may_be_pipe=True), [path])
    for key in ("checkpoints", "tasks"):
        if key not in top:
            raise InputError(f"no '{key}:'; a plan names checkpoints and tasks", path=path)
    checkpoints = _checkpoints(top["checkpoints"])
    tasks: dict[str, TaskPlan] = {}
    entries = _entries(top["tasks"])
    for task, node in [(_find(key, node), node) for key, node in entries.items()]:
        if task.name in tasks:
            raise node.refused("stands twice")
        tasks[task.name] = _task_plan(task, node, top, checkpoints)
    if not tasks:
        raise top["tasks"].wrong("at least one task")
    _check_sources(tasks, top["tasks"])
    rule = top.get("stop_early")
    if rule is not None and rule.value is not False and rule.value != "median":
        raise rule.wrong("median, or false")
    return Plan(path, tasks, rule is not None and bool(rule.value), *_ensemble(top.get("ensemble")))


def _read(path: str, may_be_pipe: bool = False) -> Node:
    is_there = Path(path).exists() and not Path(path).is_dir()
    if path in shipped_plans() and not is_there:
        return read_nodes(PLANS / f"{path}.yaml", f"{path}.yaml")
    if not is_there:
        raise InputError(f"no such plan file; shipped plans: {', '.join(shipped_plans())}", path=path)
    return read_nodes(path, path, may_be_pipe)


def _extend(root: Node, files: list[str]) -> dict[str, Node]:
    """The entries of a plan over those of the plan it extends. files: the plans on the way here."""
    top = root.fields(_TOP_KEYS)
    if "extends" not in top:
        return top
    node = top["extends"]
    base = node.text()
    if base not in shipped_plans():
        base = os.path.normpath(Path(files[-1]).parent / os.path.expanduser(base))  # noqa: PTH111
        if not os.path.isfile(base):  # noqa: PTH113 (false, not an error, for a name that is too long)
            known = ", ".join(shipped_plans())
            raise node.refused(f"no such plan file: {node.text()}; shipped plans: {known}")
    if len(files) > _MAX_EXTENDED:
        raise node.refused(f"more than {_MAX_EXTENDED} plans extend one another")
    if os.path.realpath(base) in map(os.path.realpath, files):
        raise node.refused(f"{base} extends itself")
    return {**_extend(_read(base), [*files, base]), **top}


def _checkpoints(node: Node) -> tuple[PlannedCheckpoint, ...]:
    checkpoints = []
    for name, entry in node.entries().items():
        if not _NAME.fullmatch(name):
            raise entry.refused("a checkpoint's name has letters, digits, '_' and '.' only")
        if not isinstance(entry.value, dict):
            checkpoints.append(PlannedCheckpoint(name, entry.text()))
            continue
        fields = entry.fields(("model", "from_scratch", "do_lower_case"))
        if "model" not in fields:
            raise entry.refused("names no 'model:'")
        switches = {key: field.truth() for key, field in fields.items() if key != "model"}
        checkpoints.append(PlannedCheckpoint(name, fields["model"].text(), **switches))
    if not checkpoints:
        raise node.wrong("lines 'name: model folder or published name'")
    return tuple(checkpoints)


def _find(key: str, node: Node) -> Task:
    """The task of an entry below ``tasks:``, which for one of the user's own names a task file."""
    file = node.value.get("task_file") if isinstance(node.value, dict) else None
    if file is None:
        task = find_task(key)
        if task is None or task.is_own:
            raise node.refused(f"no such task; known: {known_tasks(key)}; or name the task_file of your own")
        return task
    task = read_task_file(_beside(file))
    if task.name != key:
        raise file.refused(f"is of the task {task.name}: name it so here")
    return task


def _beside(node: Node | None) -> str:
    """The absolute path of a file that a plan names; empty if it names none."""
    if node is None:
        return ""
    return os.path.abspath(Path(node.path).parent / os.path.expanduser(node.text()))  # noqa: PTH100, PTH111


def _task_plan(
    task: Task, node: Node, top: Mapping[str, Node], checkpoints: tuple[PlannedCheckpoint, ...]
) -> TaskPlan:
    fields = node.fields((*_TASK_KEYS, "init_from", "checkpoints", "task_file"))
    if "grid" in fields or "search" in fields:  # of these two there is one
        top = {key: value for key, value in top.items() if key not in ("grid", "search")}
    parts = {key: fields.get(key, top.get(key)) for key in _TASK_KEYS}
    settings: dict[str, Any] = {}
    for level in (top, fields):
        if "settings" in level:
            settings |= {key: _setting(key, entry) for key, entry in level["settings"].entries().items()}
    grid = _grid(parts["grid"]) if parts["grid"] else ({},)
    search = _search(parts["search"]) if parts["search"] else None
    if grid != ({},) and search and parts["search"]:
        raise parts["search"].refused("a grid and a search exclude each other")
    space = search.space.items() if search else ()
    for cell in (*grid, *({key: choice} for key, range_ in space for choice in range_.choices)):
        try:
            check_task(GlueTrainingConfig(**{**settings, **cell}), task)
        except InputError as error:  # each is fine by itself
            raise node.refused(str(error)) from None
    preset = parts["preset"]
    if preset is not None and (not isinstance(preset.value, str) or preset.value not in PRESETS):
        raise preset.wrong(f"one of {', '.join(PRESETS)}")
    if "checkpoints" in fields:
        checkpoints = _choose_checkpoints(fields["checkpoints"], checkpoints)
    seeds = _seeds(parts["seeds"]) if parts["seeds"] is not None else ()
    init_from = _init_from(fields["init_from"]) if "init_from" in fields else ""
    name, file = preset.value if preset else "", _beside(fields.get("task_file"))
    return TaskPlan(task.name, checkpoints, name, seeds, settings, grid, search, init_from, file)


def _init_from(node: Node) -> str:
    match = _INIT_FROM.fullmatch(node.text())
    source = find_task(match[1]) if match else None
    if source is None:
        raise node.wrong("'best of TASK'")
    return source.name


def _choose_checkpoints(
    node: Node, checkpoints: tuple[PlannedCheckpoint, ...]
) -> tuple[PlannedCheckpoint, ...]:
    known = {checkpoint.name: checkpoint for checkpoint in checkpoints}
    for item in node.items():
        if item.text() not in known:
            raise item.refused(f"no checkpoint {shortened(item.text(), 60)}; known: {', '.join(known)}")
    names = [item.text() for item in node.items()]
    _refuse_twice(node, "a checkpoint", names)
    return tuple(known[name] for name in names)


def _refuse_twice(node: Node, noun: str, values: Sequence[Any]) -> None:
    if len(set(values)) < len(values):
        raise node.refused(f"{noun} stands twice")


def _seeds(node: Node) -> tuple[int, ...]:
    if len(node.items()) > _MAX_TRIALS:
        raise node.refused(f"more than {_MAX_TRIALS} seeds")
    seeds = tuple(_checked("seed", item) for item in node.items())
    _refuse_twice(node, "a seed", seeds)
    return seeds


def _grid(node: Node) -> tuple[dict[str, Any], ...]:
    """Every combination of a grid, or of each grid of a list."""
    cells: list[dict[str, Any]] = []
    for grid in node.items() if isinstance(node.value, list) else [node]:
        values = {}
        for key, entry in grid.entries().items():
            values[key] = [_setting(key, item) for item in entry.items()]
            _refuse_twice(entry, "a value", values[key])
        if len(cells) + math.prod(map(len, values.values())) > _MAX_TRIALS:
            raise grid.refused(f"more than {_MAX_TRIALS} combinations")
        cells += [dict(zip(values, cell, strict=True)) for cell in itertools.product(*values.values())]
    for number, cell in enumerate(cells):
        if cell in cells[:number]:
            raise node.refused(f"{cell or 'the plain recipe'} is in two grids")
    return tuple(cells)


def _search(node: Node) -> Search | None:
    fields = node.fields(("trials", "at_once", "space"))
    if not fields:
        return None
    if "trials" not in fields or "space" not in fields:
        raise node.refused("a search has 'trials:' and 'space:'")
    space = {key: _range(key, entry) for key, entry in fields["space"].entries().items()}
    if not space:
        raise fields["space"].wrong("lines 'setting: {low: …, high: …}' or 'setting: [choices]'")
    at_once = fields["at_once"].whole(1, _MAX_TRIALS) if "at_once" in fields else 1
    return Search(fields["trials"].whole(1, _MAX_TRIALS), space, at_once)


def _range(key: str, node: Node) -> Range:
    if isinstance(node.value, list):
        return Range(choices=tuple(_setting(key, item) for item in node.items()))
    fields = node.fields(("low", "high", "log"))
    if "low" not in fields or "high" not in fields:
        raise node.refused("a range has 'low:' and 'high:', or is a list of choices")
    low, high = _setting(key, fields["low"]), _setting(key, fields["high"])
    if isinstance(low, str | bool) or not low < high:
        raise node.refused(f"low {low} is not below high {high}")
    log = "log" in fields and fields["log"].truth()
    if log and low <= 0:
        raise fields["low"].refused("0 has no logarithm; begin above it")
    return Range(low, high, log)


def _setting(key: str, node: Node) -> Any:
    """A training setting but the seed, checked as the flag of that name would be."""
    if key == "seed":
        raise node.refused("seeds are listed under 'seeds:'")
    if key not in _TYPES:
        meant = did_you_mean(key, _TYPES)
        raise node.refused(f"no such setting{meant}; python -m glue.run_glue --help lists them")
    return _checked(key, node)


def _checked(key: str, node: Node) -> Any:
    value = node.value
    if isinstance(value, list | dict) or value is None:
        raise node.wrong("one value")
    if _TYPES[key] is float and isinstance(value, str | int) and not isinstance(value, bool):
        try:
            value = float(value)  # YAML 1.1 reads 1e-4 (without a dot) as text
        except (ValueError, OverflowError):
            raise node.wrong("a number") from None
    alone = {"max_steps": 1} if key == "num_train_epochs" else {}  # 0 epochs are fine where steps are given
    try:
        GlueTrainingConfig(**{**alone, key: value})
    except InputError as error:
        raise node.refused(str(error).partition(": ")[2]) from None
    return value


def _entries(tasks: Node) -> dict[str, Node]:
    """Task → what the plan says of it; a list names tasks of which it says nothing."""
    if not isinstance(tasks.value, list):
        return tasks.entries()
    entries: dict[str, Node] = {}
    for item in tasks.items():
        if item.text() in entries:
            raise item.refused(f"{item.text()!r} stands twice")
        entries[item.text()] = dataclasses.replace(item, value=None)
    return entries


def _check_sources(tasks: Mapping[str, TaskPlan], node: Node) -> None:
    """InputError where a task begins with one that is not run or not from its checkpoints, or with itself."""
    nodes = {task_named(key).name: entry for key, entry in _entries(node).items()}
    for name, plan in tasks.items():
        if not plan.init_from:
            continue
        source = nodes[name].entries()["init_from"]
        if plan.init_from not in tasks:
            raise source.refused(f"the plan has no {plan.init_from}")
        path = [name]
        while following := tasks[path[-1]].init_from if path[-1] in tasks else "":
            if following in path:
                raise source.refused(f"{' from '.join([*path, following])}: nothing to begin with")
            path.append(following)
        for checkpoint in plan.checkpoints:
            if checkpoint not in tasks[plan.init_from].checkpoints:
                raise source.refused(f"{plan.init_from} is not run from checkpoint {checkpoint.name}")


def _ensemble(node: Node | None) -> tuple[int, tuple[str, ...]]:
    if node is None or node.value is False:
        return ENSEMBLE_SIZE, METHODS
    fields = node.fields(("size", "methods"))
    methods = tuple(item.text() for item in fields["methods"].items()) if "methods" in fields else METHODS
    known = (*METHODS, *NETWORK_METHODS)
    if not set(methods) <= set(known):
        raise fields["methods"].wrong(f"some of {', '.join(known)}")
    return fields["size"].whole(1, _MAX_TRIALS) if "size" in fields else ENSEMBLE_SIZE, methods
