"""Scores by distance, rotations and gates: definitions in float64, and compiled functions against them."""

import math

import numpy as np
import pytest

from encoders import family_ops
from encoders.framework import paddle
from tests.encoders.test_kernels import assert_equal, needs_compiler, value_and_gradients


@needs_compiler
@pytest.mark.parametrize("length", [1, 2, 7, 70])
@pytest.mark.parametrize("kinds", ["key query", "key", "query", ""])
def test_scores_by_distance(length: int, kinds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the definition, number by number."""
    draw = np.random.default_rng(6)
    scores = draw.normal(size=(2, 3, length, length))
    parts = [draw.normal(size=(2, 3, length, 2 * length)) for _ in kinds.split()]

    def run(scores: paddle.Tensor, *given: paddle.Tensor) -> paddle.Tensor:
        named = dict(zip(kinds.split(), given, strict=True))
        return family_ops.add_distance_scores(scores, named.get("key"), named.get("query"))

    plain = value_and_gradients(run, "float64", scores, *parts)
    wanted, named = scores.copy(), dict(zip(kinds.split(), parts, strict=True))
    for i, j in np.ndindex(length, length):
        wanted[..., i, j] += named["key"][..., i, length - 1 - i + j] if "key" in named else 0
        wanted[..., i, j] += named["query"][..., j, length - 1 - j + i] if "query" in named else 0
    np.testing.assert_allclose(plain[0], wanted, rtol=1e-12)
    monkeypatch.setattr(family_ops, "_by_distance", None)
    assert_equal(value_and_gradients(run, "float32", scores, *parts), plain)


@needs_compiler
@pytest.mark.parametrize("length", [1, 9])
def test_rotations(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    angles = np.tile(np.random.default_rng(8).uniform(-9, 9, size=(length, 6)), 2)
    x = np.random.default_rng(7).normal(size=(2, 3, length, 12))

    def run(x: paddle.Tensor) -> paddle.Tensor:
        cos, sin = (paddle.to_tensor(f(angles).astype(np.float32)) for f in (np.cos, np.sin))
        return family_ops.rotate(x, cos, sin)

    plain = value_and_gradients(run, "float64", x)
    pairs = (x[..., :6] + 1j * x[..., 6:]) * np.exp(1j * angles[:, :6])  # a rotation of the plane
    np.testing.assert_allclose(plain[0], np.concatenate([pairs.real, pairs.imag], -1), rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(paddle, "concat", None)
    assert_equal(value_and_gradients(run, "float32", x), plain)


@needs_compiler
@pytest.mark.parametrize("shape", [(1, 1, 2), (3, 7, 70)])
def test_gates(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(9).normal(size=shape) * 3

    def run(x: paddle.Tensor) -> paddle.Tensor:
        return family_ops.gated(x, paddle.nn.functional.gelu)

    plain = value_and_gradients(run, "float64", x)
    first, second = np.split(x, 2, axis=-1)
    erf = np.vectorize(math.erf)(first / math.sqrt(2))
    np.testing.assert_allclose(plain[0], 0.5 * first * (1 + erf) * second, rtol=1e-9, atol=1e-12)
    monkeypatch.setattr(paddle.Tensor, "split", None)
    assert_equal(value_and_gradients(run, "float32", x), plain)
