"""EncoderConfig: every size of the network, under Hugging Face's names; the named sizes, one table."""

import dataclasses
import math
import re
from dataclasses import dataclass, field
from typing import Any

from common.errors import InputError
from common.messages import shortened

MODEL_TYPES = ("convbert", "electra", "bert", "ernie")
HEADS = ("linear", "dense", "pooler")
# transformers' names of what each of our activations computes (its activations.py): the tanh forms of gelu
# are one function, written in several ways.
_ACTIVATIONS = {
    "gelu": ("gelu_python",),
    "gelu_new": ("gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate"),
    "relu": (),
    "silu": ("swish",),
    "tanh": (),
}
_ACTIVATION_OF = {other: name for name, others in _ACTIVATIONS.items() for other in (name, *others)}
MOST_LAYERS = 1000  # far beyond every such network: a slip, or somebody's malice


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of a network. Field names are those of Hugging Face's ``config.json``.

    embedding_size: width of the embedding tables; projected to hidden_size where they differ
    (bert and ernie: always hidden_size). head_ratio: by how much ConvBERT divides the attention
    heads. num_groups: groups of the feed-forward's linear layers. classifier_head: ``linear`` (the
    ConvBERT authors': one layer on the first token), ``dense`` (Hugging Face's ConvBERT and ELECTRA:
    dense, gelu, projection) or ``pooler`` (BERT, ERNIE: through the pretrained dense + tanh).
    reference_padding: let padding reach real tokens through the convolution as published code does.
    target_scale: a regression head's output times this is the score (STS-B on [0, 1]: 5).
    finetuning_task, max_seq_length: what the head was trained for, and on how long inputs; empty and 0
    in a pretrained model.
    """

    model_type: str = "convbert"
    vocab_size: int = 30522
    embedding_size: int = 768
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    classifier_dropout: float | None = None
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    head_ratio: int = 2
    conv_kernel_size: int = 9
    num_groups: int = 1
    use_task_id: bool = False
    task_type_vocab_size: int = 3
    classifier_head: str = ""
    reference_padding: bool = False
    target_scale: float = 1.0
    id2label: dict[int, str] = field(default_factory=dict)
    finetuning_task: str = ""
    max_seq_length: int = 0

    def __post_init__(self) -> None:
        if not self.classifier_head:
            head = "pooler" if self.model_type in ("bert", "ernie") else "dense"
            object.__setattr__(self, "classifier_head", head)
        for message in self._contradictions():
            raise InputError(message)

    def _contradictions(self) -> list[str]:
        found = []
        if self.model_type not in MODEL_TYPES:
            found.append(
                f"model_type {shortened(self.model_type)} is not one of {', '.join(MODEL_TYPES)}: "
                "take another checkpoint"
            )
        if self.classifier_head not in HEADS:
            found.append(
                f"classifier_head {shortened(self.classifier_head)} is not one of {', '.join(HEADS)}"
            )
        if not isinstance(self.hidden_act, str) or self.hidden_act not in _ACTIVATIONS:
            found.append(
                f"hidden_act {shortened(self.hidden_act)} is not known; the activations here are "
                f"{', '.join(sorted(_ACTIVATION_OF))}"
            )
        found += self._wrong_values()
        if found:
            return found
        if self.hidden_size % self.attention_heads or (
            self.is_conv and self.hidden_size % (2 * self.attention_heads)
        ):
            found.append(f"hidden_size {self.hidden_size} does not divide among {self.attention_heads} heads")
        if self.conv_kernel_size % 2 == 0:
            found.append(f"conv_kernel_size must be odd, not {self.conv_kernel_size}")
        if self.hidden_size % self.num_groups or self.intermediate_size % self.num_groups:
            found.append(f"num_groups {self.num_groups} does not divide hidden_size and intermediate_size")
        if self.num_hidden_layers > MOST_LAYERS:
            found.append(f"num_hidden_layers must be at most {MOST_LAYERS}, not {self.num_hidden_layers}")
        if self.max_seq_length > self.max_position_embeddings:
            found.append(
                f"max_seq_length {self.max_seq_length} is beyond "
                f"max_position_embeddings {self.max_position_embeddings}"
            )
        if self.pad_token_id >= self.vocab_size:
            found.append(f"pad_token_id {self.pad_token_id} is beyond vocab_size {self.vocab_size}")
        names = list(self.id2label.values())
        if sorted(self.id2label) != list(range(len(names))) or len(set(names)) != len(names):
            found.append(f"id2label must name ids from 0 on, each name once, not {shortened(self.id2label)}")
        return found

    def _wrong_values(self) -> list[str]:
        found = []
        for name in (*_COUNTS, "pad_token_id", "max_seq_length"):
            value, least = getattr(self, name), 1 if name in _COUNTS else 0
            if type(value) is not int or value < least:
                found.append(f"{name} must be a whole number of at least {least}, not {shortened(value)}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if not _is_number(value) or not 0 < value < math.inf:
                found.append(f"{name} must be a number above 0, not {shortened(value)}")
        if _is_number(self.layer_norm_eps) and self.layer_norm_eps > 1e-3:  # Paddle takes no larger one
            found.append(f"layer_norm_eps must be at most 0.001, not {self.layer_norm_eps!r}")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 <= value < 1):
                found.append(f"{name} must be a number in [0, 1), not {shortened(value)}")
        for name, kind in (("use_task_id", bool), ("reference_padding", bool), ("finetuning_task", str)):
            if not isinstance(getattr(self, name), kind):
                found.append(f"{name} must be a {kind.__name__}, not {shortened(getattr(self, name))}")
        return found

    @property
    def is_conv(self) -> bool:
        """Whether half of each layer's attention is the span-based dynamic convolution."""
        return self.model_type == "convbert"

    @property
    def has_task_types(self) -> bool:
        """Whether there are task-type embeddings (ERNIE's)."""
        return self.model_type == "ernie" and self.use_task_id

    @property
    def attention_heads(self) -> int:
        """Heads that attend: ConvBERT divides them by head_ratio, at least one is left."""
        if not self.is_conv:
            return self.num_attention_heads
        return max(1, self.num_attention_heads // self.head_ratio)

    @property
    def attention_width(self) -> int:
        """Columns of query, key and value: all of hidden_size, in ConvBERT half of it."""
        return self.hidden_size // 2 if self.is_conv else self.hidden_size

    @property
    def head_dropout(self) -> float:
        return self.hidden_dropout_prob if self.classifier_dropout is None else self.classifier_dropout

    @property
    def size(self) -> str:
        """The published size this is (by width, depth and groups), or ``custom``."""
        for name, row in SIZES.items():
            if all(getattr(self, key) == value for key, value in row.items()):
                return name
        return "custom"


_COUNTS = (
    "vocab_size", "hidden_size", "embedding_size", "num_hidden_layers", "num_attention_heads",
    "intermediate_size", "max_position_embeddings", "type_vocab_size", "head_ratio",
    "conv_kernel_size", "num_groups", "task_type_vocab_size",
)  # fmt: skip

_POSITIVE = ("initializer_range", "layer_norm_eps", "target_scale")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# What transformers' ElectraConfig takes for keys that a config.json leaves out; the others take ours.
_ELECTRA = {"embedding_size": 128, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}

# ConvBERT's published sizes (arXiv:2008.02496, table 1; YituTech/conv-bert-* on the hub).
_SIZE_FIELDS = (
    "embedding_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "num_groups",
)  # fmt: skip
_SIZE_ROWS = {
    "small":        (128, 256, 12,  4, 1024, 1),
    "medium-small": (128, 384, 12,  8, 1536, 2),
    "base":         (768, 768, 12, 12, 3072, 1),
}  # fmt: skip
SIZES = {name: dict(zip(_SIZE_FIELDS, row, strict=True)) for name, row in _SIZE_ROWS.items()}


def named(size: str, **changes: Any) -> EncoderConfig:
    """The configuration of a published ConvBERT size, with changes."""
    if size not in SIZES:
        raise InputError(f"unknown size {size!r}: choose from {', '.join(SIZES)}")
    return EncoderConfig(**{**SIZES[size], **changes})


def activation_named(name: Any) -> Any:
    """Our name of an activation under any of transformers' names; anything else as it is."""
    return _ACTIVATION_OF.get(name, name) if isinstance(name, str) else name


def from_json(values: dict[str, Any]) -> EncoderConfig:
    """Read the fields of a ``config.json``; keys that are not ours are left aside.

    Without a ``model_type`` or with an impossible value: InputError.
    """
    if values.get("model_type") is None:
        raise InputError(
            f"no model_type; expected one of {', '.join(MODEL_TYPES)}: add the line of the network "
            'that it is, such as "model_type": "bert"'
        )
    known = {f.name for f in dataclasses.fields(EncoderConfig)}
    kept = {key: value for key, value in values.items() if key in known and value is not None}
    if kept["model_type"] in ("bert", "ernie"):
        kept["embedding_size"] = kept.get("hidden_size", EncoderConfig.hidden_size)
    elif kept["model_type"] == "electra":
        kept = {**_ELECTRA, **kept}
    kept["id2label"] = _labels(kept.get("id2label", {}))
    if "hidden_act" in kept:
        kept["hidden_act"] = activation_named(kept["hidden_act"])
    return EncoderConfig(**kept)


_ID = re.compile("0|[1-9][0-9]{,8}")


def _labels(found: Any) -> dict[int, str]:
    """JSON's keys are text: "0" stands for 0, while "00" and " 0" stand for nothing."""
    labels = {}
    if isinstance(found, dict):
        labels = {int(key): str(name) for key, name in found.items() if _ID.fullmatch(str(key))}
    if not isinstance(found, dict) or len(labels) != len(found):
        raise InputError(f"id2label must map numbers to names, not {shortened(found)}")
    return labels


def to_json(config: EncoderConfig) -> dict[str, Any]:
    """The ``config.json`` of a configuration: Hugging Face's keys and the few of our own."""
    values = dataclasses.asdict(config)
    values["id2label"] = {str(key): name for key, name in config.id2label.items()}
    values["label2id"] = {name: key for key, name in config.id2label.items()}
    if config.target_scale == 1.0:
        del values["target_scale"]
    if len(config.id2label) == 1:
        values["problem_type"] = "regression"
    return values
