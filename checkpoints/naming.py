"""Our parameter names ↔ Hugging Face's, one reversible table: one rule a row.

A rule is (ours, theirs, layout). ``*`` stands for a layer's number. ``layout`` names how the array is
laid out differently; every layout is its own way back. ``{base}`` is the model type (``convbert.``).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from convbert.config import EncoderConfig


class Rule(NamedTuple):
    ours: str
    theirs: str
    layout: str


class Name(NamedTuple):
    """One parameter under both names."""

    ours: str
    theirs: str
    layout: str


def _linear(ours: str, theirs: str) -> list[Rule]:
    return [
        Rule(f"{ours}.weight", f"{theirs}.weight", "transposed"),
        Rule(f"{ours}.bias", f"{theirs}.bias", "same"),
    ]


def _norm(ours: str, theirs: str) -> list[Rule]:
    return [Rule(f"{ours}.{part}", f"{theirs}.{part}", "same") for part in ("weight", "bias")]


_EMBEDDINGS = [
    Rule("encoder.embeddings.word.weight", "{base}.embeddings.word_embeddings.weight", "same"),
    Rule("encoder.embeddings.position.weight", "{base}.embeddings.position_embeddings.weight", "same"),
    Rule("encoder.embeddings.token_type.weight", "{base}.embeddings.token_type_embeddings.weight", "same"),
    Rule("encoder.embeddings.task_type.weight", "{base}.embeddings.task_type_embeddings.weight", "same"),
    *_norm("encoder.embeddings.norm", "{base}.embeddings.LayerNorm"),
    *_linear("encoder.embeddings.projection", "{base}.embeddings_project"),
]
_OURS, _THEIRS = "encoder.layers.*", "{base}.encoder.layer.*"
_LAYER = [
    *_linear(f"{_OURS}.attention.query", f"{_THEIRS}.attention.self.query"),
    *_linear(f"{_OURS}.attention.key", f"{_THEIRS}.attention.self.key"),
    *_linear(f"{_OURS}.attention.value", f"{_THEIRS}.attention.self.value"),
    *_linear(f"{_OURS}.attention.output", f"{_THEIRS}.attention.output.dense"),
    *_norm(f"{_OURS}.attention.norm", f"{_THEIRS}.attention.output.LayerNorm"),
    *_linear(f"{_OURS}.feed_forward.inner", f"{_THEIRS}.intermediate.dense"),
    *_linear(f"{_OURS}.feed_forward.outer", f"{_THEIRS}.output.dense"),
    *_norm(f"{_OURS}.feed_forward.norm", f"{_THEIRS}.output.LayerNorm"),
]
_OURS_SPAN, _THEIRS_SPAN = f"{_OURS}.attention.span_conv", f"{_THEIRS}.attention.self"
_SPAN = [
    Rule(f"{_OURS_SPAN}.depthwise", f"{_THEIRS_SPAN}.key_conv_attn_layer.depthwise.weight", "depthwise"),
    Rule(f"{_OURS_SPAN}.pointwise", f"{_THEIRS_SPAN}.key_conv_attn_layer.pointwise.weight", "pointwise"),
    Rule(f"{_OURS_SPAN}.bias", f"{_THEIRS_SPAN}.key_conv_attn_layer.bias", "column"),
    *_linear(f"{_OURS_SPAN}.kernel", f"{_THEIRS_SPAN}.conv_kernel_layer"),
    *_linear(f"{_OURS_SPAN}.value", f"{_THEIRS_SPAN}.conv_out_layer"),
]
_HEADS = {
    "linear": _linear("head.projection", "classifier"),
    "dense": [
        *_linear("head.dense", "classifier.dense"),
        *_linear("head.projection", "classifier.out_proj"),
    ],
    "pooler": [
        *_linear("head.pooler", "{base}.pooler.dense"),
        *_linear("head.projection", "classifier"),
    ],
}

# Parts of published checkpoints that a sentence classifier has no use for.
LEFT_ASIDE = re.compile(
    r"(^|\.)(position_ids|token_type_ids)$"
    r"|^(cls|generator|generator_predictions|generator_lm_head|discriminator|discriminator_predictions"
    r"|qa_outputs|mlm_head)\."
)


def rules(config: EncoderConfig) -> list[Rule]:
    """The table of a model type with its head."""
    table = [*_EMBEDDINGS, *_LAYER, *(_SPAN if config.is_conv else []), *_HEADS[config.classifier_head]]
    if config.num_groups > 1:  # grouped weights are (groups, in, out) on both sides
        table = [rule._replace(layout="same") if ".feed_forward." in rule.ours else rule for rule in table]
    return table


def names(config: EncoderConfig) -> Iterator[Name]:
    """Every parameter such a network can have, under both names."""
    for rule in rules(config):
        theirs = rule.theirs.format(base=config.model_type)
        for layer in range(config.num_hidden_layers) if "*" in rule.ours else [0]:
            yield Name(rule.ours.replace("*", str(layer)), theirs.replace("*", str(layer)), rule.layout)


def their_shape(shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    """The shape that an array of our shape has in their layout; see ``to_ours``."""
    if layout == "depthwise":
        return (shape[1], 1, shape[0])
    if layout == "pointwise":
        return (shape[1], shape[0], 1)
    if layout == "column":
        return (shape[0], 1)
    return shape[::-1] if layout == "transposed" else shape


def to_ours(array: np.ndarray, layout: str) -> np.ndarray:
    """Their array in our layout: transposed (out, in) → (in, out); depthwise (C, 1, K) → (K, C);
    pointwise (out, in, 1) → (in, out); column (C, 1) → (C,)."""
    if layout == "depthwise" or layout == "pointwise":
        array = np.squeeze(array, axis=1 if layout == "depthwise" else 2).T
    elif layout == "transposed":
        array = array.T
    elif layout == "column":
        array = np.squeeze(array, axis=1)
    return np.ascontiguousarray(array)


def to_theirs(array: np.ndarray, layout: str) -> np.ndarray:
    """The way back of ``to_ours``."""
    if layout == "depthwise":
        array = array.T[:, None, :]
    elif layout == "pointwise":
        array = array.T[:, :, None]
    elif layout == "transposed":
        array = array.T
    elif layout == "column":
        array = array[:, None]
    return np.ascontiguousarray(array)
