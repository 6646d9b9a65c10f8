"""Scores by distance, rotations and gates: operations of DeBERTa and ModernBERT, each in its fastest form, as
those of ``encoders.ops``.

B rows, T tokens, h heads of d columns, C columns.
"""

from collections.abc import Callable

from encoders.cpu import compiled, kernels
from encoders.framework import paddle

F = paddle.nn.functional


def add_distance_scores(
    scores: paddle.Tensor, to_key: paddle.Tensor | None, to_query: paddle.Tensor | None
) -> paddle.Tensor:
    """scores[…, i, j] + to_key[…, i, T − 1 − i + j] + to_query[…, j, T − 1 − j + i].

    Args:
        scores: (B, h, T, T)
        to_key: (B, h, T, 2T), what each query gives to the keys T − 1, T − 2, … tokens back; None: nothing.
        to_query: (B, h, T, 2T), what each key gives to the queries; None: nothing.

    Returns:
        (B, h, T, T)
    """
    given = [part for part in (to_key, to_query) if part is not None]
    wide = [*scores.shape[:-1], 2 * scores.shape[-1]]
    if kernels.usable(scores, *given) and scores.size and all(part.shape == wide for part in given):
        return compiled.DistanceScores.apply(scores, to_key, to_query)
    if to_key is not None:
        scores = scores + _by_distance(to_key, scores)
    if to_query is not None:
        scores = scores + _by_distance(to_query, scores).transpose([0, 1, 3, 2])
    return scores


def _by_distance(x: paddle.Tensor, like: paddle.Tensor) -> paddle.Tensor:
    """x[…, i, T − 1 − i + j]: (B, h, T, 2T) → (B, h, T, T).

    Read as rows of 2T − 1 numbers, each row begins one column further left than the one above it. Sizes are
    those of ``like``, since in a graph Paddle takes x for one row's.
    """
    batch, heads, length = like.shape[0], like.shape[1], like.shape[2]
    flat = x.reshape([batch, heads, -1])[:, :, length - 1 : length - 1 + length * (2 * length - 1)]
    return flat.reshape([batch, heads, length, 2 * length - 1])[:, :, :, :length]


def rotate(x: paddle.Tensor, cos: paddle.Tensor, sin: paddle.Tensor) -> paddle.Tensor:
    """x · cos + [−x₂; x₁] · sin, where x₁ and x₂ are the halves of the columns.

    Args:
        x: (B, h, T, d)
        cos, sin: (T, d), whose halves are alike

    Returns:
        (B, h, T, d)
    """
    fits = kernels.usable(x) and kernels.is_mask(cos) and kernels.is_mask(sin)
    if fits and kernels.fits("B h T d, T d, T d", x, cos, sin):
        return compiled.Rotate.apply(x, cos, sin)
    first, second = x.split(2, axis=-1)
    turned = paddle.concat([-second, first], axis=-1)
    return x * cos.astype(x.dtype) + turned * sin.astype(x.dtype)


def gated(x: paddle.Tensor, activation: Callable[[paddle.Tensor], paddle.Tensor]) -> paddle.Tensor:
    """activation(a) · b, where a and b are the halves of x: (…, 2C) → (…, C)."""
    if activation is F.gelu and kernels.usable(x) and x.size and x.shape[-1] % 2 == 0:
        return compiled.GatedGelu.apply(x)
    values, gates = x.split(2, axis=-1)
    return activation(values) * gates
