"""What the published fine-tuning recipes have in common, whatever the benchmark. No Paddle.

``authors``: the ConvBERT authors' (``configure_finetuning.py`` of yitu-opensource/ConvBert).
``reference``: that of the first Paddle port, JunnYu/paddle_convbert: corrected AdamW, no clipping, one
learning rate for all sizes.
``stable``: for small tasks whose runs fail by seed: corrected AdamW, one lower rate for all layers, twenty
passes over the rows (Mosbach and others 2021, On the stability of fine-tuning BERT, arXiv:2006.04884; Zhang
and others 2021, Revisiting few-sample BERT fine-tuning, arXiv:2006.05987). Their 2e-5 is for wide networks
here; narrow ones have three times that, as in the authors' recipe. Not studied here yet.
``roberta``: the RoBERTa authors' (``examples/roberta/README.glue.md`` of facebookresearch/fairseq).
``deberta``: the DeBERTa authors' for their third version (``experiments/glue/mnli.sh`` of microsoft/DeBERTa),
by size. They published it for MNLI; their ``cls_drop_out`` is ``cls_dropout`` in config.json.
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
    "stable": {**_COMMON, "layer_lr_decay": 1.0, "max_grad_norm": 1.0, "bias_correction": True},
    "roberta": {
        "batch_size": 32, "learning_rate": 1e-5, "num_train_epochs": 10.0, "warmup_proportion": 0.06,
        "weight_decay": 0.1, "adam_beta2": 0.98, "adam_epsilon": 1e-6, "max_grad_norm": 0.0,
    },
    "deberta": {
        "batch_size": 64, "weight_decay": 0.01, "adam_epsilon": 1e-6, "max_grad_norm": 1.0,
        "num_train_epochs": 3.0,
    },
}  # fmt: skip
# Hidden size and layers → the DeBERTa authors' rate, steps of warm-up and epochs: xsmall, small, base, large.
# Networks of other sizes take those of base.
DEBERTA_SIZES: dict[tuple[int, int], dict[str, Any]] = {
    (384, 12): {"learning_rate": 4.5e-5, "warmup_steps": 1000},
    (768, 6): {"learning_rate": 4.5e-5, "warmup_steps": 1500},
    (768, 12): {"learning_rate": 1.5e-5, "warmup_steps": 1000},
    (1024, 24): {"learning_rate": 7e-6, "warmup_steps": 500, "num_train_epochs": 2.0},
}
# The authors' for small and medium-small, and for base; other networks take the one of like width.
NARROW, AUTHORS_RATES, STABLE_RATES = 384, (3e-4, 1e-4), (6e-5, 2e-5)


def settings_of(name: str, preset: dict[str, Any], config: EncoderConfig) -> dict[str, Any]:
    """A preset's settings, with its learning rate for a network of this size if it names none."""
    if name == "deberta":
        size = (config.hidden_size, config.num_hidden_layers)
        return {**preset, **DEBERTA_SIZES.get(size, DEBERTA_SIZES[768, 12])}
    return {"learning_rate": _rates(name)[config.hidden_size > NARROW], **preset}


def _rates(preset: str) -> tuple[float, float]:
    """The learning rates of a preset that names none: of narrow networks, and of wide ones."""
    return STABLE_RATES if preset == "stable" else AUTHORS_RATES


def default_preset(model_type: str) -> str:
    """The preset in force without --preset: the authors' for ConvBERT and ELECTRA, else none."""
    return "authors" if model_type in ("convbert", "electra") else ""


def describe_preset(name: str, settings: dict[str, Any]) -> list[str]:
    """Describe a preset in lines: what it sets, and the learning rate where that depends on the size."""
    lines = help_lines(f"preset {name}: {join_settings(settings)}")
    if name == "deberta":
        lines += [
            f"  hidden size {width}, {layers} layers: {join_settings(row)}"
            for (width, layers), row in DEBERTA_SIZES.items()
        ]
    elif "learning_rate" not in settings:
        narrow, wide = _rates(name)
        lines.append(f"  learning_rate {narrow:g} up to hidden size {NARROW}, {wide:g} above")
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
