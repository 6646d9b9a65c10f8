"""How the rows of a batch lie in the tensors of a network: with their padding, as they are given.

``encoders.cpu.unpadding.Unpadding`` lays them out without it. The networks call the methods of either and
need not know which; their comments give the shapes of this one.

B rows, T tokens, h heads of d columns.
"""

from encoders.framework import paddle


class Padding:
    """The layout that keeps the padding.

    Args:
        mask: (B, T) float, 1 at real tokens and 0 at padding; None where nothing is padded.
    """

    def __init__(self, mask: paddle.Tensor | None) -> None:
        self.mask = mask

    def unpad(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, T, C) → this layout."""
        return x

    def unpad_ids(self, ids: paddle.Tensor) -> paddle.Tensor:
        """(B, T), or what broadcasts to that → this layout."""
        return ids

    def position_rows(self, position: paddle.nn.Embedding, length: int) -> paddle.Tensor:
        """The position embeddings of all tokens, counted from 0: (T, C), which broadcasts to (B, T, C)."""
        return position.weight[:length]

    def pad(self, x: paddle.Tensor) -> paddle.Tensor:
        """This layout → (B, T, C)."""
        return x

    def first_token(self, x: paddle.Tensor) -> paddle.Tensor:
        """This layout → (B, 1, C), the first token of every row."""
        return x[:, :1]

    def pad_to_heads(self, x: paddle.Tensor, heads: int) -> paddle.Tensor:
        """This layout, (B, T, h·d) → (B, h, T, d)."""
        return x.reshape([x.shape[0], x.shape[1], heads, -1]).transpose([0, 2, 1, 3])

    def unpad_from_heads(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, h, T, d) → this layout, (B, T, h·d)."""
        x = x.transpose([0, 2, 1, 3])
        return x.reshape([x.shape[0], x.shape[1], -1])
