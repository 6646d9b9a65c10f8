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
        ones = paddle.ones([1, grad.shape[0]], dtype=grad.dtype)
        return grad_x, grad_weight, paddle.matmul(ones, grad).squeeze(0)


class Linear(paddle.nn.Linear):
    """``paddle.nn.Linear`` with the same parameters, values and gradients."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (…, in) → (…, out)."""
        if not paddle.in_dynamic_mode() or not paddle.is_grad_enabled() or not self._wants_product(x):
            return super().forward(x)
        flat = _Affine.apply(x.reshape([-1, x.shape[-1]]), self.weight, self.bias)
        return flat.reshape([*x.shape[:-1], -1])

    def product(self, x: paddle.Tensor) -> paddle.Tensor:
        """x @ weight, without the bias: (…, in) → (…, out)."""
        flat = paddle.matmul(x.reshape([-1, x.shape[-1]]), self.weight)
        return flat.reshape([*x.shape[:-1], -1])

    def _wants_product(self, x: paddle.Tensor) -> bool:
        # The product pays on a CPU alone (and knows nothing of mixed precision); frozen parts it cannot skip.
        return x.place.is_cpu_place() and not (
            x.stop_gradient or self.weight.stop_gradient or self.bias is None or self.bias.stop_gradient
        )
