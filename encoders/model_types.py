"""The model types, a row each: what their configurations have that others do not, and what Hugging Face's
files call it. No Paddle.

The networks themselves are in the file of each family; ``encoders.encoder.FAMILIES`` puts them together.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from common.errors import InputError
from common.messages import shortened

# Fields of EncoderConfig that not every type has. config.json of the four oldest holds all of theirs.
_OLD = (
    "type_vocab_size", "embedding_size", "head_ratio", "conv_kernel_size", "num_groups", "use_task_id",
    "task_type_vocab_size",
)  # fmt: skip


class ModelType(NamedTuple):
    """One model type.

    Attributes:
        head: The classifier head where config.json names none, one of ``config.HEADS``.
        has_pooler: Whether published weights have a pooler that was trained with them.
        head_activation: Of the dense head; empty: hidden_act.
        drops_head_input: Whether the dense head has dropout before its first layer too.
        fields: The fields of EncoderConfig, of those that not every type has, that this one has.
        keys: Field → the key of it in config.json, where that is another.
        defaults: Field → what transformers takes where config.json leaves it out, where ours is another.
        may_be_zero: Sizes that may be 0, which leaves the part out.
        first_position: The position of a text's first token less pad_token_id; None: positions count from 0.
        separators: How many separators stand between the texts of a pair.
        knows_segments: Whether its embeddings tell the second text of a pair from the first.
        has_positions: Whether there may be an embedding of every position.
        has_head_norm: Whether the dense head has a LayerNorm behind its activation.
    """

    head: str = "dense"
    has_pooler: bool = False
    head_activation: str = ""
    drops_head_input: bool = True
    fields: tuple[str, ...] = ()
    keys: Mapping[str, str] = {}
    defaults: Mapping[str, Any] = {}
    may_be_zero: tuple[str, ...] = ()
    first_position: int | None = None
    separators: int = 1
    knows_segments: bool = True
    has_positions: bool = True
    has_head_norm: bool = False


_ROBERTA = ModelType(
    head_activation="tanh",
    defaults={"pad_token_id": 1},
    first_position=1,
    separators=2,
    knows_segments=False,
    fields=("type_vocab_size",),
)
TYPES = {
    "convbert": ModelType(fields=_OLD),
    "electra": ModelType(
        head_activation="gelu",
        fields=_OLD,
        defaults={
            "embedding_size": 128, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024,
        },
    ),
    "bert": ModelType("pooler", has_pooler=True, fields=_OLD),
    "ernie": ModelType("pooler", has_pooler=True, fields=_OLD),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "distilbert": ModelType(
        head_activation="relu",
        drops_head_input=False,
        keys={
            "hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim", "hidden_dropout_prob": "dropout",
            "attention_probs_dropout_prob": "attention_dropout", "hidden_act": "activation",
            "classifier_dropout": "seq_classif_dropout",
        },
        defaults={"num_hidden_layers": 6, "classifier_dropout": 0.2},
        knows_segments=False,
    ),
    "deberta-v2": ModelType(
        head_activation="gelu",
        drops_head_input=False,
        fields=(
            "type_vocab_size", "position_biased_input", "relative_attention", "position_buckets",
            "max_relative_positions", "pos_att_type", "share_att_key", "norm_rel_ebd", "conv_kernel_size",
            "conv_groups", "conv_act",
        ),
        keys={"classifier_dropout": "cls_dropout"},
        defaults={
            "vocab_size": 128100, "hidden_size": 1536, "num_hidden_layers": 24, "num_attention_heads": 24,
            "intermediate_size": 6144, "type_vocab_size": 0, "layer_norm_eps": 1e-7, "conv_kernel_size": 0,
            "relative_attention": False, "pos_att_type": "",
        },
        may_be_zero=("type_vocab_size", "conv_kernel_size"),
    ),
    "modernbert": ModelType(
        head_activation="gelu",
        drops_head_input=False,
        fields=(
            "local_attention", "global_attn_every_n_layers", "global_rope_theta", "local_rope_theta",
            "norm_bias", "attention_bias", "mlp_bias", "classifier_bias", "classifier_pooling",
            "embedding_dropout",
        ),
        keys={
            "hidden_act": "hidden_activation", "layer_norm_eps": "norm_eps",
            "hidden_dropout_prob": "mlp_dropout", "attention_probs_dropout_prob": "attention_dropout",
        },
        defaults={
            "vocab_size": 50368, "intermediate_size": 1152, "num_hidden_layers": 22,
            "max_position_embeddings": 8192, "pad_token_id": 50283,
            "layer_norm_eps": 1e-5, "norm_bias": False, "attention_bias": False, "mlp_bias": False,
            "classifier_bias": False, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
            "embedding_dropout": 0.0, "classifier_dropout": 0.0,
        },
        knows_segments=False,
        has_positions=False,
        has_head_norm=True,
    ),
}  # fmt: skip
MODEL_TYPES = tuple(TYPES)
_LAYER_TYPES = ("full_attention", "sliding_attention")
_OF_SOME = {name for row in TYPES.values() for name in row.fields}


def is_field_of(model_type: str, name: str) -> bool:
    """Whether a field of EncoderConfig is one of this model type's."""
    return name not in _OF_SOME or name in TYPES[model_type].fields


def key_of(model_type: str, name: str) -> str:
    """What config.json calls a field; empty where this model type has no such field."""
    return TYPES[model_type].keys.get(name, name) if is_field_of(model_type, name) else ""


def to_fields(model_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a config.json under our names; other keys as they are."""
    row = TYPES[model_type]
    values = _without_lists(values) if model_type == "modernbert" else values
    ours = {theirs: name for name, theirs in row.keys.items()}
    return {
        **row.defaults,
        **{ours.get(key, key): value for key, value in values.items() if value is not None},
    }


def _without_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """ModernBERT's settings as its authors wrote them, of the lists and maps that transformers 5 writes.

    InputError for other patterns of layers, and other kinds of rotation, than they have.
    """
    result = {key: value for key, value in values.items() if key not in ("layer_types", "rope_parameters")}
    types, ropes = values.get("layer_types"), values.get("rope_parameters")
    if types is not None:
        count = len(types) if isinstance(types, list) else 0
        steps = (values.get("global_attn_every_n_layers"), *range(1, count + 1))
        fitting = [n for n in steps if type(n) is int and n > 0 and _layer_types(count, n) == types]
        if not fitting or values.get("num_hidden_layers", count) != count:
            raise InputError(
                f"layer_types {shortened(types)} is not supported: layers attend to all tokens every n-th "
                "time, beginning with the first; take another checkpoint"
            )
        result["global_attn_every_n_layers"] = fitting[0]
    if ropes is not None:
        for kind, name in zip(_LAYER_TYPES, ("global_rope_theta", "local_rope_theta"), strict=True):
            row = ropes.get(kind) if isinstance(ropes, dict) else None
            row = {} if row is None and isinstance(ropes, dict) else row
            if not isinstance(row, dict) or row.get("rope_type", "default") != "default":
                raise InputError(
                    f"rope_parameters {shortened(ropes)} is not supported: rotations are plain here"
                )
            if "rope_theta" in row:
                result[name] = row["rope_theta"]
    return result


def _layer_types(count: int, step: int) -> list[str]:
    return [_LAYER_TYPES[number % step != 0] for number in range(count)]


def to_keys(model_type: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of config.json for the fields that this model type has."""
    return {key: value for name, value in fields.items() if (key := key_of(model_type, name))}
