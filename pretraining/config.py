"""What a pre-training run is asked to do, and what each objective sets. No Paddle.

Of replaced-token detection: the ConvBERT authors' (``configure_pretraining.py`` of yitu-opensource/ConvBert),
their warm-up of 10 000 in 1 000 000 steps as a share.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from common.errors import UsageError
from encoders.config import EncoderConfig
from training.config import TrainingConfig, field, field_names
from training.published import help_lines, join_settings
from training.run_config import RunConfig


@dataclass(frozen=True)
class PretrainingConfig(TrainingConfig):
    """How to pre-train, whatever the objective."""

    max_seq_length: int = field(128, "longest example in tokens, [CLS] and [SEP] included", low=8)
    packing: str = field(
        "packed",
        "packed: lines of a document fill two segments, as the authors make them; lines: each by itself",
        choices=("packed", "lines"),
    )
    dropout: float = field(0.1, "dropout while pre-training", low=0, high=0.9)
    eval_batch_size: int = field(0, "examples of an evaluation batch; 0: as of a training batch", low=0)
    eval_examples: int = field(1000, "held-out examples to evaluate on, at the most", low=1)


@dataclass(frozen=True)
class DetectionConfig(PretrainingConfig):
    """How to learn by replaced-token detection."""

    mask_prob: float = field(0.15, "share of the tokens that the generator fills in", low=0.001, high=0.9)
    detection_weight: float = field(50.0, "weight of the detection loss beside the generator's", low=0)
    generator_ratio: float = field(
        0.25, "the generator's width as a share of the network's", low=0.01, high=1
    )


@dataclass(frozen=True)
class DistillationConfig(PretrainingConfig):
    """How to learn from a larger network."""

    matched_layers: int = field(2, "layers compared with the teacher's, the last among them", low=1)
    geometry_weight: float = field(0.01, "weight of the sentences' cosines beside the tokens", low=0)
    pair_weight: float = field(
        0.0,
        "weight of telling, of a pair, the teacher's cosine of its two texts (from the first token) and "
        "of each token to the nearest of the other text",
        low=0,
    )


@dataclass(frozen=True, kw_only=True)
class PretrainingRunConfig(RunConfig):
    """What a pre-training run is asked to do: the flags of ``run_pretrain``, by their names.

    Every name of a model is the folder it was resolved to (see ``network.resolve_sources``).
    """

    training: PretrainingConfig
    PATHS: ClassVar[tuple[str, ...]] = ("input_dir",)
    input_dir: str
    objective: str = "rtd"
    teacher: str = ""
    embeddings: str = ""
    tokenizer: str = ""
    init_from_ckpt: str = ""


OBJECTIVES: dict[str, type[PretrainingConfig]] = {"rtd": DetectionConfig, "distill": DistillationConfig}
# The score of an objective by which best/ is chosen.
METRIC_FOR_BEST = {"rtd": "detection_auc", "distill": "token_cosine"}
_PRESETS: dict[str, dict[str, Any]] = {
    "rtd": {
        "batch_size": 128, "learning_rate": 5e-4, "warmup_proportion": 0.01, "num_train_epochs": 4.0,
        "bias_correction": False, "save_steps": 1000,
    },
    "distill": {
        "batch_size": 32, "learning_rate": 1e-3, "warmup_proportion": 0.05, "num_train_epochs": 4.0,
        "dropout": 0.0, "packing": "lines", "save_steps": 1000,
    },
}  # fmt: skip
# What the authors changed for a size.
_SIZES: dict[str, dict[str, Any]] = {
    "small": {"learning_rate": 3e-4},
    "base": {"learning_rate": 2e-4, "batch_size": 256, "generator_ratio": 1 / 3},
}


def preset_settings(objective: str, config: EncoderConfig) -> dict[str, Any]:
    """What an objective sets for a network."""
    of_size = _SIZES.get(config.size, {}) if objective == "rtd" and config.is_conv else {}
    return {**_PRESETS[objective], **of_size}


def preset_lines() -> list[str]:
    """The same for people."""
    lines = [
        line
        for name, settings in _PRESETS.items()
        for line in help_lines(f"{name} sets: {join_settings(settings)}")
    ]
    return lines + [f"  rtd, convbert-{size}: {join_settings(row)}" for size, row in _SIZES.items()]


def refuse_foreign(objective: str, given: dict[str, Any]) -> None:
    """UsageError if a flag was given that only another objective heeds."""
    for other, config in OBJECTIVES.items():
        for name in set(field_names(config)) - set(field_names(OBJECTIVES[objective])) & given.keys():
            raise UsageError(f"--{name}: goes with --objective {other}, this is {objective}")
