"""The operations that the networks are made of, and the one place that knows of their fast forms.

Each function computes what the first line of its docstring says, in the form that is fastest here: in the
compiled functions of encoders/cpu where they fit, else by Paddle's own operators.

B rows, T tokens, H hidden size, C columns, K kernel size, h heads of d columns. A batch whose padding is left
out (``Unpadding``) has one row of all its real tokens where (B, T) is written.
"""

import math
from collections.abc import Callable
from typing import Any

from encoders.cpu import autograd, bfloat16, compiled, dropout_masks, half_layers, kernels, mixing
from encoders.cpu.unpadding import Unpadding, unpad_input
from encoders.framework import paddle
from encoders.padding import Padding

F = paddle.nn.functional

LARGE = 1 << 24  # multiplications of a single linear layer from which bfloat16 pays
MASKED = -10000.0  # added to a padded key's score; exp of it is 0 in float32 and fits in float16


def find_padding(
    ids: paddle.Tensor, mask: paddle.Tensor | None, network: paddle.nn.Layer, keep: bool
) -> Padding:
    """Choose how the rows of a batch are laid out inside a network.

    Args:
        ids: (B, T), the network's input.
        mask: (B, T), 1 at real tokens and 0 at padding; None where nothing is padded.
        network: Its parameters decide whether compiled functions can run all of it.
        keep: Keep the padding in any case.

    Returns:
        A layout without the padding where that can be had, else one with it.

    Raises:
        ValueError: The mask has another shape than the ids.
    """
    if mask is None or not paddle.in_dynamic_mode():
        return Padding(mask)
    if mask.shape != ids.shape:
        raise ValueError(f"mask: expected the ids' shape, {list(ids.shape)}, found {list(mask.shape)}")
    if keep or not kernels.usable(*network.parameters()) or not kernels.is_mask(mask):
        return Padding(mask)
    return unpad_input(mask) or Padding(mask)


def attention(
    layer: paddle.nn.Layer, x: paddle.Tensor, padding: Padding, first_only: bool = False, *shared: Any
) -> paddle.Tensor:
    """layer(x, padding, first_only, *shared), the first half of a layer.

    Args:
        layer: Such as ``Attention`` or ``MixedAttention``.
        x: (B, T, H)
        padding: Which tokens are padding.
        first_only: Compute the first token's output alone.
        shared: What the attention of all layers shares, where the family has such a thing.

    Returns:
        (B, T, H), with first_only (B, 1, H)
    """
    chosen = _bfloat16_for(layer)
    layout = _layout(x, padding) if chosen else None
    if chosen is None or layout is None:
        return layer(x, padding, first_only, *shared)
    projections, convolution, output = _attention_parameters(layer)
    parameters = *projections, *convolution, *output
    if not kernels.usable(x, *parameters):
        return layer(x, padding, first_only, *shared)
    heads, depth = layer.heads, projections[0].shape[1] // layer.heads
    bits = _draw(layer.probability_dropout, layout.rows * heads * layout.length**2)
    tokens = layout.rows if first_only else layout.tokens
    output_bits = _draw(layer.dropout, tokens * x.shape[-1])
    parts = (
        mixing.HeadAttention(layout, heads, depth, bits),
        mixing.DynamicConvolution(layout, heads, depth, convolution, chosen) if convolution else None,
        half_layers.OutputNorm(output, layer.norm._epsilon, output_bits, chosen),
    )
    return half_layers.AttentionHalf.apply(x, parts, layout, first_only, chosen, *parameters)


def _bfloat16_for(layer: paddle.nn.Layer) -> bfloat16.Bfloat16 | None:
    """What is in force, if the class that says what this layer computes has a form in it."""
    definer = next(each for each in type(layer).__mro__ if "forward" in vars(each))
    return bfloat16.current() if "has_fast_form" in vars(definer) else None


def _attention_parameters(layer: paddle.nn.Layer) -> tuple[mixing.Tensors, mixing.Tensors, mixing.Tensors]:
    """Weights, then biases of all that is computed of a layer's input; the convolution's; the output's."""
    span = getattr(layer, "span_conv", None)
    projections = [layer.query, layer.key, layer.value]
    convolution: mixing.Tensors = ()
    if span is not None:
        projections.append(span.value)
        convolution = span.depthwise, span.pointwise, span.bias, span.kernel.weight, span.kernel.bias
    weights, biases = [linear.weight for linear in projections], [linear.bias for linear in projections]
    output = layer.output.weight, layer.output.bias, layer.norm.weight, layer.norm.bias
    return (*weights, *biases), convolution, output


def _layout(x: paddle.Tensor, padding: Padding) -> mixing.Layout | None:
    if isinstance(padding, Unpadding):
        padding.checked(x)
        return mixing.Layout(padding.starts, padding.bounds, padding.length)
    return mixing.full_layout(*x.shape[:2]) if padding.mask is None and x.size else None


def feed_forward(layer: paddle.nn.Layer, x: paddle.Tensor) -> paddle.Tensor:
    """layer(x), the second half of a layer: (B, T, H) → (B, T, H)."""
    chosen = _bfloat16_for(layer)
    if chosen is None or layer.activation is not F.gelu or not x.size:
        return layer(x)
    ends = layer.outer.weight, layer.outer.bias, layer.norm.weight, layer.norm.bias
    parameters = layer.inner.weight, layer.inner.bias, *ends
    if not kernels.usable(x, *parameters):
        return layer(x)
    output = half_layers.OutputNorm(ends, layer.norm._epsilon, _draw(layer.dropout, x.size), chosen)
    return half_layers.FeedForwardHalf.apply(x, output, chosen, paddle.is_grad_enabled(), *parameters)


def linear(x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor | None) -> paddle.Tensor:
    """x @ weight + bias.

    Args:
        x: (…, in)
        weight: (in, out)
        bias: (out,) or None

    Returns:
        (…, out)
    """
    chosen, parameters = bfloat16.current(), (weight,) if bias is None else (weight, bias)
    if chosen and kernels.rows(x) * weight.size >= LARGE and kernels.usable(x, *parameters):
        return half_layers.LargeLinear.apply(x, chosen, *parameters)
    if bias is None:
        return F.linear(x, weight)
    if not paddle.is_grad_enabled():
        return autograd.affine_without_gradient(x, weight, bias)
    # The product pays on a CPU alone (and knows nothing of mixed precision); frozen parts it cannot skip.
    is_trained = not (x.stop_gradient or weight.stop_gradient or bias.stop_gradient)
    if paddle.in_dynamic_mode() and x.place.is_cpu_place() and is_trained:
        flat = autograd.Affine.apply(x.reshape([-1, x.shape[-1]]), weight, bias)
        return flat.reshape([*x.shape[:-1], -1])
    return F.linear(x, weight, bias)


def linear_times(
    x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, factor: paddle.Tensor
) -> paddle.Tensor:
    """(x @ weight + bias) · factor.

    Args:
        x: (B, T, in)
        weight: (in, out)
        bias: (out,)
        factor: (B, T, out)

    Returns:
        (B, T, out)
    """
    tensors = (x, weight, bias, factor)
    if kernels.usable(*tensors) and kernels.fits("* I, I C, C, * C", *tensors):
        return compiled.BiasedProduct.apply(paddle.matmul(x, weight), bias, factor)
    return linear(x, weight, bias) * factor


def linear_activation(
    x: paddle.Tensor, linear: paddle.nn.Layer, activation: Callable[[paddle.Tensor], paddle.Tensor]
) -> paddle.Tensor:
    """activation(linear(x)): (…, in) → (…, out)."""
    if activation is not F.gelu or not kernels.usable(x, linear.weight, linear.bias):
        return activation(linear(x))
    y = linear.without_bias(x)
    fits = kernels.fits("* C, C", y, linear.bias)
    return compiled.Gelu.apply(y, linear.bias) if fits else activation(linear(x))


def dropout(x: paddle.Tensor, rate: float) -> paddle.Tensor:
    """Each element of x (any shape) is 0 with the probability ``rate``, else x / (1 − rate).

    On a CPU the rate is rounded to a multiple of 2**-16.
    """
    if dropout_masks.threshold_of(rate) == 0:
        return x
    if not paddle.get_device().startswith("cpu"):
        return F.dropout(x, rate)
    return x * paddle.to_tensor(dropout_masks.factors(rate, x.shape))


def _draw(dropout: paddle.nn.Layer, count: int) -> dropout_masks.DropoutBits:
    return dropout_masks.draw(dropout.rate if dropout.training else 0.0, count)


def add_norm(
    x: paddle.Tensor,
    y: paddle.Tensor,
    linear: paddle.nn.Layer,
    dropout: paddle.nn.Layer,
    norm: paddle.nn.Layer,
) -> paddle.Tensor:
    """norm(x + dropout(linear(y))), the second half of attention and of feed-forward.

    Args:
        x: (…, H)
        y: (…, in)
        linear: in → H
        dropout: Of the linear layer's result.
        norm: LayerNorm over H.

    Returns:
        (…, H)
    """
    parameters = (linear.bias, norm.weight, norm.bias)
    if kernels.usable(x, y, linear.weight, *parameters):
        product = linear.without_bias(y)
        if kernels.fits("* H, * H, H, H, H", x, product, *parameters):
            bits = _draw(dropout, math.prod(x.shape))
            return compiled.AddNorm.apply(x, product, *parameters, norm._epsilon, bits)
    return norm(x + dropout(linear(y)))


def attention_weights(
    query: paddle.Tensor,
    key: paddle.Tensor,
    scale: float,
    mask: paddle.Tensor | None,
    dropout: paddle.nn.Layer,
) -> paddle.Tensor:
    """dropout(softmax(scale · query keyᵀ + (1 − mask) · MASKED)).

    Args:
        query, key: (B, h, T, d)
        scale: 1/√d
        mask: (B, T), 1 at real tokens and 0 at padding, or None
        dropout: Of the softmax.

    Returns:
        (B, h, T, T)
    """
    if kernels.usable(query, key) and _can_attend(query, key, mask):
        scores = paddle.matmul(query, key, transpose_y=True)
        bits = _draw(dropout, math.prod(scores.shape))
        return compiled.AttentionWeights.apply(scores, scale, mask, bits)
    query = query * scale
    if mask is not None:
        # The mask as one more key feature, met by a query feature of 1: cheaper than adding it.
        bias = ((1.0 - mask) * MASKED).astype(key.dtype).unsqueeze([1, 3])  # (B, 1, T, 1)
        key = paddle.concat([key, bias.expand([-1, key.shape[1], -1, -1])], axis=-1)
        query = paddle.concat([query, paddle.ones_like(query[:, :, :, :1])], axis=-1)
    return dropout(F.softmax(paddle.matmul(query, key, transpose_y=True), axis=-1))


def softmax_weights(
    scores: paddle.Tensor, scale: float, mask: paddle.Tensor | None, dropout: paddle.nn.Layer
) -> paddle.Tensor:
    """dropout(softmax(scale · scores + (1 − mask) · MASKED)).

    Args:
        scores: (B, h, T, T)
        scale: 1/√d
        mask: (B, T), 1 at real tokens and 0 at padding, or None
        dropout: Of the softmax.

    Returns:
        (B, h, T, T)
    """
    if kernels.usable(scores) and (
        mask is None or (kernels.is_mask(mask) and kernels.fits("B h T S, B S", scores, mask))
    ):
        return compiled.AttentionWeights.apply(scores, scale, mask, _draw(dropout, math.prod(scores.shape)))
    scores = scores * scale
    if mask is not None:
        scores = scores + ((1.0 - mask) * MASKED).astype(scores.dtype).unsqueeze([1, 2])
    return dropout(F.softmax(scores, axis=-1))


def _can_attend(query: paddle.Tensor, key: paddle.Tensor, mask: paddle.Tensor | None) -> bool:
    """Whether the shapes are those of ``attention_weights`` and C takes the mask."""
    if mask is None:
        return kernels.fits("B h T d, B h S d", query, key)
    return kernels.is_mask(mask) and kernels.fits("B h T d, B h S d, B S", query, key, mask)


def depthwise_convolution(x: paddle.Tensor, weight: paddle.Tensor, padding: Padding) -> paddle.Tensor:
    """``convolution.depthwise_convolution`` of x, which counts as 0 at padding.

    Args:
        x: (B, T, C)
        weight: (K, C)
        padding: Where x counts as 0.

    Returns:
        (B, T, C)

    Raises:
        ValueError: K is even, or the weights have other columns than x.
    """
    if paddle.in_dynamic_mode():
        _check_kernel_size(weight.shape[0])
        if (width := x.shape[-1]) != weight.shape[-1]:
            raise ValueError(f"convolution: expected weights of {width} columns, found {weight.shape[-1]}")
    if isinstance(padding, Unpadding):
        return compiled.Depthwise.apply(padding.checked(x), weight, padding.bounds)
    if padding.mask is None and kernels.usable(x, weight) and kernels.fits("B T C, K C", x, weight):
        return compiled.Depthwise.apply(x, weight, None)
    return autograd.ShiftedDepthwise.apply(_zero_padding(x, padding.mask), weight)


def append_span_convolution(
    attended: paddle.Tensor, scores: paddle.Tensor, x: paddle.Tensor, value: paddle.nn.Layer, padding: Padding
) -> paddle.Tensor:
    """[attended; ``convolution.span_convolution(softmax(scores), value(x))``].

    Args:
        attended: (B, T, A)
        scores: (B, T, h, K)
        x: (B, T, H)
        value: H → h·d
        padding: Where the values count as 0.

    Returns:
        (B, T, A + h·d)
    """
    if paddle.in_dynamic_mode():
        _check_kernel_size(scores.shape[-1])
    if isinstance(padding, Unpadding):
        attended, scores, x = (padding.checked(part) for part in (attended, scores, x))
        return compiled.Span.apply(scores, value.without_bias(x), value.bias, attended, padding.bounds)
    if padding.mask is None and kernels.usable(attended, scores, x, value.weight, value.bias):
        values = value.without_bias(x)
        if kernels.fits("B T A, B T h K, B T C, C", attended, scores, values, value.bias):
            return compiled.Span.apply(scores, values, value.bias, attended, None)
    values = _zero_padding(value(x), padding.mask)
    convolved = autograd.ShiftedSpan.apply(F.softmax(scores, axis=-1), values)
    return paddle.concat([attended, convolved], axis=-1)


def _check_kernel_size(kernel_size: int) -> None:
    if kernel_size % 2 == 0:
        raise ValueError(f"convolution: expected an odd kernel size, found {kernel_size}")


def _zero_padding(x: paddle.Tensor, mask: paddle.Tensor | None) -> paddle.Tensor:
    return x if mask is None else x * mask.unsqueeze(-1)
