"""What the published fine-tuning recipes have in common, whatever the benchmark. No Paddle.

``authors``: the ConvBERT authors' (``configure_finetuning.py`` of yitu-opensource/ConvBert).
``reference``: that of the first Paddle port, JunnYu/paddle_convbert: corrected AdamW, no clipping, one
learning rate for all sizes.
"""

import textwrap
from typing import Any

from encoders.config import EncoderConfig

_COMMON = {
    "batch_size": 32, "layer_lr_decay": 0.8, "warmup_proportion": 0.1, "weight_decay": 0.01,
    "adam_epsilon": 1e-6,
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "authors": {**_COMMON, "max_grad_norm": 1.0, "bias_correction": False},
    "reference": {**_COMMON, "max_grad_norm": 0.0, "bias_correction": True, "learning_rate": 1e-4},
}
# The authors' for small and medium-small, and for base; other networks take the one of like width.
NARROW, NARROW_RATE, WIDE_RATE = 384, 3e-4, 1e-4


def settings_of(preset: dict[str, Any], config: EncoderConfig) -> dict[str, Any]:
    """A preset's settings, with the authors' learning rate for a network of this width if it names none."""
    rate = NARROW_RATE if config.hidden_size <= NARROW else WIDE_RATE
    return {"learning_rate": rate, **preset}


def default_preset(model_type: str) -> str:
    """The preset in force without --preset: the authors' for ConvBERT and ELECTRA, else none."""
    return "authors" if model_type in ("convbert", "electra") else ""


def describe_preset(name: str, settings: dict[str, Any]) -> list[str]:
    """Describe a preset in lines: what it sets, and the learning rate where that depends on the size."""
    lines = help_lines(f"preset {name}: {join_settings(settings)}")
    if "learning_rate" not in settings:
        lines.append(f"  learning_rate {NARROW_RATE:g} up to hidden size {NARROW}, {WIDE_RATE:g} above")
    return lines


def join_settings(settings: dict[str, Any]) -> str:
    """Settings in one line, ``NAME VALUE, …``."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )


def help_lines(text: str) -> list[str]:
    """A paragraph of ``--help`` in lines of at most 100 columns."""
    return textwrap.wrap(text, width=100, subsequent_indent="  ")
