"""A linear layer whose bias is not left to Paddle: on CPUs it adds it, and sums its gradient, on one core."""

from encoders.cpu import kernels
from encoders.framework import paddle

PyLayer = paddle.autograd.PyLayer


class _Affine(PyLayer):
    """x @ weight + bias; x: (N, in), weight: (in, out), bias: (out,)."""

    @staticmethod
    def forward(ctx, x, weight, bias):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        return _biased(x, weight, bias)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, weight = ctx.saved_tensor()
        grad_x = paddle.matmul(grad, weight, transpose_y=True)
        grad_weight = paddle.matmul(x, grad, transpose_x=True)
        return grad_x, grad_weight, column_sums(grad)


def column_sums(x: paddle.Tensor) -> paddle.Tensor:
    """(…, C) → (C,). As a product with ones, which on CPUs is faster than Paddle's reduction."""
    rows = x.reshape([-1, x.shape[-1]])
    return paddle.matmul(paddle.ones([1, rows.shape[0]], dtype=x.dtype), rows).squeeze(0)


def affine(x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor | None) -> paddle.Tensor:
    """x @ weight + bias; x: (…, in), weight: (in, out), bias: (out,) or None → (…, out)."""
    if paddle.in_dynamic_mode() and paddle.is_grad_enabled() and _wants_product(x, weight, bias):
        flat = _Affine.apply(x.reshape([-1, x.shape[-1]]), weight, bias)
        return flat.reshape([*x.shape[:-1], -1])
    if bias is None or paddle.is_grad_enabled():
        return paddle.nn.functional.linear(x, weight, bias)
    return _biased(x, weight, bias)


def _biased(x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
    """x @ weight + bias, of which nobody wants the gradient here."""
    parts = (x, weight, bias)
    if not (kernels.usable(*parts) and kernels.fits("* I, I C, C", *parts)):
        return paddle.nn.functional.linear(x, weight, bias)
    result = paddle.matmul(x, weight)
    kernels.call("add_bias", result, bias, kernels.rows(result), bias.shape[0])
    return result


def _wants_product(x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor | None) -> bool:
    # The product pays on a CPU alone (and knows nothing of mixed precision); frozen parts it cannot skip.
    return x.place.is_cpu_place() and not (
        x.stop_gradient or weight.stop_gradient or bias is None or bias.stop_gradient
    )


class Linear(paddle.nn.Linear):
    """``paddle.nn.Linear`` with the same parameters, values and gradients."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (…, in) → (…, out)."""
        return affine(x, self.weight, self.bias)

    def product(self, x: paddle.Tensor) -> paddle.Tensor:
        """x @ weight, without the bias: (…, in) → (…, out)."""
        flat = paddle.matmul(x.reshape([-1, x.shape[-1]]), self.weight)
        return flat.reshape([*x.shape[:-1], -1])
