"""ConvBERT (Jiang et al. 2020, arXiv:2008.02496): attention mixed with convolution.

B rows, T tokens, H hidden size, A = H/2 attention width, h heads, K kernel size.
"""

from encoders import ops
from encoders.attention import attend
from encoders.config import EncoderConfig
from encoders.framework import paddle
from encoders.layers import Dropout, Linear
from encoders.padding import Padding

nn = paddle.nn


class SpanConvolution(nn.Layer):
    """Span-based dynamic convolution (section 3.2 of the paper).

    A depthwise-separable convolution of the input gives a key that knows its neighbours. Key times query
    gives, for every position and head, a softmax kernel over K neighbours, which weighs their values.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden, width = config.hidden_size, config.attention_width
        self.heads, self.kernel_size = config.attention_heads, config.conv_kernel_size
        self.depthwise = self.create_parameter([self.kernel_size, hidden])
        self.pointwise = self.create_parameter([hidden, width])
        self.bias = self.create_parameter([width], is_bias=True)
        self.kernel = Linear(width, self.heads * self.kernel_size)
        self.value = Linear(hidden, width)

    def forward(
        self, attended: paddle.Tensor, x: paddle.Tensor, query: paddle.Tensor, padding: Padding
    ) -> paddle.Tensor:
        """Append the convolution's result to the attention's.

        Args:
            attended: (B, T, A) the attention's result.
            x: (B, T, H) the layer's input.
            query: (B, T, A) the attention's query.
            padding: Where x and the values count as 0.

        Returns:
            (B, T, 2A)
        """
        key = ops.depthwise_convolution(x, self.depthwise, padding)  # (B, T, H)
        product = ops.linear_times(key, self.pointwise, self.bias, query)  # (B, T, A)
        scores = self.kernel(product).reshape([x.shape[0], x.shape[1], self.heads, self.kernel_size])
        return ops.append_span_convolution(attended, scores, x, self.value, padding)


class MixedAttention(nn.Layer):
    """LayerNorm(x + dropout(output([attention of x; span convolution of x]))), half of H columns each."""

    has_fast_form = True  # encoders.ops can compute what ``forward`` says

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden, width = config.hidden_size, config.attention_width
        self.heads = config.attention_heads
        self.query = Linear(hidden, width)
        self.key = Linear(hidden, width)
        self.value = Linear(hidden, width)
        self.span_conv = SpanConvolution(config)
        self.reference_padding = config.reference_padding
        self.output = Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden, epsilon=config.layer_norm_eps)
        self.probability_dropout = Dropout(config.attention_probs_dropout_prob)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, x: paddle.Tensor, padding: Padding, first_only: bool = False) -> paddle.Tensor:
        """x: (B, T, H) → (B, T, H), with first_only (B, 1, H), the first token's."""
        query, key, value = self.query(x), self.key(x), self.value(x)  # (B, T, A)
        attended = attend(query, key, value, self.heads, padding, self.probability_dropout)  # (B, T, A)
        # Published code lets the convolution read what stands at padding.
        visible = Padding(None) if self.reference_padding else padding
        context = self.span_conv(attended, x, query, visible)  # (B, T, H)
        if first_only:
            x, context = padding.first_token(x), padding.first_token(context)
        return ops.add_norm(x, context, self.output, self.dropout, self.norm)
