"""What the parameters of every family are called: our names and shapes ↔ Hugging Face's and PaddleNLP's.

One row a parameter; a new model type is one entry of ``FAMILIES``. In a row's names ``*`` stands for a
layer's number and ``{base}`` for the family's prefix (``convbert``). A layout says how an array lies
differently from ours. Shapes are ours, in sizes that ``mapping`` knows. No Paddle.
"""

import re
from typing import NamedTuple

HUGGINGFACE, PADDLENLP = "huggingface", "paddlenlp"


class Side(NamedTuple):
    """A parameter's name in another toolkit, and the layout of its array there."""

    name: str
    layout: str


class Rule(NamedTuple):
    """One row. ours: our name, empty for heads that no network here has: these rows serve conversion alone.
    sizes: the dimensions of our array, by name; empty where only the network knows them. first: the layer
    that the row begins with."""

    ours: str
    huggingface: Side
    paddlenlp: Side
    sizes: tuple[str, ...] = ()
    first: int = 0

    def side(self, convention: str) -> Side:
        return self.huggingface if convention == HUGGINGFACE else self.paddlenlp


def same(ours: str, huggingface: str, paddlenlp: str = "", sizes: tuple[str, ...] = ()) -> Rule:
    return Rule(ours, Side(huggingface, "same"), Side(paddlenlp or huggingface, "same"), sizes)


def linear(ours: str, huggingface: str, paddlenlp: str = "", sizes: tuple[str, ...] = ()) -> list[Rule]:
    """Paddle's linear layers hold (in, out), as ours do, PyTorch's (out, in)."""
    paddlenlp = paddlenlp or huggingface
    weight, bias = (f"{ours}.weight", f"{ours}.bias") if ours else ("", "")
    sides = Side(f"{huggingface}.weight", "transposed"), Side(f"{paddlenlp}.weight", "same")
    return [
        Rule(weight, *sides, sizes),
        same(bias, f"{huggingface}.bias", f"{paddlenlp}.bias", sizes[1:]),
    ]


def norm(ours: str, huggingface: str, paddlenlp: str = "", size: str = "hidden") -> list[Rule]:
    paddlenlp = paddlenlp or huggingface
    return [
        same(f"{ours}.{part}" if ours else "", f"{huggingface}.{part}", f"{paddlenlp}.{part}", (size,))
        for part in ("weight", "bias")
    ]


def partly_biased(ours: str, huggingface: str, sizes: tuple[str, ...], bias: str) -> list[Rule]:
    """A linear layer, or with one size a LayerNorm. bias: the name of its bias's size, 0 without one."""
    if len(sizes) == 1:
        rules = norm(ours, huggingface, size=sizes[0])
    else:
        rules = linear(ours, huggingface, sizes=sizes)
    return [rules[0], rules[1]._replace(sizes=(bias,))]


_EMBEDDED = "encoder.embeddings"
_E, _OURS = "{base}.embeddings", "encoder.embeddings"
_EMBEDDINGS = [
    same(f"{_OURS}.word.weight", f"{_E}.word_embeddings.weight", sizes=("pieces", "embedding")),
    same(f"{_OURS}.position.weight", f"{_E}.position_embeddings.weight", sizes=("positions", "embedding")),
    same(f"{_OURS}.token_type.weight", f"{_E}.token_type_embeddings.weight", sizes=("types", "embedding")),
    *norm(f"{_OURS}.norm", f"{_E}.LayerNorm", f"{_E}.layer_norm", "embedding"),
]  # fmt: skip
TASK_TYPES = f"{_OURS}.task_type.weight"
_TASK_TYPE_EMBEDDINGS = [
    same(TASK_TYPES, f"{_E}.task_type_embeddings.weight", sizes=("task_types", "embedding"))
]
EMBEDDING_PROJECTION = f"{_OURS}.projection"  # only where the embeddings are not as wide as the layers
_PROJECTION = linear(EMBEDDING_PROJECTION, "{base}.embeddings_project", sizes=("embedding", "hidden"))

_OURS, _HF, _NLP = "encoder.layers.*", "{base}.encoder.layer.*", "{base}.encoder.layers.*"
_QKV, _INNER = ("hidden", "attention"), ("hidden", "inner")
_LAYER = [
    *linear(f"{_OURS}.attention.query", f"{_HF}.attention.self.query", f"{_NLP}.self_attn.q_proj", _QKV),
    *linear(f"{_OURS}.attention.key", f"{_HF}.attention.self.key", f"{_NLP}.self_attn.k_proj", _QKV),
    *linear(f"{_OURS}.attention.value", f"{_HF}.attention.self.value", f"{_NLP}.self_attn.v_proj", _QKV),
    *linear(f"{_OURS}.attention.output", f"{_HF}.attention.output.dense", f"{_NLP}.self_attn.out_proj",
             ("hidden", "hidden")),
    *norm(f"{_OURS}.attention.norm", f"{_HF}.attention.output.LayerNorm", f"{_NLP}.norm1"),
    *linear(f"{_OURS}.feed_forward.inner", f"{_HF}.intermediate.dense", f"{_NLP}.linear1", _INNER),
    *linear(f"{_OURS}.feed_forward.outer", f"{_HF}.output.dense", f"{_NLP}.linear2", _INNER[::-1]),
    *norm(f"{_OURS}.feed_forward.norm", f"{_HF}.output.LayerNorm", f"{_NLP}.norm2"),
]  # fmt: skip
_SPAN, _HF_SELF, _NLP_SELF = f"{_OURS}.attention.span_conv", f"{_HF}.attention.self", f"{_NLP}.self_attn"
_HF_KEY, _NLP_KEY = f"{_HF_SELF}.key_conv_attn_layer", f"{_NLP_SELF}.key_conv_attn_layer"


_SPAN_CONVOLUTION = [
    Rule(f"{_SPAN}.depthwise", Side(f"{_HF_KEY}.depthwise.weight", "depthwise"),
         Side(f"{_NLP_KEY}.depthwise.weight", "depthwise"), ("kernel", "hidden")),
    Rule(f"{_SPAN}.pointwise", Side(f"{_HF_KEY}.pointwise.weight", "pointwise"),
         Side(f"{_NLP_KEY}.pointwise.weight", "pointwise"), ("hidden", "attention")),
    Rule(f"{_SPAN}.bias", Side(f"{_HF_KEY}.bias", "column"), Side(f"{_NLP_KEY}.bias", "same"), _QKV[1:]),
    *linear(f"{_SPAN}.kernel", f"{_HF_SELF}.conv_kernel_layer", f"{_NLP_SELF}.conv_kernel_layer",
             ("attention", "kernels")),
    *linear(f"{_SPAN}.value", f"{_HF_SELF}.conv_out_layer", f"{_NLP_SELF}.conv_out_layer", _QKV),
]  # fmt: skip

# The heads of pre-training. PaddleNLP 2.5 and later have a pooler in ConvBERT too, transformers has none.
_GENERATOR, _DISCRIMINATOR, _MASKED = "generator_predictions", "discriminator_predictions", "cls.predictions"
_REPLACED_TOKENS = [
    *linear("", f"{_GENERATOR}.dense"),
    *norm("", f"{_GENERATOR}.LayerNorm", f"{_GENERATOR}.layer_norm"),
    Rule("", Side("generator_lm_head.weight", "transposed"), Side("generator_lm_head.weight", "same")),
    same("", "generator_lm_head.bias", "generator_lm_head_bias"),
    *linear("", f"{_DISCRIMINATOR}.dense"),
    *linear("", f"{_DISCRIMINATOR}.dense_prediction"),
    *linear("", "{base}.pooler.dense"),
]
_MASKED_TOKENS = [
    *linear("", f"{_MASKED}.transform.dense", f"{_MASKED}.transform"),
    *norm("", f"{_MASKED}.transform.LayerNorm", f"{_MASKED}.layer_norm"),
    same("", f"{_MASKED}.decoder.weight"),
    same("", f"{_MASKED}.decoder.bias"),
    same("", f"{_MASKED}.bias", f"{_MASKED}.decoder_bias"),
    *linear("", "cls.seq_relationship"),
    *linear("", "{base}.pooler.dense"),
]


_ROBERTA_MASKED_TOKENS = [
    *linear("", "lm_head.dense"),
    *norm("", "lm_head.layer_norm", "lm_head.layer_norm"),
    *linear("", "lm_head.decoder"),
    same("", "lm_head.bias"),
    *linear("", "{base}.pooler.dense"),
]
_DISTIL = "distilbert.transformer.layer.*"
_DISTIL_LAYER = [
    *linear(f"{_OURS}.attention.query", f"{_DISTIL}.attention.q_lin", f"{_NLP}.self_attn.q_proj", _QKV),
    *linear(f"{_OURS}.attention.key", f"{_DISTIL}.attention.k_lin", f"{_NLP}.self_attn.k_proj", _QKV),
    *linear(f"{_OURS}.attention.value", f"{_DISTIL}.attention.v_lin", f"{_NLP}.self_attn.v_proj", _QKV),
    *linear(f"{_OURS}.attention.output", f"{_DISTIL}.attention.out_lin", f"{_NLP}.self_attn.out_proj",
             ("hidden", "hidden")),
    *norm(f"{_OURS}.attention.norm", f"{_DISTIL}.sa_layer_norm", f"{_NLP}.norm1"),
    *linear(f"{_OURS}.feed_forward.inner", f"{_DISTIL}.ffn.lin1", f"{_NLP}.linear1", _INNER),
    *linear(f"{_OURS}.feed_forward.outer", f"{_DISTIL}.ffn.lin2", f"{_NLP}.linear2", _INNER[::-1]),
    *norm(f"{_OURS}.feed_forward.norm", f"{_DISTIL}.output_layer_norm", f"{_NLP}.norm2"),
]  # fmt: skip
_DISTIL_MASKED_TOKENS = [
    *linear("", "vocab_transform"),
    *norm("", "vocab_layer_norm"),
    *linear("", "vocab_projector"),
]


_DEBERTA, _DISTANCES = "deberta.encoder", "encoder.positions"
_CONVOLUTION = "encoder.layers.0.convolution"  # of the first layer alone, where there is one
_DEBERTA_ENCODER = [
    *[
        rule
        for name in ("query", "key", "value")
        for rule in linear(f"{_OURS}.attention.{name}", f"{_HF}.attention.self.{name}_proj", sizes=_QKV)
    ],
    *linear(f"{_OURS}.attention.position_key", f"{_HF}.attention.self.pos_key_proj", sizes=("hidden", "c2p")),
    *linear(
        f"{_OURS}.attention.position_query", f"{_HF}.attention.self.pos_query_proj", sizes=("hidden", "p2c")
    ),
    *[rule for rule in _LAYER if not re.search(r"\.attention\.(query|key|value)\.", rule.ours)],
    same(f"{_DISTANCES}.distance.weight", f"{_DEBERTA}.rel_embeddings.weight", sizes=("distances", "hidden")),
    *norm(f"{_DISTANCES}.norm", f"{_DEBERTA}.LayerNorm", size="normed"),
    same(
        f"{_CONVOLUTION}.conv.weight", f"{_DEBERTA}.conv.conv.weight", sizes=("convolved", "grouped", "taps")
    ),
    same(f"{_CONVOLUTION}.conv.bias", f"{_DEBERTA}.conv.conv.bias", sizes=("convolved",)),
    *norm(f"{_CONVOLUTION}.norm", f"{_DEBERTA}.conv.LayerNorm", size="convolved"),
]
_DEBERTA_HEADS = [
    *_MASKED_TOKENS[:7],  # transformers' masked-token head of today; the others are of the published files
    *linear("", "lm_predictions.lm_head.dense"),
    *norm("", "lm_predictions.lm_head.LayerNorm"),
    same("", "lm_predictions.lm_head.bias"),
    *linear("", "mask_predictions.dense"),
    *norm("", "mask_predictions.LayerNorm"),
    *linear("", "mask_predictions.classifier"),
]


_MODERN, _MODERN_E = "{base}.layers.*", "{base}.embeddings"
_MODERN_ENCODER = [
    same(f"{_EMBEDDED}.word.weight", f"{_MODERN_E}.tok_embeddings.weight", sizes=("pieces", "embedding")),
    *partly_biased(f"{_EMBEDDED}.norm", f"{_MODERN_E}.norm", ("hidden",), "norm_bias"),
    *[
        rule._replace(first=1)  # the first layer's input is normalised already
        for rule in partly_biased(f"{_OURS}.attention.norm", f"{_MODERN}.attn_norm", ("hidden",), "norm_bias")
    ],
    *partly_biased(f"{_OURS}.attention.qkv", f"{_MODERN}.attn.Wqkv", ("hidden", "tripled"), "qkv_bias"),
    *partly_biased(f"{_OURS}.attention.output", f"{_MODERN}.attn.Wo", ("hidden", "hidden"), "attention_bias"),
    *partly_biased(f"{_OURS}.feed_forward.norm", f"{_MODERN}.mlp_norm", ("hidden",), "norm_bias"),
    *partly_biased(f"{_OURS}.feed_forward.inner", f"{_MODERN}.mlp.Wi", ("hidden", "doubled"), "inner_bias"),
    *partly_biased(f"{_OURS}.feed_forward.outer", f"{_MODERN}.mlp.Wo", ("inner", "hidden"), "outer_bias"),
    *partly_biased("encoder.final.norm", "{base}.final_norm", ("hidden",), "norm_bias"),
]
_MODERN_HEADS = [*linear("", "head.dense"), *norm("", "head.norm"), *linear("", "decoder")]


class FamilyNames(NamedTuple):
    """A model type.

    Attributes:
        class_prefix: What transformers' classes begin with.
        encoder: The rows of its encoder.
        pretraining: Those of its heads of pre-training.
        base: What the names of its encoder's weights begin with.
        dense_head: The two linear layers of its dense head.
        head_norm: The dense head's LayerNorm, where it has one.
        pretrained_head: What our names of those parts of a head begin with that pre-training trained.
        has_paddlenlp: Whether PaddleNLP has the family.
        shares_names: Whether PaddleNLP's names of parameters and settings are Hugging Face's, whatever the
            rows say. Its linear layers are turned all the same.
    """

    class_prefix: str
    encoder: list[Rule]
    pretraining: list[Rule]
    base: str
    dense_head: tuple[str, str] = ("classifier.dense", "classifier.out_proj")
    head_norm: str = ""
    pretrained_head: tuple[str, ...] = ("head.pooler",)
    has_paddlenlp: bool = True
    shares_names: bool = False


FAMILIES = {
    "convbert": FamilyNames(
        "ConvBert",
        [*_EMBEDDINGS, *_PROJECTION, *_LAYER, *_SPAN_CONVOLUTION],
        _REPLACED_TOKENS,
        "convbert",
    ),
    "electra": FamilyNames("Electra", [*_EMBEDDINGS, *_PROJECTION, *_LAYER], _REPLACED_TOKENS, "electra"),
    "bert": FamilyNames("Bert", [*_EMBEDDINGS, *_LAYER], _MASKED_TOKENS, "bert"),
    "ernie": FamilyNames("Ernie", [*_EMBEDDINGS, *_TASK_TYPE_EMBEDDINGS, *_LAYER], _MASKED_TOKENS, "ernie"),
    **{
        model_type: FamilyNames(
            prefix,
            [*_EMBEDDINGS, *_LAYER],
            _ROBERTA_MASKED_TOKENS,
            "roberta",
            has_paddlenlp=prefix == "Roberta",
        )
        for model_type, prefix in (("roberta", "Roberta"), ("xlm-roberta", "XLMRoberta"))
    },
    "deberta-v2": FamilyNames(
        "DebertaV2",
        [*_EMBEDDINGS, *_DEBERTA_ENCODER],
        _DEBERTA_HEADS,
        "deberta",
        dense_head=("pooler.dense", "classifier"),
        shares_names=True,
    ),
    "modernbert": FamilyNames(
        "ModernBert",
        _MODERN_ENCODER,
        _MODERN_HEADS,
        "model",
        dense_head=("head.dense", "classifier"),
        head_norm="head.norm",
        pretrained_head=("head.dense", "head.norm"),
        has_paddlenlp=False,
    ),
    "distilbert": FamilyNames(
        "DistilBert",
        [*_EMBEDDINGS, *_DISTIL_LAYER],
        _DISTIL_MASKED_TOKENS,
        "distilbert",
        dense_head=("pre_classifier", "classifier"),
    ),
}
