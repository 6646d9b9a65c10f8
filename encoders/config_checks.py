"""What values of a configuration are possible: the checks of EncoderConfig, which refuse others by name."""

import math
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from common.messages import shortened
from encoders.model_types import MODEL_TYPES

if TYPE_CHECKING:
    from encoders.config import EncoderConfig

HEADS = ("linear", "dense", "pooler")
# Each activation (layers.ACTIVATIONS has its function) and transformers' other names of the same function
# (its activations.py): the tanh form of gelu is written in several ways there.
ACTIVATION_NAMES = {
    "gelu": ("gelu_python",),
    "gelu_new": ("gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate"),
    "relu": (),
    "silu": ("swish",),
    "tanh": (),
}
CANONICAL = {name: ours for ours, others in ACTIVATION_NAMES.items() for name in (ours, *others)}
MAX_POSITIONS = 1 << 16
MAX_LAYERS = 1000  # far beyond every such network: a slip, or somebody's malice
_SWITCHES = (
    "use_task_id", "reference_padding", "position_biased_input", "relative_attention", "share_att_key",
    "norm_bias", "attention_bias", "mlp_bias", "classifier_bias",
)  # fmt: skip
_COUNTS = (
    "vocab_size", "hidden_size", "embedding_size", "num_hidden_layers", "num_attention_heads",
    "intermediate_size", "max_position_embeddings", "type_vocab_size", "head_ratio",
    "conv_kernel_size", "num_groups", "task_type_vocab_size", "conv_groups",
    "local_attention", "global_attn_every_n_layers",
)  # fmt: skip


def check(config: "EncoderConfig") -> None:
    """InputError that names the first value that no network can have; the model type is known."""
    _check_choices(config)
    _check_numbers(config)
    _check_relations(config)


def check_model_type(config: "EncoderConfig") -> None:
    if config.model_type not in MODEL_TYPES:
        raise InputError(
            f"model_type {shortened(config.model_type)} is not one of {', '.join(MODEL_TYPES)}: "
            "take another checkpoint"
        )


def _check_choices(config: "EncoderConfig") -> None:
    if config.classifier_head not in HEADS:
        head = shortened(config.classifier_head)
        raise InputError(f"classifier_head {head} is not one of {', '.join(HEADS)}")
    for name in ("hidden_act", "conv_act"):
        activation = getattr(config, name)
        if not isinstance(activation, str) or activation not in ACTIVATION_NAMES:
            raise InputError(
                f"{name} {shortened(activation)} is not known; the activations here are "
                f"{', '.join(sorted(CANONICAL))}"
            )
    require(
        config.relative_attention is True, "relative_attention must be true, not", config.relative_attention
    )
    are_known = isinstance(config.pos_att_type, tuple) and {*config.pos_att_type} <= {"c2p", "p2c"}
    require(are_known, "pos_att_type must be of c2p and p2c, not", config.pos_att_type)
    window, pooling = config.local_attention, config.classifier_pooling
    is_even = not isinstance(window, int) or window % 2 == 0
    require(is_even, "local_attention must be even, half to each side, not", window)
    require(pooling in ("cls", "mean"), "classifier_pooling must be cls or mean, not", pooling)
    norm = config.norm_rel_ebd
    require(norm in ("none", "layer_norm"), "norm_rel_ebd must be none or layer_norm, not", norm)


def _check_numbers(config: "EncoderConfig") -> None:
    for name in (*_COUNTS, "pad_token_id", "max_seq_length"):
        value = getattr(config, name)
        least = 1 if name in _COUNTS and name not in config.type.may_be_zero else 0
        is_count = type(value) is int and value >= least
        require(is_count, f"{name} must be a whole number of at least {least}, not", value)
    for name in (
        "initializer_range",
        "layer_norm_eps",
        "target_scale",
        "global_rope_theta",
        "local_rope_theta",
    ):
        value = getattr(config, name)
        require(_is_number(value) and 0 < value < math.inf, f"{name} must be a number above 0, not", value)
    epsilon = config.layer_norm_eps
    require(epsilon <= 1e-3, "layer_norm_eps must be at most 0.001, not", epsilon)  # Paddle's limit
    for name in (
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "classifier_dropout",
        "embedding_dropout",
    ):
        value = getattr(config, name)
        is_unset = value is None and name in ("classifier_dropout", "embedding_dropout")
        is_rate = _is_number(value) and 0 <= value < 1
        require(is_unset or is_rate, f"{name} must be a number in [0, 1), not", value)
    for name, kind in (
        *((name, bool) for name in _SWITCHES), ("finetuning_task", str), ("norm_rel_ebd", str),
        ("position_buckets", int), ("max_relative_positions", int),
    ):  # fmt: skip
        value = getattr(config, name)
        require(isinstance(value, kind), f"{name} must be a {kind.__name__}, not", value)
    columns = config.text_columns
    are_names = columns is None or (len(columns) in (1, 2) and all(isinstance(c, str) for c in columns))
    require(are_names, "text_columns must be one name or two, not", columns)


def _check_relations(config: "EncoderConfig") -> None:
    heads, hidden = config.attention_heads, config.hidden_size
    if hidden % (2 * heads if config.is_conv else heads):
        raise InputError(f"hidden_size {hidden} does not divide among {heads} heads")
    kernel_size, groups, layers = config.conv_kernel_size, config.num_groups, config.num_hidden_layers
    is_left_out = kernel_size == 0 and "conv_kernel_size" in config.type.may_be_zero
    require(kernel_size % 2 == 1 or is_left_out, "conv_kernel_size must be odd, not", kernel_size)
    if hidden % config.conv_groups:
        raise InputError(f"conv_groups {config.conv_groups} does not divide hidden_size {hidden}")
    if hidden % groups or config.intermediate_size % groups:
        raise InputError(f"num_groups {groups} does not divide hidden_size and intermediate_size")
    require(layers <= MAX_LAYERS, f"num_hidden_layers must be at most {MAX_LAYERS}, not", layers)
    positions = config.max_position_embeddings
    if not config.has_position_table:  # else it is the size of a table
        require(positions <= MAX_POSITIONS, f"max_position_embeddings must be at most {MAX_POSITIONS}, not",
                 positions)  # fmt: skip
    if config.max_tokens < 1:
        raise InputError(
            f"max_position_embeddings {config.max_position_embeddings} leaves no position behind that of "
            f"pad_token_id {config.pad_token_id}"
        )
    for name, limit, most in (
        ("max_seq_length", "max_position_embeddings", config.max_tokens),
        ("pad_token_id", "vocab_size", config.vocab_size - 1),
    ):
        if (value := getattr(config, name)) > most:
            raise InputError(f"{name} {value} is beyond {limit} {getattr(config, limit)}")
    names = list(config.id2label.values())
    are_ids = sorted(config.id2label) == list(range(len(names))) and len(set(names)) == len(names)
    require(are_ids, "id2label must name ids from 0 on, each name once, not", config.id2label)


def require(condition: bool, message: str, value: Any) -> None:
    if not condition:
        raise InputError(f"{message} {shortened(value)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
