"""The encoder: embeddings, then layers of attention and feed-forward; and how deep its parameters lie.

B rows, T tokens, H hidden size.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from encoders import ops
from encoders.attention import Attention
from encoders.config import EncoderConfig
from encoders.convbert import MixedAttention
from encoders.deberta import RelativePositions, deberta_layer
from encoders.distilbert import UndroppedAttention
from encoders.embeddings import Embeddings
from encoders.encoder_layer import EncoderLayer
from encoders.feed_forward import FeedForward
from encoders.framework import paddle
from encoders.modernbert import FinalNorm, RotaryPositions, modernbert_layer
from encoders.roberta import RobertaEmbeddings

nn = paddle.nn


class Family(NamedTuple):
    """The parts that a model type is made of, each built from the configuration.

    Attributes:
        embeddings: Ids, token types and the padding → states.
        layer: Of the configuration and the layer's number from 0.
        positions: Of the number of tokens → what the attention of all layers shares, if anything.
        final: Works on the last layer's states, if anything does.
    """

    embeddings: type[Embeddings]
    layer: Callable[[EncoderConfig, int], nn.Layer]
    positions: Callable[[EncoderConfig], nn.Layer] | None = None
    final: Callable[[EncoderConfig], nn.Layer] | None = None


def _of(attention: Any, feed_forward: Any = FeedForward) -> Callable[[EncoderConfig, int], nn.Layer]:
    """Layers that are alike, whatever their number."""
    return lambda config, number: EncoderLayer(attention(config), feed_forward(config))


_BERT = Family(Embeddings, _of(Attention))
_ROBERTA = Family(RobertaEmbeddings, _of(Attention))
FAMILIES = {
    "convbert": Family(Embeddings, _of(MixedAttention)),  # arXiv:2008.02496
    "electra": _BERT,  # arXiv:2003.10555
    "bert": _BERT,  # arXiv:1810.04805
    "ernie": _BERT,  # arXiv:1907.12412
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "distilbert": Family(Embeddings, _of(UndroppedAttention)),
    "deberta-v2": Family(Embeddings, deberta_layer, RelativePositions),
    "modernbert": Family(Embeddings, modernbert_layer, RotaryPositions, FinalNorm),
}


class Encoder(nn.Layer):
    """The network without a head."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        family = FAMILIES[config.model_type]
        self.embeddings = family.embeddings(config)
        self.layers = nn.LayerList([family.layer(config, n) for n in range(config.num_hidden_layers)])
        self.positions = family.positions(config) if family.positions else None
        self.final = family.final(config) if family.final else None

    @property
    def reads_token_types(self) -> bool:
        """Whether the states depend on the token types."""
        return self.config.type.knows_segments and self.config.token_types > 0

    def forward(
        self,
        ids: paddle.Tensor,
        token_types: paddle.Tensor,
        mask: paddle.Tensor | None = None,
        first_only: bool = False,
    ) -> paddle.Tensor:
        """Compute the last hidden states.

        Args:
            ids, token_types: (B, T) int64.
            mask: (B, T) float, 1 at real tokens and 0 at padding; None where nothing is padded.
            first_only: Compute the first token's state alone: the last layer leaves out the feed-forward of
                every other position.

        Returns:
            (B, T, H), with first_only (B, 1, H). The states at padding mean nothing.
        """
        return self.states(ids, token_types, mask, [len(self.layers)], first_only)[0]

    def states(
        self,
        ids: paddle.Tensor,
        token_types: paddle.Tensor,
        mask: paddle.Tensor | None,
        depths: Sequence[int],
        first_only: bool = False,
    ) -> list[paddle.Tensor]:
        """Compute the hidden states after each of the given layers, counted from 1; else as ``forward``."""
        padding = ops.find_padding(ids, mask, self, self.config.reference_padding)
        x = self.embeddings(ids, token_types, padding)
        shared = () if self.positions is None else (self.positions(ids.shape[1]),)
        states = []
        for depth, layer in enumerate(self.layers, 1):
            is_first_token = first_only and depth == len(self.layers)
            x = layer(x, padding, is_first_token, *shared)
            if self.final is not None and depth == len(self.layers):
                x = self.final(x)
            if depth in depths:
                states.append(x if is_first_token else padding.pad(x))
        return states


def initialise(network: nn.Layer, deviation: float) -> None:
    """Draw every weight from a normal distribution cut at two deviations; biases 0, LayerNorm 1."""
    # Drawn with deviation 1: Paddle 3 takes the cuts as they are, Paddle 2 times the deviation.
    draw = nn.initializer.TruncatedNormal(mean=0.0, std=1.0)
    for name, parameter in network.named_parameters():
        if ".norm." not in f".{name}" and not name.endswith("bias"):
            draw(parameter)
            parameter.set_value(parameter * deviation)


def depth_rules(config: EncoderConfig) -> list[tuple[str, int]]:
    """Name prefix → depth, for layer-wise decay: embeddings and what all layers share of positions 0, layer i
    (from 0) i+1, what works on the last layer's states n, head n+2.

    Names are those of ``SentenceClassifier.named_parameters()``; prefixes end with a dot, so that
    layer 1 cannot match layer 10. No parameter has depth n+1 (see training/layer_decay.py).
    """
    count = config.num_hidden_layers
    layers = [(f"encoder.layers.{i}.", i + 1) for i in range(count)]
    shared = [("encoder.embeddings.", 0), ("encoder.positions.", 0), ("encoder.final.", count)]
    return [*shared, *layers, ("head.", count + 2)]
