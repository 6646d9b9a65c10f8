"""The parameters of all networks: our names, shapes and layouts ↔ Hugging Face's and PaddleNLP's.

One row a parameter; a new model family is one entry of ``FAMILIES``. In a row's names ``*`` stands for a
layer's number and ``{base}`` for the family's prefix (``convbert``). A layout says how an array lies
differently from ours. Shapes are ours, in the sizes that ``_sizes`` names. No Paddle.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from encoders.config import EncoderConfig

HUGGINGFACE, PADDLENLP = "huggingface", "paddlenlp"
# Six times the largest published network of these types: 8 GB of weights, 24 GB with Adam's moments.
MAX_PARAMETERS = 2_000_000_000

Shape = tuple[int, ...]
_Change = Callable[[np.ndarray], np.ndarray]


class Side(NamedTuple):
    """A parameter's name in another toolkit, and the layout of its array there."""

    name: str
    layout: str


class Rule(NamedTuple):
    """One row. ours: our name, empty for heads that no network here has: these rows serve conversion alone.
    sizes: the dimensions of our array, as names of ``_sizes``; empty where only the network knows them."""

    ours: str
    huggingface: Side
    paddlenlp: Side
    sizes: tuple[str, ...] = ()

    def side(self, convention: str) -> Side:
        return self.huggingface if convention == HUGGINGFACE else self.paddlenlp


class Name(NamedTuple):
    """One parameter under our name and theirs."""

    ours: str
    theirs: str
    layout: str

    @property
    def is_in_head(self) -> bool:
        return self.ours.startswith(("head.", "span_head."))


def _same(ours: str, huggingface: str, paddlenlp: str = "", sizes: tuple[str, ...] = ()) -> Rule:
    return Rule(ours, Side(huggingface, "same"), Side(paddlenlp or huggingface, "same"), sizes)


def _linear(ours: str, huggingface: str, paddlenlp: str = "", sizes: tuple[str, ...] = ()) -> list[Rule]:
    """Paddle's linear layers hold (in, out), as ours do, PyTorch's (out, in)."""
    paddlenlp = paddlenlp or huggingface
    weight, bias = (f"{ours}.weight", f"{ours}.bias") if ours else ("", "")
    sides = Side(f"{huggingface}.weight", "transposed"), Side(f"{paddlenlp}.weight", "same")
    return [
        Rule(weight, *sides, sizes),
        _same(bias, f"{huggingface}.bias", f"{paddlenlp}.bias", sizes[1:]),
    ]


def _norm(ours: str, huggingface: str, paddlenlp: str = "", size: str = "hidden") -> list[Rule]:
    paddlenlp = paddlenlp or huggingface
    return [
        _same(f"{ours}.{part}" if ours else "", f"{huggingface}.{part}", f"{paddlenlp}.{part}", (size,))
        for part in ("weight", "bias")
    ]


def _sizes(config: EncoderConfig) -> dict[str, int]:
    return {
        "pieces": config.vocab_size,
        "positions": config.max_position_embeddings,
        "types": config.type_vocab_size,
        "task_types": config.task_type_vocab_size,
        "embedding": config.embedding_size,
        "hidden": config.hidden_size,
        "attention": config.attention_width,
        "inner": config.intermediate_size,
        "kernel": config.conv_kernel_size,
        "kernels": config.attention_heads * config.conv_kernel_size,
        "outputs": max(1, len(config.id2label)),
    }


_E, _OURS = "{base}.embeddings", "encoder.embeddings"
_EMBEDDINGS = [
    _same(f"{_OURS}.word.weight", f"{_E}.word_embeddings.weight", sizes=("pieces", "embedding")),
    _same(f"{_OURS}.position.weight", f"{_E}.position_embeddings.weight", sizes=("positions", "embedding")),
    _same(f"{_OURS}.token_type.weight", f"{_E}.token_type_embeddings.weight", sizes=("types", "embedding")),
    *_norm(f"{_OURS}.norm", f"{_E}.LayerNorm", f"{_E}.layer_norm", "embedding"),
]  # fmt: skip
_TASK_TYPES = f"{_OURS}.task_type.weight"
_TASK_TYPE_EMBEDDINGS = [
    _same(_TASK_TYPES, f"{_E}.task_type_embeddings.weight", sizes=("task_types", "embedding"))
]
_PROJECTION = f"{_OURS}.projection"  # only where the embeddings are not as wide as the layers
_EMBEDDING_PROJECTION = _linear(_PROJECTION, "{base}.embeddings_project", sizes=("embedding", "hidden"))

_OURS, _HF, _NLP = "encoder.layers.*", "{base}.encoder.layer.*", "{base}.encoder.layers.*"
_QKV, _INNER = ("hidden", "attention"), ("hidden", "inner")
_LAYER = [
    *_linear(f"{_OURS}.attention.query", f"{_HF}.attention.self.query", f"{_NLP}.self_attn.q_proj", _QKV),
    *_linear(f"{_OURS}.attention.key", f"{_HF}.attention.self.key", f"{_NLP}.self_attn.k_proj", _QKV),
    *_linear(f"{_OURS}.attention.value", f"{_HF}.attention.self.value", f"{_NLP}.self_attn.v_proj", _QKV),
    *_linear(f"{_OURS}.attention.output", f"{_HF}.attention.output.dense", f"{_NLP}.self_attn.out_proj",
             ("hidden", "hidden")),
    *_norm(f"{_OURS}.attention.norm", f"{_HF}.attention.output.LayerNorm", f"{_NLP}.norm1"),
    *_linear(f"{_OURS}.feed_forward.inner", f"{_HF}.intermediate.dense", f"{_NLP}.linear1", _INNER),
    *_linear(f"{_OURS}.feed_forward.outer", f"{_HF}.output.dense", f"{_NLP}.linear2", _INNER[::-1]),
    *_norm(f"{_OURS}.feed_forward.norm", f"{_HF}.output.LayerNorm", f"{_NLP}.norm2"),
]  # fmt: skip
_SPAN, _HF_SELF, _NLP_SELF = f"{_OURS}.attention.span_conv", f"{_HF}.attention.self", f"{_NLP}.self_attn"
_HF_KEY, _NLP_KEY = f"{_HF_SELF}.key_conv_attn_layer", f"{_NLP_SELF}.key_conv_attn_layer"


_SPAN_CONVOLUTION = [
    Rule(f"{_SPAN}.depthwise", Side(f"{_HF_KEY}.depthwise.weight", "depthwise"),
         Side(f"{_NLP_KEY}.depthwise.weight", "depthwise"), ("kernel", "hidden")),
    Rule(f"{_SPAN}.pointwise", Side(f"{_HF_KEY}.pointwise.weight", "pointwise"),
         Side(f"{_NLP_KEY}.pointwise.weight", "pointwise"), ("hidden", "attention")),
    Rule(f"{_SPAN}.bias", Side(f"{_HF_KEY}.bias", "column"), Side(f"{_NLP_KEY}.bias", "same"), _QKV[1:]),
    *_linear(f"{_SPAN}.kernel", f"{_HF_SELF}.conv_kernel_layer", f"{_NLP_SELF}.conv_kernel_layer",
             ("attention", "kernels")),
    *_linear(f"{_SPAN}.value", f"{_HF_SELF}.conv_out_layer", f"{_NLP_SELF}.conv_out_layer", _QKV),
]  # fmt: skip

# The heads of pre-training. PaddleNLP 2.5 and later have a pooler in ConvBERT too, transformers has none.
_GENERATOR, _DISCRIMINATOR, _MASKED = "generator_predictions", "discriminator_predictions", "cls.predictions"
_REPLACED_TOKENS = [
    *_linear("", f"{_GENERATOR}.dense"),
    *_norm("", f"{_GENERATOR}.LayerNorm", f"{_GENERATOR}.layer_norm"),
    Rule("", Side("generator_lm_head.weight", "transposed"), Side("generator_lm_head.weight", "same")),
    _same("", "generator_lm_head.bias", "generator_lm_head_bias"),
    *_linear("", f"{_DISCRIMINATOR}.dense"),
    *_linear("", f"{_DISCRIMINATOR}.dense_prediction"),
    *_linear("", "{base}.pooler.dense"),
]
_MASKED_TOKENS = [
    *_linear("", f"{_MASKED}.transform.dense", f"{_MASKED}.transform"),
    *_norm("", f"{_MASKED}.transform.LayerNorm", f"{_MASKED}.layer_norm"),
    _same("", f"{_MASKED}.decoder.weight"),
    _same("", f"{_MASKED}.decoder.bias"),
    _same("", f"{_MASKED}.bias", f"{_MASKED}.decoder_bias"),
    *_linear("", "cls.seq_relationship"),
    *_linear("", "{base}.pooler.dense"),
]


_ROBERTA_MASKED_TOKENS = [
    *_linear("", "lm_head.dense"),
    *_norm("", "lm_head.layer_norm", "lm_head.layer_norm"),
    *_linear("", "lm_head.decoder"),
    _same("", "lm_head.bias"),
    *_linear("", "{base}.pooler.dense"),
]
_DISTIL = "distilbert.transformer.layer.*"
_DISTIL_LAYER = [
    *_linear(f"{_OURS}.attention.query", f"{_DISTIL}.attention.q_lin", sizes=_QKV),
    *_linear(f"{_OURS}.attention.key", f"{_DISTIL}.attention.k_lin", sizes=_QKV),
    *_linear(f"{_OURS}.attention.value", f"{_DISTIL}.attention.v_lin", sizes=_QKV),
    *_linear(f"{_OURS}.attention.output", f"{_DISTIL}.attention.out_lin", sizes=("hidden", "hidden")),
    *_norm(f"{_OURS}.attention.norm", f"{_DISTIL}.sa_layer_norm"),
    *_linear(f"{_OURS}.feed_forward.inner", f"{_DISTIL}.ffn.lin1", sizes=_INNER),
    *_linear(f"{_OURS}.feed_forward.outer", f"{_DISTIL}.ffn.lin2", sizes=_INNER[::-1]),
    *_norm(f"{_OURS}.feed_forward.norm", f"{_DISTIL}.output_layer_norm"),
]
_DISTIL_MASKED_TOKENS = [
    *_linear("", "vocab_transform"),
    *_norm("", "vocab_layer_norm"),
    *_linear("", "vocab_projector"),
]


class Family(NamedTuple):
    """A model type.

    Attributes:
        class_prefix: What transformers' classes begin with.
        encoder: The rows of its encoder.
        pretraining: Those of its heads of pre-training.
        base: What the names of its encoder's weights begin with.
        dense_head: The two linear layers of its dense head.
        has_paddlenlp: Whether the rows say what PaddleNLP calls the parameters.
    """

    class_prefix: str
    encoder: list[Rule]
    pretraining: list[Rule]
    base: str
    dense_head: tuple[str, str] = ("classifier.dense", "classifier.out_proj")
    has_paddlenlp: bool = True


FAMILIES = {
    "convbert": Family(
        "ConvBert",
        [*_EMBEDDINGS, *_EMBEDDING_PROJECTION, *_LAYER, *_SPAN_CONVOLUTION],
        _REPLACED_TOKENS,
        "convbert",
    ),
    "electra": Family(
        "Electra", [*_EMBEDDINGS, *_EMBEDDING_PROJECTION, *_LAYER], _REPLACED_TOKENS, "electra"
    ),
    "bert": Family("Bert", [*_EMBEDDINGS, *_LAYER], _MASKED_TOKENS, "bert"),
    "ernie": Family("Ernie", [*_EMBEDDINGS, *_TASK_TYPE_EMBEDDINGS, *_LAYER], _MASKED_TOKENS, "ernie"),
    **{
        model_type: Family(
            prefix, [*_EMBEDDINGS, *_LAYER], _ROBERTA_MASKED_TOKENS, "roberta", has_paddlenlp=False
        )
        for model_type, prefix in (("roberta", "Roberta"), ("xlm-roberta", "XLMRoberta"))
    },
    "distilbert": Family(
        "DistilBert",
        [*_EMBEDDINGS, *_DISTIL_LAYER],
        _DISTIL_MASKED_TOKENS,
        "distilbert",
        dense_head=("pre_classifier", "classifier"),
        has_paddlenlp=False,
    ),
}
_PROJECTED, _SQUARE = ("hidden", "outputs"), ("hidden", "hidden")


def _sentence_head(config: EncoderConfig) -> list[Rule]:
    dense, projection = FAMILIES[config.model_type].dense_head
    if config.classifier_head == "dense":
        before = _linear("head.dense", dense, sizes=_SQUARE)
    elif config.classifier_head == "pooler":
        before = _linear("head.pooler", "{base}.pooler.dense", sizes=_SQUARE)
    else:
        before = []
    projection = projection if config.classifier_head == "dense" else "classifier"
    return [*before, *_linear("head.projection", projection, sizes=_PROJECTED)]


# Of question answering: the linear head, which PaddleNLP calls a classifier too, and the joint one, which
# neither toolkit has.
_SPAN_HEADS = [
    *_linear("span_head.projection", "qa_outputs", "classifier"),
    *[
        rule
        for part in ("start", "end_hidden", "end", "answerable_hidden", "answerable")
        for rule in _linear(f"span_head.{part}", f"qa_outputs.joint.{part}")
    ],
]

# Parts of published checkpoints that a sentence classifier does not use.
UNUSED = re.compile(
    r"(^|\.)(position_ids|token_type_ids)$"
    r"|^(cls|generator|generator_predictions|generator_lm_head|discriminator|discriminator_predictions"
    r"|qa_outputs|mlm_head|lm_head|vocab_transform|vocab_layer_norm|vocab_projector)\."
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

    base = FAMILIES[config.model_type].base

    def filled(side: Side, layer: int) -> Side:
        return Side(side.name.replace("*", str(layer)).format(base=base), side.layout)

    for rule in rules:
        for layer in range(config.num_hidden_layers) if "*" in rule.huggingface.name else [0]:
            sides = filled(rule.huggingface, layer), filled(rule.paddlenlp, layer)
            yield Rule(rule.ours.replace("*", str(layer)), sides[0], sides[1], rule.sizes)


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


def convention_of(keys: Iterable[str]) -> str:
    """Whose names these are: PaddleNLP numbers ``encoder.layers``, Hugging Face ``encoder.layer``."""
    return PADDLENLP if any(re.search(r"(^|\.)encoder\.layers\.", key) for key in keys) else HUGGINGFACE


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
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith(_PROJECTION)}
    if not config.use_task_id:
        shapes.pop(_TASK_TYPES, None)
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
