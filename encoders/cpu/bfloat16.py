"""Computing a network's products in bfloat16: where that is in force, and its weights in that form."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from common.errors import InputError
from encoders.cpu import kernels, onednn
from encoders.cpu.onednn import Matrix, Packed
from encoders.framework import paddle

_IN_FORCE: ContextVar["Bfloat16 | None"] = ContextVar("bfloat16", default=None)


class _Operand:
    """Weights (in, out) as the second factor of products: as they are, and transposed.

    ``parameters``: of layers that stand side by side; or one, of which this is the ``group``-th part.
    """

    def __init__(self, parameters: Sequence[paddle.Tensor], group: int) -> None:
        self._parameters = parameters  # which live as long as this, so that nothing else gets their id
        self._group = group
        self._rounded: Matrix | None = None

    def _plain(self) -> Matrix:
        if self._rounded is None:
            self._rounded = _side_by_side(self._parameters, self._group)
        return self._rounded

    @functools.cached_property
    def weights(self) -> Matrix | Packed:
        return onednn.pack(self._plain())

    @functools.cached_property
    def transposed(self) -> Matrix | Packed:
        packed = onednn.pack(self._plain().transposed)
        self.release()
        return packed

    def release(self) -> None:
        """Let go of what only another form would be made of."""
        self._rounded = None


class Bfloat16:
    """The weights of a network in bfloat16, made when they are first needed and kept until ``forget``.

    Within ``with bfloat16.in_force():`` the networks that are called compute with them, forward and backward.

    Args:
        trains: Whether gradients will be wanted.

    Raises:
        InputError: There are no products in bfloat16 here.
    """

    def __init__(self, trains: bool) -> None:
        if fault := onednn.status().fault:
            raise InputError(f"bfloat16: {fault}")
        self._trains = trains
        self._operands: dict[tuple[int, ...], _Operand] = {}
        self._biases: dict[tuple[int, ...], tuple[Sequence[paddle.Tensor], paddle.Tensor]] = {}

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Compute in bfloat16 where ``encoders.ops`` has a form for it."""
        token = _IN_FORCE.set(self)
        try:
            yield
        finally:
            _IN_FORCE.reset(token)

    def forget(self) -> None:
        """The parameters have changed: make their forms anew."""
        self._operands.clear()
        self._biases.clear()

    def weights(self, *parameters: paddle.Tensor, group: int = 0) -> Matrix | Packed:
        """Weights (in, out) of one layer, or of several side by side, as the second factor of a product; of
        weights in groups (G, in/G, out/G) those of one."""
        operand = self._operand(parameters, group)
        weights = operand.weights
        if not self._trains:
            operand.release()
        return weights

    def transposed(self, *parameters: paddle.Tensor, group: int = 0) -> Matrix | Packed:
        """The same, transposed: (out, in)."""
        return self._operand(parameters, group).transposed

    def biases(self, parameters: Sequence[paddle.Tensor]) -> paddle.Tensor:
        """The biases of several layers side by side."""
        key = tuple(map(id, parameters))
        if key not in self._biases:
            self._biases[key] = parameters, paddle.concat(list(parameters)).detach()
        return self._biases[key][1]

    def _operand(self, parameters: Sequence[paddle.Tensor], group: int) -> _Operand:
        key = (group, *map(id, parameters))
        if key not in self._operands:
            self._operands[key] = _Operand(parameters, group)
        return self._operands[key]


def _side_by_side(parameters: Sequence[paddle.Tensor], group: int) -> Matrix:
    if parameters[0].ndim == 3:
        parameters = [parameters[0][group]]
    rows, width = parameters[0].shape[0], sum(parameter.shape[1] for parameter in parameters)
    joined, first = onednn.empty(rows, width), 0
    for parameter in parameters:
        columns = parameter.shape[1]
        kernels.call("bf16_round", parameter, joined, first, rows, rows, columns, width)
        first += columns
    return onednn.matrix(joined)


def current() -> Bfloat16 | None:
    """What is in force here; None: the networks compute in float32."""
    return _IN_FORCE.get()


def padded(rows: int) -> int:
    """So many rows, and a few more: products are prepared for fewer numbers of rows than there are."""
    step = max(32, (1 << rows.bit_length()) >> 6)
    return -(-rows // step) * step


def rounded(x: paddle.Tensor) -> np.ndarray:
    """x (…, C) in bfloat16, (R, C); R = ``padded`` of its rows, zeros behind them."""
    rows, columns = kernels.rows(x), x.shape[-1]
    result = onednn.empty(padded(rows), columns)
    kernels.call("bf16_round", x, result, 0, rows, *result.shape, columns)
    return result


def column_sums(x: np.ndarray) -> paddle.Tensor:
    """(R, C) in bfloat16 → (C,)."""
    sums = paddle.empty([x.shape[1]])
    partial_sums = onednn.empty(kernels.PIECES, x.shape[1], np.float32)
    kernels.call("bf16_column_sums", x, partial_sums, sums, *x.shape)
    return sums


def weight_gradient(x: Matrix, grad: Matrix) -> paddle.Tensor:
    """xᵀ @ grad: the gradient (in, out) of weights; x: (R, in), grad: (R, out)."""
    result = paddle.empty([x.columns, grad.columns])
    onednn.product(x.transposed, grad, onednn.matrix(result))
    return result


class GroupedWeights:
    """The products of a linear layer whose weights (in, out) may be in groups (G, in/G, out/G)."""

    def __init__(self, weight: paddle.Tensor, bfloat16: Bfloat16) -> None:
        self.weight, self._bfloat16 = weight, bfloat16
        self._groups = weight.shape[0] if weight.ndim == 3 else 1

    def forward(self, x: np.ndarray, out: Any, bias: paddle.Tensor | None = None, gelu: bool = False) -> None:
        """x @ weight + bias, and the gelu of it: (R, in) → out (R, out)."""
        for group in range(self._groups):
            weights, into = self._bfloat16.weights(self.weight, group=group), self._part(out, group)
            row = None if bias is None else onednn.row(bias, into.first, into.columns)
            onednn.product(self._part(x, group), weights, into, row, gelu=gelu)

    def input_gradient(self, grad: np.ndarray, grad_x: Any, accumulate: bool = False) -> None:
        """grad @ weightᵀ: (R, out) → grad_x (R, in), or added to it."""
        for group in range(self._groups):
            weights, into = self._bfloat16.transposed(self.weight, group=group), self._part(grad_x, group)
            onednn.product(self._part(grad, group), weights, into, accumulate=accumulate)

    def weight_gradient(self, x: np.ndarray, grad: np.ndarray) -> paddle.Tensor:
        """xᵀ @ grad, (R, in), (R, out) → the weight's shape."""
        result = paddle.empty(self.weight.shape)
        for group in range(self._groups):
            left, right = self._part(x, group), self._part(grad, group)
            rows, columns = left.columns, right.columns
            into = Matrix(result, rows, columns, group * rows * columns, columns)
            onednn.product(left.transposed, right, into)
        return result

    def _part(self, x: Any, group: int) -> Matrix:
        columns = x.shape[1] // self._groups
        return onednn.matrix(x, group * columns, columns)
