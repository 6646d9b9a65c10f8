"""Our parameter names ↔ Hugging Face's and PaddleNLP's, one reversible table a model type: one rule a row.

``*`` stands for a layer's number, ``{base}`` for the model type (``convbert.``). A layout names how an
array lies differently from ours; every layout is its own way back.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from encoders.config import EncoderConfig

HUGGINGFACE, PADDLENLP = "huggingface", "paddlenlp"


class Side(NamedTuple):
    """A parameter's name among others, and the layout of its array there."""

    name: str
    layout: str


class Rule(NamedTuple):
    """ours is empty for what a sentence classifier has no use for; such rows serve conversion alone."""

    ours: str
    huggingface: Side
    paddlenlp: Side

    def side(self, convention: str) -> Side:
        return self.huggingface if convention == HUGGINGFACE else self.paddlenlp


class Name(NamedTuple):
    """One parameter under our name and theirs."""

    ours: str
    theirs: str
    layout: str


def _same(ours: str, huggingface: str, paddlenlp: str = "") -> Rule:
    return Rule(ours, Side(huggingface, "same"), Side(paddlenlp or huggingface, "same"))


def _linear(ours: str, huggingface: str, paddlenlp: str = "") -> list[Rule]:
    """Paddle's linear layers hold (in, out), as ours do, PyTorch's (out, in)."""
    paddlenlp = paddlenlp or huggingface
    weight, bias = (f"{ours}.weight", f"{ours}.bias") if ours else ("", "")
    return [
        Rule(weight, Side(f"{huggingface}.weight", "transposed"), Side(f"{paddlenlp}.weight", "same")),
        _same(bias, f"{huggingface}.bias", f"{paddlenlp}.bias"),
    ]


def _norm(ours: str, huggingface: str, paddlenlp: str) -> list[Rule]:
    return [
        _same(f"{ours}.{part}" if ours else "", f"{huggingface}.{part}", f"{paddlenlp}.{part}")
        for part in ("weight", "bias")
    ]


_E = "{base}.embeddings"
_EMBEDDINGS = [
    _same("encoder.embeddings.word.weight", f"{_E}.word_embeddings.weight"),
    _same("encoder.embeddings.position.weight", f"{_E}.position_embeddings.weight"),
    _same("encoder.embeddings.token_type.weight", f"{_E}.token_type_embeddings.weight"),
    _same("encoder.embeddings.task_type.weight", f"{_E}.task_type_embeddings.weight"),
    *_norm("encoder.embeddings.norm", f"{_E}.LayerNorm", f"{_E}.layer_norm"),
    *_linear("encoder.embeddings.projection", "{base}.embeddings_project"),
]
_OURS, _HF, _NLP = "encoder.layers.*", "{base}.encoder.layer.*", "{base}.encoder.layers.*"
_LAYER = [
    *_linear(f"{_OURS}.attention.query", f"{_HF}.attention.self.query", f"{_NLP}.self_attn.q_proj"),
    *_linear(f"{_OURS}.attention.key", f"{_HF}.attention.self.key", f"{_NLP}.self_attn.k_proj"),
    *_linear(f"{_OURS}.attention.value", f"{_HF}.attention.self.value", f"{_NLP}.self_attn.v_proj"),
    *_linear(f"{_OURS}.attention.output", f"{_HF}.attention.output.dense", f"{_NLP}.self_attn.out_proj"),
    *_norm(f"{_OURS}.attention.norm", f"{_HF}.attention.output.LayerNorm", f"{_NLP}.norm1"),
    *_linear(f"{_OURS}.feed_forward.inner", f"{_HF}.intermediate.dense", f"{_NLP}.linear1"),
    *_linear(f"{_OURS}.feed_forward.outer", f"{_HF}.output.dense", f"{_NLP}.linear2"),
    *_norm(f"{_OURS}.feed_forward.norm", f"{_HF}.output.LayerNorm", f"{_NLP}.norm2"),
]
_SPAN, _HF_SELF, _NLP_SELF = f"{_OURS}.attention.span_conv", f"{_HF}.attention.self", f"{_NLP}.self_attn"


def _convolution(ours: str, name: str, layout: str, paddlenlp_layout: str) -> Rule:
    name = f"key_conv_attn_layer.{name}"
    return Rule(
        f"{_SPAN}.{ours}", Side(f"{_HF_SELF}.{name}", layout), Side(f"{_NLP_SELF}.{name}", paddlenlp_layout)
    )


_SPAN_CONVOLUTION = [
    _convolution("depthwise", "depthwise.weight", "depthwise", "depthwise"),
    _convolution("pointwise", "pointwise.weight", "pointwise", "pointwise"),
    _convolution("bias", "bias", "column", "same"),
    *_linear(f"{_SPAN}.kernel", f"{_HF_SELF}.conv_kernel_layer", f"{_NLP_SELF}.conv_kernel_layer"),
    *_linear(f"{_SPAN}.value", f"{_HF_SELF}.conv_out_layer", f"{_NLP_SELF}.conv_out_layer"),
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

# The heads of pre-training. PaddleNLP 2.5 and later have a pooler in ConvBERT too, transformers has none.
_GENERATOR, _DISCRIMINATOR, _MASKED = "generator_predictions", "discriminator_predictions", "cls.predictions"
_ELECTRA_STYLE = [
    *_linear("", f"{_GENERATOR}.dense"),
    *_norm("", f"{_GENERATOR}.LayerNorm", f"{_GENERATOR}.layer_norm"),
    Rule("", Side("generator_lm_head.weight", "transposed"), Side("generator_lm_head.weight", "same")),
    _same("", "generator_lm_head.bias", "generator_lm_head_bias"),
    *_linear("", f"{_DISCRIMINATOR}.dense"),
    *_linear("", f"{_DISCRIMINATOR}.dense_prediction"),
    *_linear("", "{base}.pooler.dense"),
]
_BERT_STYLE = [
    *_linear("", f"{_MASKED}.transform.dense", f"{_MASKED}.transform"),
    *_norm("", f"{_MASKED}.transform.LayerNorm", f"{_MASKED}.layer_norm"),
    _same("", f"{_MASKED}.decoder.weight"),
    _same("", f"{_MASKED}.decoder.bias"),
    _same("", f"{_MASKED}.bias", f"{_MASKED}.decoder_bias"),
    *_linear("", "cls.seq_relationship"),
    *_linear("", "{base}.pooler.dense"),
]
_SPANS = _linear("", "qa_outputs", "classifier")  # the head of question answering

# Parts of published checkpoints that a sentence classifier has no use for.
LEFT_ASIDE = re.compile(
    r"(^|\.)(position_ids|token_type_ids)$"
    r"|^(cls|generator|generator_predictions|generator_lm_head|discriminator|discriminator_predictions"
    r"|qa_outputs|mlm_head)\."
    r"|^generator_lm_head_bias$"
    r"|^n_averaged\b"  # how many states torch.optim.swa_utils averaged
)


def rules(config: EncoderConfig) -> list[Rule]:
    """The table of a model type with its head."""
    convolution = _SPAN_CONVOLUTION if config.is_conv else []
    table = [*_EMBEDDINGS, *_LAYER, *convolution, *_HEADS[config.classifier_head]]
    if config.num_groups > 1:  # grouped weights are (groups, in, out) everywhere
        table = [
            rule._replace(huggingface=rule.huggingface._replace(layout="same"))
            if ".feed_forward." in rule.ours
            else rule
            for rule in table
        ]
    return table


def all_rules(config: EncoderConfig, answers_questions: bool) -> list[Rule]:
    """The table with the heads of pre-training too, for conversion.

    answers_questions: PaddleNLP calls the head of question answering a classifier as well.
    """
    pretraining = _ELECTRA_STYLE if config.model_type in ("convbert", "electra") else _BERT_STYLE
    table = rules(config)
    if answers_questions:
        table = [rule for rule in table if not rule.huggingface.name.startswith("classifier.")] + _SPANS
    known = {rule.huggingface.name for rule in table}
    return table + [rule for rule in pretraining if rule.huggingface.name not in known]


def names(config: EncoderConfig, convention: str = HUGGINGFACE) -> Iterator[Name]:
    """Every parameter such a network can have, under both names."""
    for rule in rules(config):
        side = rule.side(convention)
        theirs = side.name.format(base=config.model_type)
        for layer in range(config.num_hidden_layers) if "*" in rule.ours else [0]:
            yield Name(rule.ours.replace("*", str(layer)), theirs.replace("*", str(layer)), side.layout)


def convention_of(keys: Iterator[str] | list[str]) -> str:
    """Whose names these are: PaddleNLP numbers ``encoder.layers``, Hugging Face ``encoder.layer``."""
    return PADDLENLP if any(re.search(r"(^|\.)encoder\.layers\.", key) for key in keys) else HUGGINGFACE


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
