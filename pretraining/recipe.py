"""The settings that only pre-training has, and what each objective sets. No Paddle."""

from dataclasses import dataclass
from typing import Any

from training.recipe import Recipe, setting

OBJECTIVES: dict[str, dict[str, Any]] = {
    "distill": {
        "batch_size": 32, "learning_rate": 1e-3, "warmup_proportion": 0.05, "num_train_epochs": 4.0,
        "dropout": 0.0,
    },
}  # fmt: skip


@dataclass(frozen=True)
class PretrainRecipe(Recipe):
    """How to pre-train."""

    max_seq_length: int = setting(128, "longest example in tokens, [CLS] and [SEP] included", low=8)
    dropout: float = setting(0.1, "dropout while pre-training", low=0, high=0.9)
    eval_examples: int = setting(1000, "held-out examples to evaluate on, at the most", low=1)
    matched_layers: int = setting(
        2, "distill: layers compared with the teacher's, the last among them", low=1
    )
    geometry_weight: float = setting(
        1.0, "distill: weight of the sentences' cosines beside the tokens", low=0
    )
