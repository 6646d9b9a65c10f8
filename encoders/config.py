"""EncoderConfig: every size of the network, under Hugging Face's names; the named sizes, one table."""

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any

from common.errors import InputError
from encoders.config_checks import CANONICAL, check, check_model_type, require
from encoders.model_types import MODEL_TYPES, TYPES, ModelType, is_field_of, to_fields, to_keys


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of a network. Field names are those of Hugging Face's ``config.json``.

    Attributes:
        embedding_size: Width of the embedding tables, which are projected to hidden_size where that differs.
        classifier_dropout: Of the head; None: hidden_dropout_prob.
        position_biased_input: Add an embedding of each token's position to its own.
        relative_attention: DeBERTa's attention to distances; always.
        position_buckets: Distances share this many embeddings to each side; below 1: each has its own.
        max_relative_positions: The greatest distance; below 1: max_position_embeddings.
        pos_att_type: Which terms of DeBERTa's scores there are: ``c2p`` (content to position), ``p2c``.
        share_att_key: Distances go through the query and key of the content.
        norm_rel_ebd: ``layer_norm``: the embeddings of distances are normalised; ``none``.
        conv_groups, conv_act: Of DeBERTa's convolution, which conv_kernel_size 0 leaves out.
        local_attention: How many tokens, half to each side, ModernBERT's local layers see.
        global_attn_every_n_layers: The first of so many of its layers sees all tokens.
        global_rope_theta, local_rope_theta: How slowly the slowest rotation of those layers turns.
        norm_bias, attention_bias, mlp_bias, classifier_bias: Whether ModernBERT's parts have biases.
        classifier_pooling: The head reads the first token (``cls``) or the mean of all (``mean``).
        embedding_dropout: None: hidden_dropout_prob.
        head_ratio: By how much ConvBERT divides the attention heads.
        num_groups: Groups of the feed-forward's linear layers.
        classifier_head: ``linear`` (the ConvBERT authors': one layer on the first token), ``dense`` (Hugging
            Face's for most types: dense, activation, projection) or ``pooler`` (BERT, ERNIE: through the
            pretrained dense + tanh). Empty: that of the model type.
        reference_padding: Let padding reach real tokens through the convolution, as published code does.
        target_scale: A regression head's output times this is the score (STS-B on [0, 1]: 5).
        finetuning_task: What the head was trained for; empty in a pretrained model.
        max_seq_length: On how many tokens; 0 in a pretrained model.
        text_columns: What the texts are called in the files of a task of the user's own, one or two.

    Raises:
        InputError: It names the first value that no network can have.
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
    position_biased_input: bool = True
    relative_attention: bool = True
    position_buckets: int = -1
    max_relative_positions: int = -1
    pos_att_type: tuple[str, ...] = ("c2p", "p2c")
    share_att_key: bool = False
    norm_rel_ebd: str = "none"
    conv_groups: int = 1
    conv_act: str = "tanh"
    local_attention: int = 128
    global_attn_every_n_layers: int = 3
    global_rope_theta: float = 160_000.0
    local_rope_theta: float = 10_000.0
    norm_bias: bool = True
    attention_bias: bool = True
    mlp_bias: bool = True
    classifier_bias: bool = True
    classifier_pooling: str = "cls"
    embedding_dropout: float | None = None
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
    text_columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_model_type(self)
        if not self.classifier_head:
            object.__setattr__(self, "classifier_head", self.type.head)
        check(self)

    @property
    def type(self) -> ModelType:
        """The row of the model type."""
        return TYPES[self.model_type]

    @property
    def max_tokens(self) -> int:
        """The most tokens of an input: RoBERTa's positions begin behind the padding's."""
        first = self.type.first_position
        return self.max_position_embeddings - (0 if first is None else self.pad_token_id + first)

    @property
    def reads_pairs(self) -> bool:
        """Whether two texts can be one input: a BERT needs an embedding for the tokens of the second."""
        return self.type_vocab_size != 1 or not self.type.knows_segments

    @property
    def token_types(self) -> int:
        """How many embeddings there are of token types."""
        return self.type_vocab_size if is_field_of(self.model_type, "type_vocab_size") else 0

    @property
    def has_position_table(self) -> bool:
        """Whether there is an embedding of every position."""
        return self.type.has_positions and self.position_biased_input

    @property
    def position_span(self) -> int:
        """How many embeddings there are for distances to either side."""
        if self.position_buckets > 0:
            return self.position_buckets
        return (
            self.max_relative_positions if self.max_relative_positions > 0 else self.max_position_embeddings
        )

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
    return CANONICAL.get(name, name) if isinstance(name, str) else name


def from_json(values: dict[str, Any]) -> EncoderConfig:
    """Read the fields of a ``config.json``; keys that are not ours are left aside.

    Without a ``model_type`` or with an impossible value: InputError.
    """
    if values.get("model_type") is None:
        raise InputError(
            f"no model_type; expected one of {', '.join(MODEL_TYPES)}: add the line of the network "
            'that it is, such as "model_type": "bert"'
        )
    model_type = values["model_type"]
    if model_type in MODEL_TYPES:
        values = to_fields(model_type, values)
    known = {f.name for f in dataclasses.fields(EncoderConfig)}
    kept = {key: value for key, value in values.items() if key in known and value is not None}
    if model_type in MODEL_TYPES:
        kept = {key: value for key, value in kept.items() if is_field_of(model_type, key)}
        if model_type not in ("convbert", "electra"):
            kept["embedding_size"] = kept.get("hidden_size", EncoderConfig.hidden_size)
    if "text_columns" in kept:
        columns = kept["text_columns"]
        require(isinstance(columns, list), "text_columns must be a list of names, not", columns)
        kept["text_columns"] = tuple(columns)
    kept["id2label"] = _labels(kept.get("id2label", {}))
    for name in ("hidden_act", "conv_act"):
        if name in kept:
            kept[name] = activation_named(kept[name])
    if isinstance(kinds := kept.get("pos_att_type"), str | list):
        kinds = kinds.split("|") if isinstance(kinds, str) else kinds
        kept["pos_att_type"] = tuple(str(kind).strip().lower() for kind in kinds)
    if isinstance(norm := kept.get("norm_rel_ebd"), str):
        kept["norm_rel_ebd"] = norm.strip().lower()
    return EncoderConfig(**kept)


_ID = re.compile("0|[1-9][0-9]{,8}")


def _labels(value: Any) -> dict[int, str]:
    """JSON's keys are text: "0" stands for 0, while "00" and " 0" stand for nothing."""
    items = value.items() if isinstance(value, dict) else ()
    labels = {int(key): str(name) for key, name in items if _ID.fullmatch(str(key))}
    is_map = isinstance(value, dict) and len(labels) == len(value)
    require(is_map, "id2label must map numbers to names, not", value)
    return labels


def to_json(config: EncoderConfig) -> dict[str, Any]:
    """The ``config.json`` of a configuration: Hugging Face's keys and the few of our own."""
    values = to_keys(config.model_type, dataclasses.asdict(config))
    values["id2label"] = {str(key): name for key, name in config.id2label.items()}
    values["label2id"] = {name: key for key, name in config.id2label.items()}
    if config.target_scale == 1.0:
        del values["target_scale"]
    if config.text_columns is None:
        del values["text_columns"]
    if len(config.id2label) == 1:
        values["problem_type"] = "regression"
    return values
