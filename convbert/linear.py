"""A linear layer whose bias gradient is a matrix product: Paddle's reduction for it is slow on CPUs."""

from convbert.framework import paddle

PyLayer = paddle.autograd.PyLayer


class _Affine(PyLayer):
    """x @ weight + bias; x: (N, in), weight: (in, out), bias: (out,)."""

    @staticmethod
    def forward(ctx, x, weight, bias):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        return paddle.nn.functional.linear(x, weight, bias)

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
    if not paddle.in_dynamic_mode() or not paddle.is_grad_enabled() or not _wants_product(x, weight, bias):
        return paddle.nn.functional.linear(x, weight, bias)
    flat = _Affine.apply(x.reshape([-1, x.shape[-1]]), weight, bias)
    return flat.reshape([*x.shape[:-1], -1])


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
