"""Batches without their padding: the real tokens of all rows as one long row, for the compiled functions.

As ModernBERT's ``bert_padding`` does it (arXiv:2412.13663).

B rows, T tokens, P real tokens of all rows, h heads of d columns.
"""

import numpy as np

from encoders.cpu import kernels
from encoders.framework import paddle
from encoders.padding import Padding

PyLayer = paddle.autograd.PyLayer


class Unpadding(Padding):
    """The layout that leaves out the padding: (B, T, C) becomes (1, P, C).

    Args:
        mask: (B, T), 1 at a row's first ``length`` tokens and 0 behind them.
        lengths: (B,) the rows' real tokens, 1 to T each; others are a ValueError.

    Attributes:
        starts: (B + 1,) int64, where every row begins among the P tokens, and P.
        bounds: (P, 2) int64, of every token where its row begins and ends among the P.
        positions: (P,) int64, every token's number within its row.
    """

    def __init__(self, mask: paddle.Tensor, lengths: np.ndarray) -> None:
        super().__init__(mask)
        self.rows, self.length = mask.shape
        if lengths.shape != (self.rows,) or not ((lengths > 0) & (lengths <= self.length)).all():
            raise ValueError(f"expected {self.rows} lengths from 1 to {self.length}, found {lengths}")
        self.starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        row = np.repeat(np.arange(self.rows), lengths)  # (P,)
        self.bounds = np.ascontiguousarray(np.stack([self.starts[row], self.starts[row + 1]], axis=1))
        for array in (self.starts, self.bounds):  # C relies on their values
            array.setflags(write=False)
        positions = np.arange(self.starts[-1]) - self.starts[row]
        self.positions = paddle.to_tensor(positions)
        self._indices = paddle.to_tensor(row * self.length + positions)  # (P,) into the B·T tokens
        self._first_indices = paddle.to_tensor(self.starts[:-1])

    def checked(self, x: paddle.Tensor) -> paddle.Tensor:
        """x itself, (1, P, …); ValueError where its first axes are others."""
        if x.shape[:2] != [1, len(self.bounds)]:
            raise ValueError(
                f"expected {len(self.bounds)} tokens, all rows' real ones, found shape {list(x.shape)}"
            )
        return x

    def unpad(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, T, C) → (1, P, C)."""
        return self.unpad_from_heads(x.unsqueeze(1))

    def unpad_ids(self, ids: paddle.Tensor) -> paddle.Tensor:
        """(B, T), or what broadcasts to that → (1, P)."""
        whole = paddle.broadcast_to(ids, [self.rows, self.length])
        return paddle.gather(whole.flatten(), self._indices).unsqueeze(0)

    def position_rows(self, position: paddle.nn.Embedding, length: int) -> paddle.Tensor:
        """The position embeddings of all tokens: (P, C)."""
        return position(self.positions)

    def pad(self, x: paddle.Tensor) -> paddle.Tensor:
        """(1, P, C) → (B, T, C), zeros at padding."""
        return self.pad_to_heads(x, 1).squeeze(1)

    def first_token(self, x: paddle.Tensor) -> paddle.Tensor:
        """(1, P, C) → (B, 1, C), the first token of every row."""
        return paddle.gather(x.squeeze(0), self._first_indices).unsqueeze(1)

    def pad_to_heads(self, x: paddle.Tensor, heads: int) -> paddle.Tensor:
        """(1, P, h·d) → (B, h, T, d), zeros at padding."""
        return _PadToHeads.apply(x, self, heads)

    def unpad_from_heads(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, h, T, d) → (1, P, h·d)."""
        return _UnpadFromHeads.apply(x, self)


def unpad_input(mask: paddle.Tensor) -> Unpadding | None:
    """The layout without padding of a mask (B, T) on a CPU.

    None where something real follows padding, or a row has nothing real.
    """
    values = mask.numpy()
    if values.ndim != 2 or not values.size:
        return None
    lengths = (values != 0).sum(axis=1)
    is_real = np.arange(values.shape[1]) < lengths[:, None]
    return Unpadding(mask, lengths) if lengths.all() and np.array_equal(values, is_real) else None


class _PadToHeads(PyLayer):
    """Its gradient is the way back."""

    @staticmethod
    def forward(ctx, x, unpadding, heads):  # type: ignore[no-untyped-def]
        ctx.unpadding = unpadding
        return _pad_to_heads(x, unpadding, heads)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return _unpad_from_heads(grad, ctx.unpadding)


class _UnpadFromHeads(PyLayer):
    """Its gradient is the way back."""

    @staticmethod
    def forward(ctx, x, unpadding):  # type: ignore[no-untyped-def]
        ctx.unpadding, ctx.heads = unpadding, x.shape[1]
        return _unpad_from_heads(x, unpadding)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return _pad_to_heads(grad, ctx.unpadding, ctx.heads)


def _pad_to_heads(x: paddle.Tensor, unpadding: Unpadding, heads: int) -> paddle.Tensor:
    """(1, P, h·d) → (B, h, T, d): row b's tokens are starts[b] to starts[b + 1]; zeros at padding."""
    rows, length, depth = unpadding.rows, unpadding.length, unpadding.checked(x).shape[-1] // heads
    out = paddle.empty([rows, heads, length, depth], dtype=x.dtype)
    kernels.call("pad_to_heads", x, unpadding.starts, out, x.shape[1], rows, heads, length, depth)
    return out


def _unpad_from_heads(x: paddle.Tensor, unpadding: Unpadding) -> paddle.Tensor:
    """(B, h, T, d) → (1, P, h·d): what is at padding is left out."""
    rows, heads, length, depth = x.shape
    if (rows, length) != (unpadding.rows, unpadding.length):
        raise ValueError(
            f"expected {unpadding.rows} rows of {unpadding.length} tokens, found shape {list(x.shape)}"
        )
    tokens = int(unpadding.starts[-1])
    out = paddle.empty([1, tokens, heads * depth], dtype=x.dtype)
    kernels.call("unpad_from_heads", x, unpadding.starts, out, tokens, rows, heads, length, depth)
    return out
