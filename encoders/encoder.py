"""The encoder: embeddings and layers. It also tells how deep each of its parameters lies.

B rows, T tokens, E embedding size, H hidden size, I intermediate size.
"""

from collections.abc import Sequence

from encoders.attention import Attention
from encoders.config import EncoderConfig
from encoders.convolution import Mask
from encoders.cpu import kernels
from encoders.cpu.fused import activated, add_norm
from encoders.cpu.unpadding import Packing, packing_of
from encoders.dropout import Dropout
from encoders.framework import paddle
from encoders.linear import Linear

nn = paddle.nn
F = paddle.nn.functional

ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate=True),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": paddle.tanh,
}


class Embeddings(nn.Layer):
    """Word + position + token-type (+ ERNIE's task-type) embeddings, LayerNorm, projection to H."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.embedding_size
        self.word = nn.Embedding(config.vocab_size, width)
        self.position = nn.Embedding(config.max_position_embeddings, width)
        self.token_type = nn.Embedding(config.type_vocab_size, width)
        self.task_type = (
            nn.Embedding(config.task_type_vocab_size, width)
            if config.model_type == "ernie" and config.use_task_id
            else None
        )
        self.norm = nn.LayerNorm(width, epsilon=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.projection = Linear(width, config.hidden_size) if width != config.hidden_size else None

    def forward(
        self, ids: paddle.Tensor, token_types: paddle.Tensor, packing: Packing | None = None
    ) -> paddle.Tensor:
        """ids, token_types: (B, T) int64 → (B, T, H), with a packing (1, P, H).

        Positions count from 0, task types are 0. Words are looked up as (B, T) in any case, which is what
        training/regularization/fgm.py watches.
        """
        words, position = self.word(ids), self.position.weight[: ids.shape[1]]  # (B, T, E), (T, E)
        if packing is not None:
            words, token_types = packing.by_token(words.unsqueeze(1)), packing.packed(token_types)
            position = self.position(packing.positions)  # (P, E)
        x = words + self.token_type(token_types) + position
        if self.task_type is not None:
            x = x + self.task_type.weight[0]
        x = self.dropout(self.norm(x))
        return x if self.projection is None else self.projection(x)


class GroupedLinear(nn.Layer):
    """A linear layer in groups: each slice of the input feeds its own slice of the output."""

    def __init__(self, width_in: int, width_out: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = self.create_parameter([groups, width_in // groups, width_out // groups])
        self.bias = self.create_parameter([width_out], is_bias=True)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, in) → (B, T, out)."""
        return self.product(x) + self.bias

    def product(self, x: paddle.Tensor) -> paddle.Tensor:
        """Without the bias: (B, T, in) → (B, T, out)."""
        batch, length = x.shape[0], x.shape[1]
        x = x.reshape([batch * length, self.groups, -1]).transpose([1, 0, 2])  # (G, B·T, in/G)
        x = paddle.matmul(x, self.weight).transpose([1, 0, 2])  # (B·T, G, out/G)
        return x.reshape([batch, length, -1])


class FeedForward(nn.Layer):
    """Inner layer, activation, outer layer, residual, LayerNorm."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.inner = _linear(config.hidden_size, config.intermediate_size, config.num_groups)
        self.outer = _linear(config.intermediate_size, config.hidden_size, config.num_groups)
        self.norm = nn.LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, H) → (B, T, H)."""
        inner = activated(x, self.inner, self.activation)
        return add_norm(x, inner, self.outer, self.dropout, self.norm)


def _linear(width_in: int, width_out: int, groups: int) -> nn.Layer:
    return Linear(width_in, width_out) if groups == 1 else GroupedLinear(width_in, width_out, groups)


class EncoderLayer(nn.Layer):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config)

    def forward(self, x: paddle.Tensor, mask: Mask, first_only: bool = False) -> paddle.Tensor:
        """x: (B, T, H); mask: (B, T) or None → (B, T, H), with first_only (B, 1, H).

        Where the mask is a packing x is (1, P, H), and so is the result but for first_only.
        """
        return self.feed_forward(self.attention(x, mask, first_only))


class Encoder(nn.Layer):
    """The network without a head, of any of the four model types."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.layers = nn.LayerList([EncoderLayer(config) for _ in range(config.num_hidden_layers)])

    def forward(
        self,
        ids: paddle.Tensor,
        token_types: paddle.Tensor,
        mask: paddle.Tensor | None = None,
        first_only: bool = False,
    ) -> paddle.Tensor:
        """Last hidden states.

        ids, token_types: (B, T) int64; mask: (B, T) float, 1 real and 0 padding, or None where
        nothing is padded. Returns (B, T, H); with first_only (B, 1, H), the first token's alone,
        for which the last layer leaves out every other position's feed-forward. What stands at padding
        means nothing.
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
        """The same after each of the given layers, counted from 1."""
        packing = self._packing(ids, mask)
        x = self.embeddings(ids, token_types, packing)
        found = []
        for depth, layer in enumerate(self.layers, 1):
            first = first_only and depth == len(self.layers)
            x = layer(x, mask if packing is None else packing, first)
            if depth in depths:
                found.append(x if packing is None or first else packing.unpacked(x))
        return found

    def _packing(self, ids: paddle.Tensor, mask: paddle.Tensor | None) -> Packing | None:
        """How padding can be left out, where there is some and the compiled functions can do it all."""
        if mask is None or not paddle.in_dynamic_mode():
            return None
        if mask.shape != ids.shape:
            raise ValueError(f"mask: expected the ids' shape, {list(ids.shape)}, found {list(mask.shape)}")
        if self.config.reference_padding or not kernels.usable(*self.parameters()):
            return None
        return packing_of(mask) if kernels.is_mask(mask) else None


def initialise(network: nn.Layer, deviation: float) -> None:
    """Draw every weight from a normal distribution cut at two deviations; biases 0, LayerNorm 1."""
    # Drawn with deviation 1: Paddle 3 takes the cuts as they are, Paddle 2 times the deviation.
    draw = nn.initializer.TruncatedNormal(mean=0.0, std=1.0)
    for name, parameter in network.named_parameters():
        if ".norm." not in f".{name}" and not name.endswith("bias"):
            draw(parameter)
            parameter.set_value(parameter * deviation)


def depth_rules(config: EncoderConfig) -> list[tuple[str, int]]:
    """Name prefix → depth, for layer-wise decay: embeddings 0, layer i (from 0) i+1, head n+2.

    Names are those of ``SentenceClassifier.named_parameters()``; prefixes end with a dot, so that
    layer 1 cannot match layer 10. No parameter has depth n+1 (see training/layer_decay.py).
    """
    count = config.num_hidden_layers
    layers = [(f"encoder.layers.{i}.", i + 1) for i in range(count)]
    return [("encoder.embeddings.", 0), *layers, ("head.", count + 2)]
