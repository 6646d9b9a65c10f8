"""Configurations: the published sizes, what config.json files say, and every impossible value."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from encoders.config import (
    MODEL_TYPES,
    SIZES,
    EncoderConfig,
    from_json,
    named,
    to_json,
)
from encoders.config_checks import ACTIVATION_NAMES, HEADS
from encoders.encoder import FAMILIES, Encoder
from encoders.framework import paddle
from encoders.layers import ACTIVATIONS
from encoders.model_types import key_of

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = sorted(path.parent.name for path in GOLDEN.glob("*/config.json"))
TINY: dict[str, Any] = {
    "vocab_size": 60, "embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "intermediate_size": 64,
}  # fmt: skip


def fault(**values: Any) -> str:
    """The one line that refuses a configuration."""
    with pytest.raises(InputError) as caught:
        EncoderConfig(**{**TINY, **values})
    message = str(caught.value)
    assert "\n" not in message
    return message


def golden_values(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((GOLDEN / name / "config.json").read_text(encoding="utf-8"))
    return values


def parameters(config: EncoderConfig) -> int:
    with paddle.LazyGuard():  # shapes alone: base has 423 MB of weights
        return sum(math.prod(parameter.shape) for parameter in Encoder(config).parameters())


# Parameters of transformers 5.23.0's ConvBertModel of the same configuration; in millions they are the
# published 13.1, 17.5 and 105.7.
@pytest.mark.parametrize(
    ("size", "count", "published"),
    [("small", 13_143_768, 13.1), ("medium-small", 17_475_888, 17.5), ("base", 105_680_520, 105.7)],
)
def test_published_sizes(size: str, count: int, published: float) -> None:
    assert round(count / 1e6, 1) == published
    assert parameters(named(size)) == count
    assert named(size).size == size


def test_tables_have_the_same_rows() -> None:
    assert set(FAMILIES) == set(MODEL_TYPES)
    assert set(ACTIVATIONS) == set(ACTIVATION_NAMES)


def test_sizes_are_those_of_the_paper() -> None:
    sizes = {
        name: (row["hidden_size"], row["num_attention_heads"], row["embedding_size"], row["num_groups"])
        for name, row in SIZES.items()
    }
    assert sizes == {"small": (256, 4, 128, 1), "medium-small": (384, 8, 128, 2), "base": (768, 12, 768, 1)}
    for name in SIZES:
        config = named(name)
        assert config.model_type == "convbert"
        assert config.num_hidden_layers == 12
        assert config.intermediate_size == 4 * config.hidden_size
        assert (config.head_ratio, config.conv_kernel_size) == (2, 9)
        assert (config.vocab_size, config.max_position_embeddings) == (30522, 512)


def test_a_named_size_with_changes() -> None:
    config = named("small", vocab_size=99, num_hidden_layers=3)
    assert (config.vocab_size, config.hidden_size, config.size) == (99, 256, "custom")
    with pytest.raises(InputError, match="unknown size 'large': choose from small, medium-small, base"):
        named("large")


@pytest.mark.parametrize(
    ("model_type", "heads", "head_ratio", "attending", "width"),
    [
        ("convbert", 12, 2, 6, 48),
        ("convbert", 4, 4, 1, 48),
        ("convbert", 4, 8, 1, 48),  # one head is left
        ("convbert", 4, 1, 4, 48),
        ("electra", 4, 2, 4, 96),
        ("bert", 12, 2, 12, 96),
        ("ernie", 3, 2, 3, 96),
    ],
)
def test_heads_that_attend(model_type: str, heads: int, head_ratio: int, attending: int, width: int) -> None:
    config = EncoderConfig(
        model_type=model_type, hidden_size=96, num_attention_heads=heads, head_ratio=head_ratio
    )
    assert (config.attention_heads, config.attention_width) == (attending, width)


def test_head_and_its_dropout_by_default() -> None:
    for model_type in MODEL_TYPES:
        head = "pooler" if model_type in ("bert", "ernie") else "dense"
        assert EncoderConfig(model_type=model_type).classifier_head == head
    assert EncoderConfig(classifier_head="linear").classifier_head == "linear"
    assert EncoderConfig(hidden_dropout_prob=0.3).head_dropout == 0.3
    assert EncoderConfig(hidden_dropout_prob=0.3, classifier_dropout=0.0).head_dropout == 0.0


COUNTS = (
    "vocab_size", "embedding_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
    "intermediate_size", "max_position_embeddings", "type_vocab_size", "head_ratio",
    "conv_kernel_size", "num_groups", "task_type_vocab_size",
)  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.0, "4", True, None])
def test_counts_are_whole_and_positive(name: str, value: Any) -> None:
    assert fault(**{name: value}) == f"{name} must be a whole number of at least 1, not {value!r}"


@pytest.mark.parametrize("name", ["pad_token_id", "max_seq_length"])
@pytest.mark.parametrize("value", [-1, 0.5, "0", False])
def test_counts_from_0(name: str, value: Any) -> None:
    assert fault(**{name: value}) == f"{name} must be a whole number of at least 0, not {value!r}"


@pytest.mark.parametrize(
    "name", ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"]
)
@pytest.mark.parametrize("value", [1, -0.1, 1.5, "0.1", math.nan, True])
def test_dropout_is_a_share(name: str, value: Any) -> None:
    assert fault(**{name: value}) == f"{name} must be a number in [0, 1), not {value!r}"


@pytest.mark.parametrize("name", ["layer_norm_eps", "initializer_range", "target_scale"])
@pytest.mark.parametrize("value", [0, -1e-12, "1e-12", math.nan, math.inf, None])
def test_positive_numbers(name: str, value: Any) -> None:
    assert fault(**{name: value}) == f"{name} must be a number above 0, not {value!r}"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "albert"}, "model_type 'albert' is not one of convbert, electra, bert, ernie"),
        ({"classifier_head": "mlp"}, "classifier_head 'mlp' is not one of linear, dense, pooler"),
        ({"hidden_act": "swish"}, "hidden_act 'swish' is not known"),
        ({"conv_kernel_size": 8}, "conv_kernel_size must be odd, not 8"),
        ({"hidden_size": 30}, "hidden_size 30 does not divide among 2 heads"),  # 15 each, no half of it
        ({"hidden_size": 33}, "hidden_size 33 does not divide among 2 heads"),
        ({"num_attention_heads": 6}, "hidden_size 32 does not divide among 3 heads"),
        ({"model_type": "electra", "num_attention_heads": 5}, "hidden_size 32 does not divide among 5 heads"),
        ({"num_groups": 3}, "num_groups 3 does not divide hidden_size and intermediate_size"),
        ({"num_groups": 4, "intermediate_size": 66}, "num_groups 4 does not divide hidden_size and"),
        ({"pad_token_id": 60}, "pad_token_id 60 is beyond vocab_size 60"),
        ({"id2label": {1: "a", 2: "b"}}, "id2label must name ids from 0 on, each name once, not {1: 'a'"),
        ({"id2label": {0: "a", 1: "a"}}, "id2label must name ids from 0 on, each name once"),
        ({"use_task_id": "yes"}, "use_task_id must be a bool, not 'yes'"),
        ({"reference_padding": 1}, "reference_padding must be a bool, not 1"),
        ({"finetuning_task": 3}, "finetuning_task must be a str, not 3"),
        ({"num_hidden_layers": 1001}, "num_hidden_layers must be at most 1000, not 1001"),
        ({"max_seq_length": 513}, "max_seq_length 513 is beyond max_position_embeddings 512"),
    ],
)  # fmt: skip
def test_impossible(values: dict[str, Any], message: str) -> None:
    assert fault(**values).startswith(message)


def test_sizes_that_only_convbert_must_halve() -> None:
    assert EncoderConfig(**{**TINY, "model_type": "electra", "hidden_size": 30, "num_attention_heads": 2})


@pytest.mark.parametrize("name", FOLDERS)
def test_transformers_config_is_read(name: str) -> None:
    values = golden_values(name)
    config = from_json(values)
    keys = {field.name: key_of(config.model_type, field.name) for field in dataclasses.fields(config)}
    known = {name: key for name, key in keys.items() if key in values and name != "id2label"}
    assert len(known) > 12
    for name, key in known.items():
        value = getattr(config, name)
        assert (list(value) if isinstance(value, tuple) else value) == values[key]
    assert config.id2label == {0: "contradiction", 1: "entailment", 2: "neutral"}
    assert config.embedding_size == values.get("embedding_size", config.hidden_size)
    assert config.classifier_head == ("pooler" if config.model_type in ("bert", "ernie") else "dense")
    assert (config.reference_padding, config.finetuning_task, config.max_seq_length) == (False, "", 0)


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("head", HEADS)
def test_json_and_back(name: str, head: str) -> None:
    config = dataclasses.replace(
        from_json(golden_values(name)), classifier_head=head, classifier_dropout=0.2, target_scale=5.0,
        reference_padding=True, finetuning_task="mnli", max_seq_length=20,
    )  # fmt: skip
    written = json.loads(json.dumps(to_json(config)))
    assert from_json(written) == config
    assert written["label2id"] == {"contradiction": 0, "entailment": 1, "neutral": 2}
    assert "problem_type" not in written


@pytest.mark.parametrize("name", FOLDERS)
def test_written_keys_keep_their_values(name: str) -> None:
    """Reading transformers' config.json and writing it loses none of the keys both know."""
    values = golden_values(name)
    written = json.loads(json.dumps(to_json(from_json(values))))
    for key in (set(values) & set(written)) - {"architectures"}:
        assert written[key] == values[key]


def test_regression_says_so() -> None:
    written = to_json(EncoderConfig(**TINY, id2label={0: "score"}, target_scale=5.0))
    assert (written["problem_type"], written["target_scale"]) == ("regression", 5.0)
    assert from_json(json.loads(json.dumps(written))).target_scale == 5.0


def test_defaults_of_absent_keys_are_those_of_transformers() -> None:
    # ConvBertConfig(), ElectraConfig(), BertConfig(), ErnieConfig() of transformers 5.23.0.
    for model_type in ("convbert", "electra", "bert", "ernie"):
        config = from_json({"model_type": model_type})
        electra = model_type == "electra"
        assert config.embedding_size == (128 if electra else 768)
        assert config.hidden_size == (256 if electra else 768)
        assert config.num_attention_heads == (4 if electra else 12)
        assert config.intermediate_size == (1024 if electra else 3072)
    assert from_json({"model_type": "bert", "hidden_size": 96}).embedding_size == 96
    assert from_json({"model_type": "convbert", "id2label": None, "hidden_act": None}) == EncoderConfig()


@pytest.mark.parametrize(
    "labels", [["a", "b"], {"x": "a"}, "a", 3, {"0": "a", "00": "b"}, {"0": "a", " 1": "b"}, {"٠": "a"}]
)
def test_labels_that_are_no_map(labels: Any) -> None:
    with pytest.raises(InputError, match="id2label must map numbers to names, not "):
        from_json({"model_type": "convbert", "id2label": labels})


@pytest.mark.parametrize("values", [{"hidden_size": 32}, {"model_type": None}])
def test_json_without_model_type(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no model_type; expected one of convbert, electra, bert, ernie"):
        from_json(values)
