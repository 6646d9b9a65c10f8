"""ConvBERT's two convolutions along the sequence, linear in its length in time and memory.

Each stands twice: the plain formulation, which is the tested definition, and the same as an autograd
function of its own. Plain autograd would run a slice's backward (a full-size zero tensor filled and
added) once per tap; here the backward is again a sum of shifted products.
"""

from convbert import kernels as compiled
from convbert.framework import paddle

PyLayer = paddle.autograd.PyLayer


def padded(x: paddle.Tensor, reach: int) -> paddle.Tensor:
    """Zeros before and after every sequence: (B, T, C) → (B, T + 2·reach, C)."""
    # Concatenation and not F.pad: exporters keep zeros that are concatenated.
    edge = paddle.zeros([x.shape[0], reach, x.shape[2]], dtype=x.dtype)
    return paddle.concat([edge, x, edge], axis=1)


def depthwise_plain(x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
    """Depthwise convolution along the sequence with zero padding, the definition.

    x: (B, T, C); weight: (K, C), K odd → (B, T, C); out[t] = Σ_j weight[j] · x[t + j − K//2].
    """
    taps, length = weight.shape[0], x.shape[1]
    wide = padded(x, taps // 2)
    return paddle.add_n([wide[:, j : j + length] * weight[j] for j in range(taps)])


def span_plain(kernels: paddle.Tensor, values: paddle.Tensor) -> paddle.Tensor:
    """Dynamic convolution: every position and head has kernels of its own; the definition.

    kernels: (B, T, h, K), K odd; values: (B, T, h·d) → (B, T, h·d);
    out[t] = Σ_j kernels[t, :, j] · values[t + j − K//2], head by head. arXiv:2008.02496, section 3.2.
    """
    batch, length, heads, taps = kernels.shape
    wide = padded(values, taps // 2)
    parts = [
        wide[:, j : j + length].reshape([batch, length, heads, -1]) * kernels[:, :, :, j : j + 1]
        for j in range(taps)
    ]
    return paddle.add_n(parts).reshape(values.shape)


class _Depthwise(PyLayer):
    """``depthwise_plain`` with a backward of shifted products over the flattened rows.

    With 2·reach zero rows between the sequences a shift in time is a shift of flat rows: contiguous.
    """

    @staticmethod
    def forward(ctx, x, weight):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        return _depthwise_flat(x, weight)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, weight = ctx.saved_tensor()
        taps = weight.shape[0]
        wide_x, wide_grad = _flat(x, taps // 2), _flat(grad, taps // 2)
        rows = wide_x.shape[0] - (taps - 1)
        # Row r of wide_grad at offset reach is the gradient of the window that starts at row r of wide_x.
        middle = wide_grad[taps // 2 : taps // 2 + rows]
        ones = paddle.ones([1, rows], dtype=x.dtype)  # a product sums faster than Paddle's reduction
        grad_weight = [paddle.matmul(ones, wide_x[j : j + rows] * middle) for j in range(taps)]
        return _depthwise_flat(grad, weight.flip(axis=0)), paddle.concat(grad_weight)


def _flat(x: paddle.Tensor, reach: int) -> paddle.Tensor:
    wide = padded(x, reach)
    return wide.reshape([-1, x.shape[2]])


def _depthwise_flat(x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
    batch, length, width = x.shape
    taps = weight.shape[0]
    flat = _flat(x, taps // 2)
    rows = flat.shape[0] - (taps - 1)
    out = flat[:rows] * weight[0]
    for j in range(1, taps):
        out = out + flat[j : j + rows] * weight[j]
    tail = paddle.zeros([taps - 1, width], dtype=x.dtype)
    return paddle.concat([out, tail]).reshape([batch, length + taps - 1, width])[:, :length]


class _Span(PyLayer):
    """``span_plain`` with a backward of shifted products."""

    @staticmethod
    def forward(ctx, kernels, values):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(kernels, values)
        return span_plain(kernels, values)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        kernels, values = ctx.saved_tensor()
        batch, length, heads, taps = kernels.shape
        shape = [batch, length, heads, -1]
        wide, split = padded(values, taps // 2), grad.reshape(shape)
        grad_kernels = paddle.concat(
            [
                (wide[:, j : j + length].reshape(shape) * split).sum(axis=-1, keepdim=True)
                for j in range(taps)
            ],
            axis=-1,
        )
        # values[s] was read by position t = s − j + K//2 with tap j: shift the products back.
        wide_grad = padded(grad, taps // 2)
        wide_kernels = padded(kernels.reshape([batch, length, heads * taps]), taps // 2)
        parts = []
        for j in range(taps):
            back = taps - 1 - j
            weights = wide_kernels[:, back : back + length].reshape([batch, length, heads, taps])
            read = wide_grad[:, back : back + length].reshape(shape)
            parts.append(read * weights[:, :, :, j : j + 1])
        return grad_kernels, paddle.add_n(parts).reshape(values.shape)


class _CompiledDepthwise(PyLayer):
    """``depthwise_plain`` in C."""

    @staticmethod
    def forward(ctx, x, weight):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        out = paddle.empty_like(x)
        compiled.call("depthwise", x, weight, out, *x.shape, weight.shape[0], False)
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, weight = ctx.saved_tensor()
        grad_x, grad_weight = paddle.empty_like(x), paddle.empty_like(weight)
        compiled.call("depthwise", grad, weight, grad_x, *x.shape, weight.shape[0], True)
        compiled.call("depthwise_weight_gradient", x, grad, grad_weight, *x.shape, weight.shape[0])
        return grad_x, grad_weight


class _CompiledSpan(PyLayer):
    """``span_plain`` in C."""

    @staticmethod
    def forward(ctx, kernels, values):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(kernels, values)
        out = paddle.empty_like(values)
        compiled.call("span", kernels, values, out, *_span_shape(kernels, values))
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        kernels, values = ctx.saved_tensor()
        grad_kernels, grad_values = paddle.empty_like(kernels), paddle.empty_like(values)
        shape = _span_shape(kernels, values)
        compiled.call("span_gradient", kernels, values, grad, grad_kernels, grad_values, *shape)
        return grad_kernels, grad_values


def _span_shape(kernels: paddle.Tensor, values: paddle.Tensor) -> tuple[int, ...]:
    """B, T, h, d, K."""
    batch, length, heads, taps = kernels.shape
    return batch, length, heads, values.shape[-1] // heads, taps


def depthwise(x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
    """``depthwise_plain``, fast: x (B, T, C), weight (K, C) → (B, T, C)."""
    return (_CompiledDepthwise if compiled.usable(x, weight) else _Depthwise).apply(x, weight)


def span(kernels: paddle.Tensor, values: paddle.Tensor) -> paddle.Tensor:
    """``span_plain``, fast: kernels (B, T, h, K), values (B, T, h·d) → (B, T, h·d)."""
    return (_CompiledSpan if compiled.usable(kernels, values) else _Span).apply(kernels, values)
