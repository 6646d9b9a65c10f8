"""The ModernBERT authors' fine-tuning settings by task and size (arXiv:2412.13663v2, appendix E.1, table 6).

The text beside the table gives the batch size (64), says that RTE, MRPC and STS-B begin with the checkpoint
fine-tuned on MNLI, which is ``--model_name_or_path``, and that every run was stopped early; by what rule is
not published, so the preset does not. What neither has is from the code, AnswerDotAI/ModernBERT: 256 tokens
and Adam's numbers (``src/evals/glue_jobs.py``); warm-up over a tenth of the steps, linear decay and no
clipping (``generate_eval_config.py``).

The code's optimizer, Composer's DecoupledAdamW, takes ``weight_decay`` off the weights at the peak of the
learning rate, not its product with the rate. Ours takes the product, so the settings have the quotient.
"""

from typing import Any, NamedTuple

from encoders.config import EncoderConfig
from training.published import join_settings


class Row(NamedTuple):
    """A task's peak learning rate, what it takes off the weights there, and its epochs."""

    learning_rate: float
    decay: float
    epochs: int

    def settings(self) -> dict[str, Any]:
        """The row as settings of ours."""
        return {
            "learning_rate": self.learning_rate,
            "weight_decay": round(self.decay / self.learning_rate, 6),
            "num_train_epochs": float(self.epochs),
        }


# Task → base, large. WNLI and tasks of one's own, which the paper does not have, take RTE's.
TABLE = {
    "cola": (Row(8e-5, 1e-6, 5), Row(3e-5, 8e-6, 5)),
    "sst-2": (Row(8e-5, 1e-5, 2), Row(1e-5, 1e-6, 3)),
    "mrpc": (Row(5e-5, 5e-6, 10), Row(8e-5, 5e-6, 2)),
    "sts-b": (Row(8e-5, 5e-6, 10), Row(8e-5, 1e-5, 10)),
    "qqp": (Row(5e-5, 5e-6, 10), Row(5e-5, 8e-6, 2)),
    "mnli": (Row(5e-5, 5e-6, 1), Row(3e-5, 1e-5, 1)),
    "qnli": (Row(8e-5, 5e-6, 2), Row(3e-5, 5e-6, 2)),
    "rte": (Row(5e-5, 1e-5, 3), Row(5e-5, 8e-6, 3)),
}
PRESET: dict[str, Any] = {
    "batch_size": 64, "warmup_proportion": 0.1, "adam_beta2": 0.98, "adam_epsilon": 1e-6,
    "max_grad_norm": 0.0, "max_seq_length": 256, **TABLE["rte"][0].settings(),
}  # fmt: skip
LARGE = 1024  # the hidden size of the large model; narrower networks take the base model's settings


def task_settings(config: EncoderConfig, task: str) -> dict[str, Any]:
    """What the table sets for a network and a task."""
    return TABLE.get(task, TABLE["rte"])[config.hidden_size >= LARGE].settings()


def describe_rows() -> list[str]:
    """What the table sets, in lines."""
    lines = []
    for title, size in (("hidden size below", 0), ("hidden size from", 1)):
        lines.append(f"  {title} {LARGE}; tasks that are not named take RTE's:")
        lines += [f"    {task}: {join_settings(rows[size].settings())}" for task, rows in TABLE.items()]
    return lines
