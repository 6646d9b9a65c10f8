"""Batches without their padding: the real tokens of all rows as one long row, for the compiled functions.

B rows, T tokens, P real tokens of all rows, h heads of d columns.
"""

import numpy as np

from encoders.cpu import kernels
from encoders.framework import paddle

PyLayer = paddle.autograd.PyLayer


class Packing:
    """Where the tokens of a batch are when its padding, which follows each row, is left out.

    mask: (B, T), 1 real and 0 padding. bounds: (P, 2) int64, of every token where its row begins and ends
    among all. positions: (P,) int64, its number within its row.
    """

    def __init__(self, mask: paddle.Tensor, lengths: np.ndarray) -> None:
        self.mask = mask
        self.rows, self.length = mask.shape
        if lengths.shape != (self.rows,) or not ((lengths > 0) & (lengths <= self.length)).all():
            raise ValueError(f"expected {self.rows} lengths from 1 to {self.length}, found {lengths}")
        self.starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        row = np.repeat(np.arange(self.rows), lengths)
        self.bounds = np.ascontiguousarray(np.stack([self.starts[row], self.starts[row + 1]], axis=1))
        for array in (self.starts, self.bounds):  # C relies on what stands there
            array.setflags(write=False)
        positions = np.arange(self.starts[-1]) - self.starts[row]
        self.positions = paddle.to_tensor(positions)
        self._places = paddle.to_tensor(row * self.length + positions)
        self._firsts = paddle.to_tensor(self.starts[:-1])

    def checked(self, x: paddle.Tensor) -> paddle.Tensor:
        """The tensor itself, (1, P, …); ValueError where its first axes are others."""
        if x.shape[:2] != [1, len(self.bounds)]:
            raise ValueError(
                f"expected {len(self.bounds)} tokens, all rows' real ones, found shape {list(x.shape)}"
            )
        return x

    def packed(self, ids: paddle.Tensor) -> paddle.Tensor:
        """(B, T), or what broadcasts to that → (1, P)."""
        every = paddle.broadcast_to(ids, [self.rows, self.length])
        return paddle.gather(every.flatten(), self._places).unsqueeze(0)

    def unpacked(self, x: paddle.Tensor) -> paddle.Tensor:
        """(1, P, H) → (B, T, H), zeros at padding."""
        return self.by_head(x, 1).squeeze(1)

    def first(self, x: paddle.Tensor) -> paddle.Tensor:
        """(1, P, H) → (B, 1, H), every row's first token."""
        return paddle.gather(x.squeeze(0), self._firsts).unsqueeze(1)

    def by_head(self, x: paddle.Tensor, heads: int) -> paddle.Tensor:
        """(1, P, h·d) → (B, h, T, d), zeros at padding."""
        return _ByHead.apply(x, self, heads)

    def by_token(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, h, T, d) → (1, P, h·d)."""
        return _ByToken.apply(x, self)


def packing_of(mask: paddle.Tensor) -> Packing | None:
    """Of a mask (B, T) on a CPU; None where something real follows padding, or a row has nothing real."""
    values = mask.numpy()
    if values.ndim != 2 or not values.size:
        return None
    lengths = (values != 0).sum(axis=1)
    real = np.arange(values.shape[1]) < lengths[:, None]
    return Packing(mask, lengths) if lengths.all() and np.array_equal(values, real) else None


class _ByHead(PyLayer):
    @staticmethod
    def forward(ctx, x, packing, heads):  # type: ignore[no-untyped-def]
        ctx.packing = packing
        return _spread(x, packing, heads)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return _gathered(gradient, ctx.packing)


class _ByToken(PyLayer):
    @staticmethod
    def forward(ctx, x, packing):  # type: ignore[no-untyped-def]
        ctx.packing, ctx.heads = packing, x.shape[1]
        return _gathered(x, packing)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return _spread(gradient, ctx.packing, ctx.heads)


def _spread(x: paddle.Tensor, packing: Packing, heads: int) -> paddle.Tensor:
    shape = packing.rows, heads, packing.length, packing.checked(x).shape[-1] // heads
    out = paddle.empty(shape, dtype=x.dtype)
    kernels.call("by_head", x, packing.starts, out, x.shape[1], *shape)
    return out


def _gathered(x: paddle.Tensor, packing: Packing) -> paddle.Tensor:
    out = paddle.empty([1, int(packing.starts[-1]), x.shape[1] * x.shape[3]], dtype=x.dtype)
    if x.shape[0] != packing.rows or x.shape[2] != packing.length:
        raise ValueError(
            f"expected {packing.rows} rows of {packing.length} tokens, found shape {list(x.shape)}"
        )
    kernels.call("by_token", x, packing.starts, out, out.shape[1], *x.shape)
    return out
