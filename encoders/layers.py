"""The layers that every network here is made of, and the activations."""

from encoders import ops
from encoders.framework import paddle

nn = paddle.nn
F = paddle.nn.functional

# One function for each name in config.ACTIVATIONS.
ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate=True),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": paddle.tanh,
}


class Linear(nn.Linear):
    """``paddle.nn.Linear`` with the same parameters, values and gradients."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (…, in) → (…, out)."""
        return ops.linear(x, self.weight, self.bias)

    def without_bias(self, x: paddle.Tensor) -> paddle.Tensor:
        """x @ weight: (…, in) → (…, out)."""
        flat = paddle.matmul(x.reshape([-1, x.shape[-1]]), self.weight)
        return flat.reshape([*x.shape[:-1], -1])


class GroupedLinear(nn.Layer):
    """A linear layer in groups: each slice of the input feeds its own slice of the output.

    The grouped feed-forward of ConvBERT-medium-small (arXiv:2008.02496, section 3.4).
    """

    def __init__(self, width_in: int, width_out: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = self.create_parameter([groups, width_in // groups, width_out // groups])
        self.bias = self.create_parameter([width_out], is_bias=True)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, in) → (B, T, out)."""
        return self.without_bias(x) + self.bias

    def without_bias(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, T, in) → (B, T, out)."""
        batch, length = x.shape[0], x.shape[1]
        x = x.reshape([batch * length, self.groups, -1]).transpose([1, 0, 2])  # (G, B·T, in/G)
        x = paddle.matmul(x, self.weight).transpose([1, 0, 2])  # (B·T, G, out/G)
        return x.reshape([batch, length, -1])


class Dropout(nn.Layer):
    """In training sets a share of the elements to 0 and scales the others up; else the identity.

    Args:
        rate: The share, 0 to below 1; ValueError for others, and where less than 1 in 65536 would be kept.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1 - 2**-17:  # in 65536ths less than all
            raise ValueError(f"dropout: expected a rate from 0 to below 1, found {rate}")
        self.rate = rate

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: any shape → the same shape."""
        return ops.dropout(x, self.rate) if self.training else x
