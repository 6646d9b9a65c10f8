"""The settings that only SQuAD has, and the published recipes. No Paddle.

``authors``: the ConvBERT authors' (``configure_finetuning.py`` of yitu-opensource/ConvBert), whose head is
``--qa_head joint``. ``reference``: that of the first Paddle port, JunnYu/paddle_convbert: corrected AdamW, no
clipping, one learning rate for all sizes.
"""

from dataclasses import dataclass
from typing import Any

from convbert.config import EncoderConfig
from training.recipe import Recipe, setting

_COMMON = {
    "batch_size": 32, "max_seq_length": 512, "layer_lr_decay": 0.8, "warmup_proportion": 0.1,
    "weight_decay": 0.01, "adam_epsilon": 1e-6, "num_train_epochs": 2.0,
}  # fmt: skip
_AUTHORS_RATES = {"small": 3e-4, "medium-small": 3e-4, "base": 1e-4}
_OTHER_RATE = 1e-4

PRESETS: dict[str, dict[str, Any]] = {
    "authors": {**_COMMON, "max_grad_norm": 1.0, "bias_correction": False},
    "reference": {**_COMMON, "max_grad_norm": 0.0, "bias_correction": True, "learning_rate": 1e-4},
}


@dataclass(frozen=True)
class SquadRecipe(Recipe):
    """How to fine-tune on SQuAD, and how to find answers."""

    length_pool: int = setting(
        8, "sort windows by length among so many random batches; 1: plain random batches", low=1
    )
    num_train_epochs: float = setting(2.0, "passes over the training windows; fractions count", low=0)
    max_seq_length: int = setting(384, "longest window in tokens, specials included", low=5)
    doc_stride: int = setting(
        128, "a window begins so many tokens after the one before it: a step, as Google means it", low=1
    )
    max_query_length: int = setting(64, "a question is cut to so many tokens", low=1)
    max_answer_length: int = setting(30, "longest answer in tokens", low=1)
    n_best_size: int = setting(20, "answers of a question in nbest_predictions.json", low=1)
    null_score_diff_threshold: float = setting(
        0.0, "SQuAD 2.0: answer nothing where the null odds are above this"
    )
    max_context: bool = setting(
        True, "an answer begins only in the window that shows most around its first token"
    )
    drop_partial_windows: bool = setting(
        False, "train without the windows that lack the whole answer, rather than with the first token for it"
    )
    qa_head: str = setting(
        "linear",
        "linear: a start and an end logit a token; joint: the authors' beam over starts and "
        "answerability classifier",
        choices=("linear", "joint"),
    )
    beam_size: int = setting(20, "joint head: starts tried, and ends of each", low=1)
    answerable_weight: float = setting(0.5, "joint head: weight of the answerability loss", low=0)


def default_preset(model_type: str) -> str:
    """The preset in force without --preset: the authors' for ConvBERT and ELECTRA, else none."""
    return "authors" if model_type in ("convbert", "electra") else ""


def preset_settings(preset: str, config: EncoderConfig) -> dict[str, Any]:
    """The settings of a preset for a model; an empty name is no preset."""
    if not preset:
        return {}
    settings = dict(PRESETS[preset])
    settings.setdefault("learning_rate", _AUTHORS_RATES.get(config.size, _OTHER_RATE))
    # A model with fewer positions takes what it can.
    settings["max_seq_length"] = min(settings["max_seq_length"], config.max_position_embeddings)
    return settings
