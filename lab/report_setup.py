"""What the runs of a report were made of: model, recipe, data, program; read from their ``args.json``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pandas import DataFrame

from common.json_files import read_json_object
from common.provenance import short
from glue.tasks import task_named
from lab.form_text import parameters
from lab.results import best_runs
from submission.check import mapping_of

_PROGRAM = ("convbert-glue", "commit", "paddle", "python")


@dataclass(frozen=True)
class ModelRow:
    """A model that runs began with."""

    name: str
    digest: str
    size: int | None  # parameters of the network that was trained, None where no weights can be read
    shape: str  # kind, layers and width


@dataclass(frozen=True)
class RunsSetup:
    """What the runs of a report were made of."""

    models: list[ModelRow]
    common_settings: dict[str, Any]  # what the best runs of all tasks have alike
    tasks: list[str]  # the folder's name of each task, in the order of the values below
    settings: list[tuple[str, list[Any]]]  # a setting that differs between tasks, and its values
    files: list[tuple[str, Any, str]]  # file, rows, SHA-256
    program: str  # versions of the project and of what it runs on


def setup_of(done: DataFrame) -> RunsSetup:
    """Read what the done runs were made of."""
    args = {folder: read_json_object(folder / "args.json") for folder in done["folder"]}
    models = {_model_row(folder, values): None for folder, values in args.items()}
    best = best_runs(done)
    recipes = [_recipe(args[folder]) for folder in best["folder"]]
    common, differing = _split(recipes)
    files = {
        (file, entry.get("rows", "–"), str(entry.get("sha256", "–")))
        for values in args.values()
        for file, entry in mapping_of(values.get("data")).items()
        if isinstance(entry, dict)
    }
    versions = [mapping_of(values.get("versions")) for values in args.values()]
    program = [f"{name} {_listed(version.get(name) for version in versions)}" for name in _PROGRAM]
    return RunsSetup(
        list(models), common, [task_named(name).folder for name in best.index], differing,
        sorted(files, key=str), ", ".join(text for text in program if not text.endswith(" ")),
    )  # fmt: skip


def _listed(values: Any) -> str:
    return " and ".join(dict.fromkeys(str(value) for value in values if value))


def model_name(args: Mapping[str, Any]) -> str:
    """The name that a run's model goes by."""
    return Path(str(args.get("model_name_or_path", ""))).name or "–"


def _model_row(folder: Path, args: Mapping[str, Any]) -> ModelRow:
    network = mapping_of(args.get("model"))
    shape = "–"
    if network:
        shape = (
            f"{network.get('model_type')}, {network.get('num_hidden_layers')} layers, "
            f"width {network.get('hidden_size')}"
        )
    digest = str(args.get("model_sha256") or "–")
    return ModelRow(model_name(args), short(digest), parameters(folder / "best"), shape)


def _recipe(args: Mapping[str, Any]) -> dict[str, Any]:
    return {"preset": args.get("preset") or "none", **mapping_of(args.get("recipe"))}


def _split(recipes: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[tuple[str, list[Any]]]]:
    """The settings that all recipes have alike, and the others with the value in each."""
    common, differing = {}, []
    for name in dict.fromkeys(name for recipe in recipes for name in recipe):
        values = [recipe.get(name, "–") for recipe in recipes]
        if all(value == values[0] for value in values):
            common[name] = values[0]
        else:
            differing.append((name, values))
    return common, differing
