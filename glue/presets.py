"""The settings that only sentence tasks have, and the published recipes (training/published.py) for them.

What a recipe does differently for one task stands in that task's row of glue/tasks.py.
"""

from dataclasses import dataclass
from typing import Any

from common.errors import InputError
from encoders.config import EncoderConfig
from glue.tasks import TASKS, Task
from training.config import FineTuningRecipe, setting
from training.published import RECIPES, learning_rate, listed, said

_COMMON = {"max_seq_length": 128, "num_train_epochs": 3.0}
PRESETS: dict[str, dict[str, Any]] = {
    "authors": {**RECIPES["authors"], **_COMMON, "classifier_head": "linear"},
    "reference": {**RECIPES["reference"], **_COMMON, "classifier_head": "dense"},
}


@dataclass(frozen=True)
class GlueRecipe(FineTuningRecipe):
    """How to fine-tune on a sentence task."""

    max_seq_length: int = setting(128, "longest input in tokens, [CLS] and [SEP] included", low=3)
    both_orders: bool = setting(False, "train on every pair in both orders")
    scale_targets: bool = setting(False, "a regression's targets on [0, 1] instead of the task's range")
    classifier_head: str = setting(
        "auto",
        "linear: one layer on the first token; dense: dense, gelu, projection; pooler: BERT's; "
        "auto: pooler for bert and ernie, else dense",
        choices=("auto", "linear", "dense", "pooler"),
    )


def preset_settings(preset: str, config: EncoderConfig, task: Task) -> dict[str, Any]:
    """The settings of a preset for a model and a task; an empty name is no preset."""
    if not preset:
        return {}
    settings = dict(PRESETS[preset])
    settings.setdefault("learning_rate", learning_rate(config))
    if config.model_type in ("bert", "ernie"):  # their pretrained pooler is part of their weights
        settings["classifier_head"] = "pooler"
    return {**settings, **task.presets.get(preset, {})}


def check_task(recipe: GlueRecipe, task: Task) -> None:
    """InputError if a setting has no meaning for a task."""
    if recipe.scale_targets and not task.is_regression:
        raise InputError(f"--scale_targets: {task.name} is no regression")
    if recipe.both_orders and not task.is_pair:
        raise InputError(f"--both_orders: the rows of {task.name} are single sentences")


def preset_lines() -> list[str]:
    """What each preset sets, for people: the settings, then what differs by size and by task."""
    lines = []
    for name, settings in PRESETS.items():
        lines += said(name, settings)
        own = {task.name: task.presets.get(name, {}) for task in TASKS.values()}
        lines += [f"  {task}: {listed(changes)}" for task, changes in own.items() if changes]
        lines.append("  bert and ernie keep their pooler as head")
    return lines
