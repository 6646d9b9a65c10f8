"""Autograd functions of Paddle's operators, with a faster backward than the plain forms have.

Plain autograd runs a slice's backward (a full-size zero tensor, filled and added) once for each of a
convolution's K offsets; here it is again a sum of shifted products.
"""

from encoders.convolution import pad_ends, span_convolution
from encoders.cpu import kernels
from encoders.framework import paddle

PyLayer = paddle.autograd.PyLayer


class Affine(PyLayer):
    """x @ weight + bias; x: (N, in), weight: (in, out), bias: (out,).

    On CPUs Paddle's own adds the bias, and sums its gradient, on one core.
    """

    @staticmethod
    def forward(ctx, x, weight, bias):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        return affine_without_gradient(x, weight, bias)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, weight = ctx.saved_tensor()
        grad_x = paddle.matmul(grad, weight, transpose_y=True)
        grad_weight = paddle.matmul(x, grad, transpose_x=True)
        return grad_x, grad_weight, column_sums(grad)


def affine_without_gradient(x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
    """x @ weight + bias where no gradient is recorded; x: (…, in) → (…, out)."""
    parts = (x, weight, bias)
    if not (kernels.usable(*parts) and kernels.fits("* I, I C, C", *parts)):
        return paddle.nn.functional.linear(x, weight, bias)
    result = paddle.matmul(x, weight)
    kernels.call("add_bias", result, bias, kernels.rows(result), bias.shape[0])
    return result


def column_sums(x: paddle.Tensor) -> paddle.Tensor:
    """(…, C) → (C,). As a product with ones, which on CPUs is faster than Paddle's reduction."""
    rows = x.reshape([-1, x.shape[-1]])
    return paddle.matmul(paddle.ones([1, rows.shape[0]], dtype=x.dtype), rows).squeeze(0)


class ShiftedDepthwise(PyLayer):
    """``convolution.depthwise_convolution``; x: (B, T, C), weight: (K, C).

    The sequences lie one behind the other with K − 1 rows of zeros between them: a shift in time is then a
    shift of contiguous rows.
    """

    @staticmethod
    def forward(ctx, x, weight):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        return _sum_of_shifts(x, weight)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, weight = ctx.saved_tensor()
        kernel_size = weight.shape[0]
        flat_x, flat_grad = _flat(x, kernel_size // 2), _flat(grad, kernel_size // 2)
        rows = flat_x.shape[0] - (kernel_size - 1)
        # The gradient of the window that starts at row r of flat_x is row r + K//2 of flat_grad.
        middle = flat_grad[kernel_size // 2 : kernel_size // 2 + rows]
        grad_weight = [column_sums(flat_x[j : j + rows] * middle) for j in range(kernel_size)]
        return _sum_of_shifts(grad, weight.flip(axis=0)), paddle.stack(grad_weight)


def _flat(x: paddle.Tensor, half_width: int) -> paddle.Tensor:
    """(B, T, C) → (B · (T + 2·half_width), C), zeros around every sequence."""
    return pad_ends(x, half_width).reshape([-1, x.shape[2]])


def _sum_of_shifts(x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
    batch, length, width = x.shape
    kernel_size = weight.shape[0]
    flat = _flat(x, kernel_size // 2)
    rows = flat.shape[0] - (kernel_size - 1)
    out = flat[:rows] * weight[0]
    for j in range(1, kernel_size):
        out = out + flat[j : j + rows] * weight[j]
    tail = paddle.zeros([kernel_size - 1, width], dtype=x.dtype)
    return paddle.concat([out, tail]).reshape([batch, length + kernel_size - 1, width])[:, :length]


class ShiftedSpan(PyLayer):
    """``convolution.span_convolution``; kernels: (B, T, h, K), values: (B, T, h·d)."""

    @staticmethod
    def forward(ctx, kernels, values):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(kernels, values)
        return span_convolution(kernels, values)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        kernels, values = ctx.saved_tensor()
        batch, length, heads, kernel_size = kernels.shape
        by_head = [batch, length, heads, -1]
        wide, grad_heads = pad_ends(values, kernel_size // 2), grad.reshape(by_head)
        grad_kernels = paddle.concat(
            [
                (wide[:, j : j + length].reshape(by_head) * grad_heads).sum(axis=-1, keepdim=True)
                for j in range(kernel_size)
            ],
            axis=-1,
        )
        # Position t = s − j + K//2 read values[s] at offset j: shift the products back.
        wide_grad = pad_ends(grad, kernel_size // 2)
        wide_kernels = pad_ends(kernels.reshape([batch, length, heads * kernel_size]), kernel_size // 2)
        parts = []
        for j in range(kernel_size):
            back = kernel_size - 1 - j
            weights = wide_kernels[:, back : back + length].reshape([batch, length, heads, kernel_size])
            read = wide_grad[:, back : back + length].reshape(by_head)
            parts.append(read * weights[:, :, :, j : j + 1])
        return grad_kernels, paddle.add_n(parts).reshape(values.shape)
