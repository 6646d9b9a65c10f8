"""What a run of a sentence task is asked to do, and the published recipes (training/published.py) for them.

What a recipe does differently for one task stands in that task's row of glue/tasks.py; ModernBERT's, which
does so by size too, in glue/modernbert_recipe.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from common.errors import InputError
from encoders.config import EncoderConfig
from glue import modernbert_recipe
from glue.task_file import read_task_file
from glue.tasks import TASKS, Task, find_task, task_named
from training.config import FineTuningConfig, field
from training.published import RECIPES, describe_preset, join_settings, settings_of
from training.run_config import FineTuningRunConfig, resolve_run

_COMMON = {"max_seq_length": 128, "num_train_epochs": 3.0}
PRESETS: dict[str, dict[str, Any]] = {
    "authors": {**RECIPES["authors"], **_COMMON, "classifier_head": "linear"},
    "reference": {**RECIPES["reference"], **_COMMON, "classifier_head": "dense"},
    "stable": {**RECIPES["stable"], **_COMMON, "classifier_head": "linear"},
    "roberta": {**RECIPES["roberta"], "max_seq_length": 512},
    "deberta": {**RECIPES["deberta"], "max_seq_length": 256},
    "modernbert": modernbert_recipe.PRESET,
}


@dataclass(frozen=True)
class GlueTrainingConfig(FineTuningConfig):
    """How to fine-tune on a sentence task."""

    max_seq_length: int = field(128, "longest input in tokens, [CLS] and [SEP] included", low=3)
    head_seed: int = field(
        0, "seed of a new head's first weights; runs that share it can be averaged; 0: by --seed",
        low=0, high=2**32 - 1,
    )  # fmt: skip
    mean_of_saves: int = field(
        0, "write the mean of the weights of so many last saves to mean/, for lab.ensemble; 0: none", low=0
    )
    both_orders: bool = field(False, "train on every pair in both orders")
    scale_targets: bool = field(False, "a regression's targets on [0, 1] instead of the task's range")
    classifier_head: str = field(
        "auto",
        "linear: one layer on the first token; dense: dense, gelu, projection; pooler: BERT's; "
        "auto: pooler for bert and ernie, else dense",
        choices=("auto", "linear", "dense", "pooler"),
    )


@dataclass(frozen=True, kw_only=True)
class GlueRunConfig(FineTuningRunConfig):
    """What a run of a sentence task is asked to do: the flags of ``run_glue``, by their names."""

    task_name: str
    training: GlueTrainingConfig
    PATHS: ClassVar[tuple[str, ...]] = ("model_name_or_path", "data_dir")
    data_dir: str | None = None
    task_file: str | None = None
    label_map: str | None = None

    @property
    def task(self) -> Task:
        """The row of the task table, or the user's own task."""
        task = find_task(self.task_name)
        # In a worker process nobody has read the task file yet.
        return task or (read_task_file(self.task_file) if self.task_file else task_named(self.task_name))


def resolve_glue_run(values: Mapping[str, Any], encoder: EncoderConfig) -> GlueRunConfig:
    """Resolve a new run's settings as ``run_glue`` does, from its flags, ``task_name`` among them."""
    task = task_named(values["task_name"])
    return resolve_run(GlueRunConfig, values, encoder, partial(preset_settings, task=task))


def preset_settings(preset: str, config: EncoderConfig, task: Task) -> dict[str, Any]:
    """The settings of a preset for a model and a task; an empty name is no preset."""
    if not preset:
        return {}
    settings = settings_of(preset, PRESETS[preset], config)
    if preset == "modernbert":
        settings |= modernbert_recipe.task_settings(config, task.name)
    if config.type.has_pooler:  # a pretrained pooler is part of the weights
        settings["classifier_head"] = "pooler"
    return {**settings, **task.presets.get(preset, {})}


def check_task(training: GlueTrainingConfig, task: Task) -> None:
    """InputError if a setting has no meaning for a task."""
    if training.scale_targets and not task.is_regression:
        raise InputError(f"--scale_targets: {task.name} is no regression")
    if training.both_orders and not task.is_pair:
        raise InputError(f"--both_orders: the rows of {task.name} are single sentences")


def preset_lines() -> list[str]:
    """What each preset sets, for people: the settings, then what differs by size and by task."""
    lines = []
    for name, settings in PRESETS.items():
        lines += describe_preset(name, settings)
        if name == "modernbert":
            lines += modernbert_recipe.describe_rows()
        changes = {task.name: task.presets.get(name, {}) for task in TASKS.values()}
        lines += [f"  {task}: {join_settings(settings)}" for task, settings in changes.items() if settings]
        lines.append("  bert and ernie keep their pooler as head")
    return lines
