"""The published recipes, typed out from FACTS' sources, for every size and task."""

import dataclasses

import pytest

from encoders.config import EncoderConfig, named
from glue.config import GlueTrainingConfig, preset_settings
from glue.tasks import TASKS
from training.config import resolve
from training.published import default_preset

BERT = EncoderConfig(model_type="bert")


def in_force(preset: str, config: EncoderConfig, task: str, **flags: object) -> GlueTrainingConfig:
    return resolve(GlueTrainingConfig, flags, {}, preset_settings(preset, config, TASKS[task]))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("size", "rate"), [("small", 3e-4), ("medium-small", 3e-4), ("base", 1e-4)])
def test_the_authors_recipe(size: str, rate: float, task: str) -> None:
    """configure_finetuning.py of yitu-opensource/ConvBert."""
    wanted = dataclasses.replace(
        GlueTrainingConfig(),
        learning_rate=rate, layer_lr_decay=0.8, layer_lr_decay_mode="published", batch_size=32,
        max_seq_length=128, warmup_proportion=0.1, weight_decay=0.01, adam_epsilon=1e-6,
        scheduler_type="linear", max_grad_norm=1.0, bias_correction=False, classifier_head="linear",
        num_train_epochs=10.0 if task in ("rte", "sts-b") else 3.0,
        both_orders=task in ("mrpc", "sts-b"), scale_targets=task == "sts-b",
    )  # fmt: skip
    assert in_force("authors", named(size), task) == wanted


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("size", "rate"), [("small", 6e-5), ("medium-small", 6e-5), ("base", 2e-5)])
def test_the_stable_recipe(size: str, rate: float, task: str) -> None:
    """Mosbach et al. 2021: 2e-5, bias correction, warm-up 10 %, 20 epochs (both orders: 10)."""
    longer = {"mrpc": 10.0, "sts-b": 10.0, "cola": 20.0, "rte": 20.0, "wnli": 20.0}
    wanted = dataclasses.replace(
        in_force("authors", named(size), task),
        learning_rate=rate, layer_lr_decay=1.0, bias_correction=True, num_train_epochs=longer.get(task, 3.0),
    )  # fmt: skip
    assert in_force("stable", named(size), task) == wanted


@pytest.mark.parametrize(
    ("task", "ours"),
    [
        ("cola", {"seed": 6666, "save_steps": 40}), ("mrpc", {"save_steps": 40}),
        ("rte", {"num_train_epochs": 10.0, "save_steps": 40}),
        ("wnli", {"num_train_epochs": 10.0, "save_steps": 20}),
        ("sts-b", {"num_train_epochs": 10.0, "save_steps": 100}),
        ("qnli", {"scheduler_type": "cosine", "save_steps": 100}), ("sst-2", {"save_steps": 400}),
        ("mnli", {"save_steps": 1000}), ("qqp", {"save_steps": 1000}),
    ],
)  # fmt: skip
def test_the_reference_recipe(task: str, ours: dict) -> None:
    """JunnYu/paddle_convbert: one rate for all sizes, corrected AdamW, no clipping, dense + gelu head."""
    wanted = dataclasses.replace(
        GlueTrainingConfig(),
        learning_rate=1e-4, layer_lr_decay=0.8, batch_size=32, max_seq_length=128, warmup_proportion=0.1,
        weight_decay=0.01, adam_epsilon=1e-6, max_grad_norm=0.0, bias_correction=True,
        classifier_head="dense", num_train_epochs=3.0, seed=42,
    )  # fmt: skip
    for size in ("small", "base"):
        assert in_force("reference", named(size), task) == dataclasses.replace(wanted, **ours)


@pytest.mark.parametrize(
    ("task", "rate", "rows", "warmup"),
    [
        ("mnli", 1e-5, 32, 0.06), ("qnli", 1e-5, 32, 0.06), ("qqp", 1e-5, 32, 0.25), ("rte", 2e-5, 16, 0.06),
        ("sst-2", 1e-5, 32, 0.06), ("mrpc", 1e-5, 16, 0.06), ("cola", 1e-5, 16, 0.06),
        ("sts-b", 2e-5, 16, 0.06),
    ],
)  # fmt: skip
def test_the_roberta_recipe(task: str, rate: float, rows: int, warmup: float) -> None:
    """fairseq's examples/roberta/README.glue.md: ten epochs, and of QQP's 113272 updates 28318 of warm-up."""
    wanted = dataclasses.replace(
        GlueTrainingConfig(),
        learning_rate=rate, batch_size=rows, warmup_proportion=warmup, num_train_epochs=10.0,
        weight_decay=0.1, adam_beta2=0.98, adam_epsilon=1e-6, max_grad_norm=0.0, max_seq_length=512,
    )  # fmt: skip
    assert in_force("roberta", EncoderConfig(model_type="roberta"), task) == wanted


@pytest.mark.parametrize(
    ("width", "layers", "rate", "warmup", "epochs"),
    [
        (384, 12, 4.5e-5, 1000, 3.0), (768, 6, 4.5e-5, 1500, 3.0), (768, 12, 1.5e-5, 1000, 3.0),
        (1024, 24, 7e-6, 500, 2.0), (128, 2, 1.5e-5, 1000, 3.0),
    ],
)  # fmt: skip
def test_the_deberta_recipe(width: int, layers: int, rate: float, warmup: int, epochs: float) -> None:
    """experiments/glue/mnli.sh of microsoft/DeBERTa, its third version's sizes."""
    config = EncoderConfig(
        model_type="deberta-v2", hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64
    )
    wanted = dataclasses.replace(
        GlueTrainingConfig(),
        learning_rate=rate, warmup_steps=warmup, num_train_epochs=epochs, batch_size=64, max_seq_length=256,
        weight_decay=0.01, adam_epsilon=1e-6, max_grad_norm=1.0,
    )  # fmt: skip
    assert in_force("deberta", config, "mnli") == wanted


@pytest.mark.parametrize(
    ("task", "base", "large"),
    [
        ("cola", (8e-5, 1e-6, 5), (3e-5, 8e-6, 5)), ("mnli", (5e-5, 5e-6, 1), (3e-5, 1e-5, 1)),
        ("mrpc", (5e-5, 5e-6, 10), (8e-5, 5e-6, 2)), ("qnli", (8e-5, 5e-6, 2), (3e-5, 5e-6, 2)),
        ("qqp", (5e-5, 5e-6, 10), (5e-5, 8e-6, 2)), ("rte", (5e-5, 1e-5, 3), (5e-5, 8e-6, 3)),
        ("sst-2", (8e-5, 1e-5, 2), (1e-5, 1e-6, 3)), ("sts-b", (8e-5, 5e-6, 10), (8e-5, 1e-5, 10)),
        ("wnli", (5e-5, 1e-5, 3), (5e-5, 8e-6, 3)),
    ],
)  # fmt: skip
def test_the_modernbert_recipe(
    task: str, base: tuple[float, float, int], large: tuple[float, float, int]
) -> None:
    """arXiv:2412.13663v2, table 6. A weight loses the table's share at the peak: our decay times the rate."""
    for width, layers, (rate, decay, epochs) in ((768, 22, base), (1024, 28, large), (64, 2, base)):
        config = EncoderConfig(
            model_type="modernbert",
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
        )
        actual = in_force("modernbert", config, task)
        assert actual.weight_decay * rate == pytest.approx(decay, rel=1e-4)
        assert actual == dataclasses.replace(
            GlueTrainingConfig(),
            learning_rate=rate, weight_decay=actual.weight_decay, num_train_epochs=float(epochs),
            batch_size=64, max_seq_length=256, warmup_proportion=0.1, adam_beta2=0.98,
            adam_epsilon=1e-6, max_grad_norm=0.0,
        )  # fmt: skip


@pytest.mark.parametrize(("width", "rate"), [(128, 3e-4), (384, 3e-4), (512, 1e-4), (1024, 1e-4)])
def test_other_sizes_take_the_authors_rate_of_like_width(width: int, rate: float) -> None:
    config = named("base", hidden_size=width, num_attention_heads=8)
    assert in_force("authors", config, "rte").learning_rate == rate
    assert in_force("reference", config, "rte").learning_rate == 1e-4


def test_a_flag_wins_over_the_preset() -> None:
    assert in_force("reference", named("base"), "rte", learning_rate=7e-5).learning_rate == 7e-5
    assert in_force("authors", named("small"), "sts-b", both_orders=False).both_orders is False


def test_which_preset_is_in_force_without_one() -> None:
    names = {kind: default_preset(kind) for kind in ("convbert", "electra", "bert", "ernie")}
    assert names == {"convbert": "authors", "electra": "authors", "bert": "", "ernie": ""}


def test_bert_keeps_its_pretrained_pooler_in_every_preset() -> None:
    for preset in ("authors", "reference"):
        assert in_force(preset, BERT, "rte").classifier_head == "pooler"
    assert in_force("", BERT, "rte") == GlueTrainingConfig()
