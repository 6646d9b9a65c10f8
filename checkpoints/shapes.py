"""The shape of every parameter of a network, worked out before one is built. No Paddle."""

import math

from encoders.config import EncoderConfig

# Six times the largest published network of these types: 8 GB of weights, 24 GB with Adam's moments.
MOST_PARAMETERS = 2_000_000_000

Shape = tuple[int, ...]


def shapes_by_rule(config: EncoderConfig) -> dict[str, Shape]:
    """Our parameter name → shape; ``*`` stands for a layer's number."""
    return {
        **_embeddings(config),
        **_attention(config),
        **(_span_convolution(config) if config.is_conv else {}),
        **_feed_forward(config),
        **_head(config),
    }


def expected_shapes(config: EncoderConfig) -> dict[str, Shape]:
    """Our parameter name → shape, every layer by itself."""
    return {
        rule.replace("*", str(layer)): shape
        for rule, shape in shapes_by_rule(config).items()
        for layer in (range(config.num_hidden_layers) if "*" in rule else [0])
    }


def parameter_count(config: EncoderConfig) -> int:
    """How many numbers such a network has."""
    return sum(
        math.prod(shape) * (config.num_hidden_layers if "*" in rule else 1)
        for rule, shape in shapes_by_rule(config).items()
    )


def _linear(name: str, width_in: int, width_out: int, groups: int = 1) -> dict[str, Shape]:
    weight = (width_in, width_out) if groups == 1 else (groups, width_in // groups, width_out // groups)
    return {f"{name}.weight": weight, f"{name}.bias": (width_out,)}


def _norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _embeddings(config: EncoderConfig) -> dict[str, Shape]:
    name, width = "encoder.embeddings", config.embedding_size
    shapes: dict[str, Shape] = {
        f"{name}.word.weight": (config.vocab_size, width),
        f"{name}.position.weight": (config.max_position_embeddings, width),
        f"{name}.token_type.weight": (config.type_vocab_size, width),
    }
    if config.has_task_types:
        shapes[f"{name}.task_type.weight"] = (config.task_type_vocab_size, width)
    shapes |= _norm(f"{name}.norm", width)
    if width != config.hidden_size:
        shapes |= _linear(f"{name}.projection", width, config.hidden_size)
    return shapes


def _attention(config: EncoderConfig) -> dict[str, Shape]:
    name, hidden, width = "encoder.layers.*.attention", config.hidden_size, config.attention_width
    shapes: dict[str, Shape] = {}
    for part in ("query", "key", "value"):
        shapes |= _linear(f"{name}.{part}", hidden, width)
    return {**shapes, **_linear(f"{name}.output", hidden, hidden), **_norm(f"{name}.norm", hidden)}


def _span_convolution(config: EncoderConfig) -> dict[str, Shape]:
    name, hidden, width = "encoder.layers.*.attention.span_conv", config.hidden_size, config.attention_width
    return {
        f"{name}.depthwise": (config.conv_kernel_size, hidden),
        f"{name}.pointwise": (hidden, width),
        f"{name}.bias": (width,),
        **_linear(f"{name}.kernel", width, config.attention_heads * config.conv_kernel_size),
        **_linear(f"{name}.value", hidden, width),
    }


def _feed_forward(config: EncoderConfig) -> dict[str, Shape]:
    name, hidden, inner = "encoder.layers.*.feed_forward", config.hidden_size, config.intermediate_size
    groups = config.num_groups
    return {
        **_linear(f"{name}.inner", hidden, inner, groups),
        **_linear(f"{name}.outer", inner, hidden, groups),
        **_norm(f"{name}.norm", hidden),
    }


def _head(config: EncoderConfig) -> dict[str, Shape]:
    hidden, before = config.hidden_size, {"dense": "dense", "pooler": "pooler"}.get(config.classifier_head)
    shapes = _linear(f"head.{before}", hidden, hidden) if before else {}
    return {**shapes, **_linear("head.projection", hidden, max(1, len(config.id2label)))}
