"""The settings that only sentence tasks have, and the published recipes. No Paddle.

``authors``: the ConvBERT authors' (``configure_finetuning.py`` of yitu-opensource/ConvBert).
``reference``: that of the first Paddle port, JunnYu/paddle_convbert: a dense + gelu head, corrected
AdamW, no clipping, one learning rate for all sizes, frequent evaluation.
What a recipe does differently for one task stands in that task's row of glue/tasks.py.
"""

from dataclasses import dataclass
from typing import Any

from convbert.config import EncoderConfig
from glue.tasks import TASKS, Task
from training.recipe import Recipe, setting

_COMMON = {
    "batch_size": 32, "max_seq_length": 128, "layer_lr_decay": 0.8, "warmup_proportion": 0.1,
    "weight_decay": 0.01, "adam_epsilon": 1e-6, "num_train_epochs": 3.0,
}  # fmt: skip
_AUTHORS_RATES = {"small": 3e-4, "medium-small": 3e-4, "base": 1e-4}
_OTHER_RATE = 1e-4

PRESETS: dict[str, dict[str, Any]] = {
    "authors": {**_COMMON, "max_grad_norm": 1.0, "bias_correction": False, "classifier_head": "linear"},
    "reference": {
        **_COMMON, "max_grad_norm": 0.0, "bias_correction": True, "classifier_head": "dense",
        "learning_rate": 1e-4,
    },
}  # fmt: skip


@dataclass(frozen=True)
class GlueRecipe(Recipe):
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


def default_preset(model_type: str) -> str:
    """The preset in force without --preset: the authors' for ConvBERT and ELECTRA, else none."""
    return "authors" if model_type in ("convbert", "electra") else ""


def preset_settings(preset: str, config: EncoderConfig, task: Task) -> dict[str, Any]:
    """The settings of a preset for a model and a task; an empty name is no preset."""
    if not preset:
        return {}
    settings = dict(PRESETS[preset])
    settings.setdefault("learning_rate", _AUTHORS_RATES.get(config.size, _OTHER_RATE))
    if config.model_type in ("bert", "ernie"):  # their pretrained pooler is part of their weights
        settings["classifier_head"] = "pooler"
    return {**settings, **task.presets.get(preset, {})}


def preset_lines() -> list[str]:
    """What each preset sets, for people: the settings, then what differs by size and by task."""
    lines = []
    for name, settings in PRESETS.items():
        lines.append(f"preset {name}: {_said(settings)}")
        if "learning_rate" not in settings:
            lines.append(f"  learning_rate {_said(_AUTHORS_RATES)}, other sizes {_OTHER_RATE:g}")
        own = {task.name: task.presets.get(name, {}) for task in TASKS.values()}
        lines += [f"  {task}: {_said(changes)}" for task, changes in own.items() if changes]
        lines.append("  bert and ernie keep their pooler as head")
    return lines


def _said(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())
