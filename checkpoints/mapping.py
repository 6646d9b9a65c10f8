"""The parameters of a network under our names and theirs, from the rows of ``family_names``. No Paddle."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from checkpoints.family_names import (
    EMBEDDING_PROJECTION,
    FAMILIES,
    HUGGINGFACE,
    PADDLENLP,
    TASK_TYPES,
    Rule,
    Side,
    linear,
    partly_biased,
)
from checkpoints.formats.tensors import StoredTensor
from encoders.config import EncoderConfig

# Six times the largest published network of these types: 8 GB of weights, 24 GB with Adam's moments.
MAX_PARAMETERS = 2_000_000_000

Shape = tuple[int, ...]
_Change = Callable[[np.ndarray], np.ndarray]


class Name(NamedTuple):
    """One parameter under our name and theirs."""

    ours: str
    theirs: str
    layout: str

    @property
    def is_in_head(self) -> bool:
        return self.ours.startswith(("head.", "span_head."))


def _sizes(config: EncoderConfig) -> dict[str, int]:
    return {
        "pieces": config.vocab_size,
        "positions": config.max_position_embeddings if config.has_position_table else 0,
        "types": config.token_types,
        "task_types": config.task_type_vocab_size,
        "embedding": config.embedding_size,
        "hidden": config.hidden_size,
        "attention": config.attention_width,
        "inner": config.intermediate_size,
        "kernel": config.conv_kernel_size,
        "kernels": config.attention_heads * config.conv_kernel_size,
        "outputs": max(1, len(config.id2label)),
        **_deberta_sizes(config),
        **_modernbert_sizes(config),
    }


def _modernbert_sizes(config: EncoderConfig) -> dict[str, int]:
    """Sizes of ModernBERT's own parts, 0 for a bias that is left out."""
    hidden, inner = config.hidden_size, config.intermediate_size
    return {
        "tripled": 3 * hidden,
        "doubled": 2 * inner,
        "norm_bias": hidden * config.norm_bias,
        "attention_bias": hidden * config.attention_bias,
        "qkv_bias": 3 * hidden * config.attention_bias,
        "inner_bias": 2 * inner * config.mlp_bias,
        "outer_bias": hidden * config.mlp_bias,
        "head_bias": hidden * config.classifier_bias,
    }


def _deberta_sizes(config: EncoderConfig) -> dict[str, int]:
    """Sizes of DeBERTa's own parts, 0 where a part is left out."""
    hidden, kernel = config.hidden_size, config.conv_kernel_size
    kinds = () if config.share_att_key else config.pos_att_type
    return {
        "distances": 2 * config.position_span,
        "normed": hidden if config.norm_rel_ebd == "layer_norm" else 0,
        "c2p": hidden if "c2p" in kinds else 0,
        "p2c": hidden if "p2c" in kinds else 0,
        "convolved": hidden if kernel else 0,
        "grouped": hidden // config.conv_groups,
        "taps": kernel,
    }


_PROJECTED, _SQUARE = ("hidden", "outputs"), ("hidden", "hidden")


def _sentence_head(config: EncoderConfig) -> list[Rule]:
    dense, projection = FAMILIES[config.model_type].dense_head
    if config.classifier_head == "dense":
        before = partly_biased("head.dense", dense, _SQUARE, "head_bias")
        if head_norm := FAMILIES[config.model_type].head_norm:
            before += partly_biased("head.norm", head_norm, ("hidden",), "norm_bias")
    elif config.classifier_head == "pooler":
        before = linear("head.pooler", "{base}.pooler.dense", sizes=_SQUARE)
    else:
        before = []
    projection = projection if config.classifier_head == "dense" else "classifier"
    return [*before, *linear("head.projection", projection, sizes=_PROJECTED)]


# Of question answering: the linear head, which PaddleNLP calls a classifier too, and the joint one, which
# neither toolkit has.
_SPAN_HEADS = [
    *linear("span_head.projection", "qa_outputs", "classifier"),
    *[
        rule
        for part in ("start", "end_hidden", "end", "answerable_hidden", "answerable")
        for rule in linear(f"span_head.{part}", f"qa_outputs.joint.{part}")
    ],
]

# Parts of published checkpoints that a sentence classifier does not use.
UNUSED = re.compile(
    r"(^|\.)(position_ids|token_type_ids)$"
    r"|(^|\.)position_embeddings\.weight$"  # of DeBERTa's pre-training, where the input has no positions
    r"|^(cls|generator|generator_predictions|generator_lm_head|discriminator|discriminator_predictions"
    r"|qa_outputs|mlm_head|lm_head|vocab_transform|vocab_layer_norm|vocab_projector"
    r"|lm_predictions|mask_predictions|decoder)\."
    r"|^generator_lm_head_bias$"
    r"|^n_averaged\b"  # how many states torch.optim.swa_utils averaged
)


def base_of(config: EncoderConfig) -> str:
    """What the names of an encoder's weights begin with in Hugging Face's files, with the dot."""
    return f"{FAMILIES[config.model_type].base}."


def head_projection(config: EncoderConfig) -> str:
    """What the weights of a sentence head's last layer are called, as many as there are outputs."""
    return _sentence_head(config)[-2].huggingface.name


def _encoder_rules(config: EncoderConfig) -> list[Rule]:
    rules = FAMILIES[config.model_type].encoder
    if config.num_groups == 1:
        return rules
    return [  # grouped weights are (groups, in, out) everywhere
        rule._replace(huggingface=rule.huggingface._replace(layout="same"))
        if ".feed_forward." in rule.ours
        else rule
        for rule in rules
    ]


def _each_layer(rules: Iterable[Rule], config: EncoderConfig) -> Iterator[Rule]:
    """The rows with ``*`` and ``{base}`` filled in, that of a layer once for each."""

    family = FAMILIES[config.model_type]

    def filled(side: Side, layer: int) -> Side:
        return Side(side.name.replace("*", str(layer)).format(base=family.base), side.layout)

    for rule in rules:
        for layer in range(rule.first, config.num_hidden_layers) if "*" in rule.huggingface.name else [0]:
            ours, theirs = rule.ours.replace("*", str(layer)), filled(rule.huggingface, layer)
            paddlenlp = filled(rule.paddlenlp, layer)
            if family.shares_names:
                paddlenlp = paddlenlp._replace(name=theirs.name)
            yield Rule(ours, theirs, paddlenlp, rule.sizes)


def conversion_rules(config: EncoderConfig, answers_questions: bool) -> list[Rule]:
    """Every parameter that a folder of this configuration may have, those of pre-training heads too.

    answers_questions: the folder's head is one of question answering, not of sentence classification.
    """
    head = _SPAN_HEADS if answers_questions else _sentence_head(config)
    rules = [*_encoder_rules(config), *head]
    known = {rule.huggingface.name for rule in rules}
    pretraining = FAMILIES[config.model_type].pretraining
    rules += [rule for rule in pretraining if rule.huggingface.name not in known]
    return list(_each_layer(rules, config))


def names(config: EncoderConfig, convention: str = HUGGINGFACE) -> Iterator[Name]:
    """Every parameter that a network of ours of this configuration can have, with any head, on both sides."""
    rules = [*_encoder_rules(config), *_sentence_head(config), *_SPAN_HEADS]
    for rule in _each_layer(rules, config):
        yield Name(rule.ours, *rule.side(convention))


def convention_of(tensors: Mapping[str, StoredTensor], config: EncoderConfig) -> str:
    """Whose layout a folder's tensors have.

    PaddleNLP numbers ``encoder.layers``, Hugging Face ``encoder.layer``. Where the two share their names, the
    first layer that is not square tells, by which side is the longer one.
    """
    if FAMILIES[config.model_type].shares_names:
        wanted = (config.hidden_size, config.intermediate_size)
        inner = (t for key, t in tensors.items() if key.endswith("encoder.layer.0.intermediate.dense.weight"))
        is_turned = any(tensor.shape == wanted != wanted[::-1] for tensor in inner)
        return PADDLENLP if is_turned else HUGGINGFACE
    return PADDLENLP if any(re.search(r"(^|\.)encoder\.layers\.", key) for key in tensors) else HUGGINGFACE


def expected_shapes(config: EncoderConfig) -> dict[str, Shape]:
    """Our parameter name → shape of a sentence classifier, worked out before one is built."""
    sizes, groups = _sizes(config), config.num_groups
    shapes: dict[str, Shape] = {}
    for rule in _each_layer([*_encoder_rules(config), *_sentence_head(config)], config):
        shape = tuple(sizes[size] for size in rule.sizes)
        if groups > 1 and ".feed_forward." in rule.ours and len(shape) == 2:
            shape = (groups, shape[0] // groups, shape[1] // groups)
        shapes[rule.ours] = shape
    if config.embedding_size == config.hidden_size:
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith(EMBEDDING_PROJECTION)}
    if not config.use_task_id:
        shapes.pop(TASK_TYPES, None)
    return {name: shape for name, shape in shapes.items() if 0 not in shape}  # a size of 0: the part is out


# --- layouts -----------------------------------------------------------------------------------------

# Our array → theirs, and back. C channels, K kernel size.
_LAYOUTS: dict[str, tuple[_Change, _Change]] = {
    "same": (lambda ours: ours, lambda theirs: theirs),
    "transposed": (lambda ours: ours.T, lambda theirs: theirs.T),  # (in, out) ↔ (out, in)
    "depthwise": (lambda ours: ours.T[:, None, :], lambda theirs: theirs[:, 0, :].T),  # (K, C) ↔ (C, 1, K)
    # (in, out) ↔ (out, in, 1)
    "pointwise": (lambda ours: ours.T[:, :, None], lambda theirs: theirs[:, :, 0].T),
    "column": (lambda ours: ours[:, None], lambda theirs: theirs[:, 0]),  # (C,) ↔ (C, 1)
}  # fmt: skip


def their_shape(shape: Shape, layout: str) -> Shape:
    """The shape that an array of our shape has in their layout."""
    return _LAYOUTS[layout][0](np.broadcast_to(np.int8(0), shape)).shape


def to_theirs(array: np.ndarray, layout: str) -> np.ndarray:
    """Our array in their layout."""
    return np.ascontiguousarray(_LAYOUTS[layout][0](array))


def to_ours(array: np.ndarray, layout: str) -> np.ndarray:
    """Their array in our layout."""
    return np.ascontiguousarray(_LAYOUTS[layout][1](array))
