"""Odd shapes and types: with the compiled functions everything is taken, and refused, as without."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoints.network import load_classifier
from encoders import family_ops, ops
from encoders.cpu import dropout_masks, kernels
from encoders.cpu.unpadding import Unpadding, unpad_input
from encoders.framework import paddle
from tests.encoders.outcomes import (
    add_norm,
    assert_same,
    attention,
    depthwise,
    linear_of,
    mask_of,
    narrow_bias,
    span,
    tensor,
)  # fmt: skip

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler here, or none that fits")


@pytest.fixture(autouse=True)
def known_masks() -> Iterator[None]:
    before = dropout_masks.state()
    yield
    dropout_masks.set_state(before)


Function = Callable[..., paddle.Tensor]
Shape = tuple[int, ...]
CASES: list[tuple[Function, list[Shape]]] = [
    *((depthwise, [(2, 7, 6), w]) for w in [(3, 6), (3, 5), (3, 7), (3, 1), (6, 3), (18,)]),
    *((depthwise, [(2, 7, 6), (size, 6)]) for size in (0, 1, 2, 4, 8, 15)),
    *((depthwise, [x, (3, 6)])
      for x in [(7, 6), (6,), (2, 0, 6), (0, 7, 6), (1, 2, 7, 6), (2, 7, 0)]),
    (span, [(2, 7, 4), (2, 7, 3, 5), (2, 7, 5)]),
    *((span, [(2, 7, 4), scores, (2, 7, 5)])
      for scores in [(2, 7, 3, 4), (2, 7, 4, 3), (2, 6, 3, 5), (1, 7, 3, 5)]),
    *((span, [other, (2, 7, 3, 5), (2, 7, 5)]) for other in [(2, 6, 4), (1, 7, 4), (7, 4), (2, 7, 0)]),
    *((span, [(2, 7, 4), (2, 7, 3, 5), x]) for x in [(2, 8, 5), (1, 7, 5), (2, 7, 6), (7, 5), (14, 5)]),
    *((ops.linear_times, [(2, 7, 6), (6, 8), bias, query])
      for bias in [(8,), (1,), (7,), (9,), (2, 4)]
      for query in [(2, 7, 8), (1, 7, 8), (7, 8), (2, 7, 1), (2, 8, 7)]),
    *((add_norm, [x, y])
      for x in [(2, 7, 8), (1, 7, 8), (7, 8), (8,), (2, 7, 9), (3, 7, 8), (2, 7, 1)]
      for y in [(2, 7, 6), (1, 7, 6), (7, 6), (2, 7, 5)]),
    *((narrow_bias, [x]) for x in [(2, 7, 6), (6,)]),
    *((attention, [(2, 3, 7, 4), key])
      for key in [(2, 3, 7, 4), (2, 3, 5, 4), (1, 3, 7, 4), (2, 1, 7, 4), (3, 7, 4)]),
    *((attention, [(8, 3, 7, 4), (8, 3, 7, 4), mask])
      for mask in [(8, 7), (1, 7), (8, 6), (8, 8), (7, 8), (8, 1), (7,), (8, 7, 1), (56,), (0, 7), (16, 7)]),
    *((attention, [(1, 3, 7, 4), (1, 3, 7, 4), mask]) for mask in [(8, 7), (1, 7), (1, 64)]),
    *((family_ops.add_distance_scores, [(2, 3, 7, 7), to_key, (2, 3, 7, 14)])
      for to_key in [(2, 3, 7, 14), (2, 3, 7, 13), (1, 3, 7, 14), (2, 3, 7, 15), (3, 2, 7, 14), (3, 7, 14)]),
    *((family_ops.rotate, [(2, 3, 7, 4), turn, turn])
      for turn in [(7, 4), (1, 4), (4,), (7, 1), (6, 4), (7, 2), (3, 7, 4)]),
    *((ops.linear, [x, (6, 8), bias])
      for x in [(2, 7, 6), (6,), (2, 7, 5)] for bias in [(8,), (1,), (7,), (9,), (1, 8)]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "shapes"), CASES)
def test_shapes(function: Function, shapes: list[Shape], monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same(monkeypatch, function, *(tensor(*shape, seed=seed) for seed, shape in enumerate(shapes)))


# Sizes → the shapes that go together.
FITTING: list[tuple[Function, Callable[..., list[Shape]]]] = [
    (depthwise, lambda b, t, c, k: [(b, t, c), (k, c)]),
    (span, lambda b, t, a, k: [(b, t, a), (b, t, 3, k), (b, t, 5)]),
    (ops.linear_times, lambda b, t, c, k: [(b, t, c), (c, k), (k,), (b, t, k)]),
    (add_norm, lambda b, t, _c, _k: [(b, t, 8), (b, t, 6)]),
    (attention, lambda b, t, s, d: [(b, 3, t, d), (b, 3, s, d), (b, s)]),
    (ops.linear, lambda b, t, c, k: [(b, t, c), (c, k), (k,)]),
]


@given(
    st.sampled_from(FITTING),
    st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 80), st.integers(1, 80)),
    st.integers(0, 3),
    st.lists(st.integers(1, 9), max_size=4),
    st.booleans(),
)
def test_any_shapes(
    case: tuple[Function, Callable[..., list[Shape]]],
    sizes: tuple[int, int, int, int],
    which: int,
    other: list[int],
    is_changed: bool,
) -> None:
    """Those that go together, and with one of them exchanged."""
    function, shapes_of = case
    shapes = shapes_of(*sizes)
    if is_changed:
        shapes[which % len(shapes)] = tuple(other)
    with pytest.MonkeyPatch.context() as patch:
        assert_same(patch, function, *(tensor(*shape, seed=seed) for seed, shape in enumerate(shapes)))


# ids, token types and mask of a network
NETWORK_CASES = [
    ((8, 12), (8, 12), (1, 12)),
    ((8, 12), (8, 12), (12, 8)),
    ((8, 12), (8, 12), (8, 11)),
    ((8, 12), (8, 12), (8, 13)),
    ((4, 10), (4, 10), (4, 6)),
    ((4, 10), (4, 10), (5, 10)),
    ((4, 10), (4, 10), (2, 20)),
    ((4, 10), (4, 10), (4, 10, 1)),
    ((4, 10), (4, 10), (40,)),
    ((4, 10), (4, 10), (4, 1)),
    ((1, 10), (1, 10), (4, 10)),
    ((4, 10), (1, 10), (4, 10)),
    ((4, 10), (4, 1), (4, 10)),
    ((4, 10), (10,), (4, 10)),
    ((4, 10), (4, 9), (4, 10)),
    ((4, 10), (10, 4), (4, 10)),
    ((10,), (10,), (10,)),
    ((2, 600), (2, 600), (2, 600)),
    ((0, 10), (0, 10), (0, 10)),
    ((4, 0), (4, 0), (4, 0)),
    ((4, 10), (4, 10), (4, 10)),
]


@pytest.fixture(scope="module")
def model(golden_dir: Path) -> paddle.nn.Layer:
    network = load_classifier(golden_dir / "convbert_small")
    network.eval()
    return network


@pytest.mark.parametrize(
    ("ids", "types", "mask", "holes"),
    [
        *((*shapes, holes) for shapes in NETWORK_CASES for holes in ("tail", "hole")),
        *(((4, 10), (4, 10), (4, 10), holes) for holes in ("none", "half", "int64")),
    ],
)
def test_inputs_of_a_network(
    ids: tuple[int, ...], types: tuple[int, ...], mask: tuple[int, ...], holes: str,
    model: paddle.nn.Layer, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    draw = np.random.default_rng(1)
    parts = (
        paddle.to_tensor(draw.integers(1, 20, size=ids)),
        paddle.to_tensor(draw.integers(0, 2, size=types)),
        mask_of(mask, holes),
    )
    # All scores of a row without any real token lie near -10000, where float32 is exact to 0.001 only.
    rows = slice(1, None) if holes == "none" else slice(None)
    outputs = assert_same(monkeypatch, lambda *each: model(*each)[rows], *parts)
    if mask != ids:
        assert outputs == "ValueError"
    if holes == "none":
        assert np.isfinite(model(*parts).numpy()).all()


def test_a_mask_of_another_shape_is_named(model: paddle.nn.Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = paddle.ones([8, 12], dtype="int64")
    mask = mask_of((1, 12), "tail")
    for library in (kernels.library(), None):
        monkeypatch.setattr(kernels, "library", lambda library=library: library)
        with pytest.raises(ValueError, match=re.escape("[8, 12]") + ".*" + re.escape("[1, 12]")):
            model(ids, paddle.zeros_like(ids), mask)


def unpadding() -> Unpadding:
    layout = unpad_input(paddle.to_tensor(np.array([[1, 1, 1, 0], [1, 0, 0, 0]], dtype="float32")))
    assert layout is not None
    return layout


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: ops.depthwise_convolution(tensor(1, 5, 6), tensor(3, 6), unpadding()),
        lambda: ops.depthwise_convolution(tensor(1, 3, 6), tensor(3, 6), unpadding()),
        lambda: ops.depthwise_convolution(tensor(2, 2, 6), tensor(3, 6), unpadding()),
        lambda: ops.depthwise_convolution(tensor(4, 6), tensor(3, 6), unpadding()),
        lambda: ops.depthwise_convolution(tensor(1, 4, 6, kind="float64"), tensor(3, 6), unpadding()),
        lambda: unpadded_span(tensor(1, 5, 4), tensor(1, 4, 3, 5), tensor(1, 4, 5)),
        lambda: unpadded_span(tensor(1, 4, 4), tensor(1, 5, 3, 5), tensor(1, 4, 5)),
        lambda: unpadded_span(tensor(1, 4, 4), tensor(1, 4, 4, 5), tensor(1, 4, 5)),  # 6 columns, 4 heads
        lambda: unpadded_span(tensor(1, 4, 4), tensor(1, 4, 3, 4), tensor(1, 4, 5)),
        lambda: unpadding().pad_to_heads(tensor(1, 5, 6), 2),
        lambda: unpadding().pad_to_heads(tensor(1, 4, 6), 4),
        lambda: unpadding().pad_to_heads(tensor(1, 4, 6, kind="float64"), 2),
        lambda: unpadding().unpad_from_heads(tensor(3, 2, 4, 3)),
        lambda: unpadding().unpad_from_heads(tensor(2, 2, 3, 3)),
        lambda: Unpadding(paddle.ones([2, 4]), np.array([3, 5])),
        lambda: Unpadding(paddle.ones([2, 4]), np.array([3, 0])),
        lambda: Unpadding(paddle.ones([2, 4]), np.array([3])),
    ],
)
def test_an_unpadding_refuses_tensors_of_another_batch(misuse: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        misuse()


def unpadded_span(*parts: paddle.Tensor) -> paddle.Tensor:
    return ops.append_span_convolution(*parts, linear_of(5, 6), unpadding())


@pytest.mark.parametrize(
    ("name", "arguments", "wrong"),
    [
        ("gelu", (tensor(4, 3), tensor(3), tensor(4, 3), 4, 4), "x"),
        ("gelu", (tensor(4, 3), tensor(3), tensor(4, 2), 4, 3), "y"),
        ("gelu", (tensor(4, 3, kind="float64"), tensor(3), tensor(4, 3), 4, 3), "x"),
        ("gelu", (None, tensor(3), tensor(4, 3), 4, 3), "x"),
        ("gelu", ([[1.0]], tensor(1), tensor(1, 1), 1, 1), "x"),
        ("gelu", (np.ones((3, 4), dtype=np.float32).T, tensor(3), tensor(4, 3), 4, 3), "x"),
        ("squares", (tensor(4), np.zeros(1, dtype=np.float32), 4), "total"),
        ("pad_to_heads", (tensor(4, 2), np.zeros(2, dtype=np.int32), tensor(4, 2), 4, 1, 1, 4, 2), "starts"),
        ("pad_to_heads", (tensor(4, 2), np.zeros(3, dtype=np.int64), tensor(4, 2), 4, 1, 1, 4, 2), "starts"),
    ],
)
def test_arrays_are_checked_before_c_sees_them(name: str, arguments: tuple[object, ...], wrong: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: {wrong}: expected"):
        kernels.call(name, *arguments)


def test_what_stands_in_bounds_leads_nowhere() -> None:
    """Numbers that Unpadding never writes: nothing outside is read, and it comes to an end."""
    far = np.array([-5, 10**12, 3, -(10**12)], dtype=np.int64)
    bounds = np.stack([far, far[::-1]], axis=1).copy()
    x, weight, out = tensor(4, 2), tensor(3, 2), tensor(4, 2)
    kernels.call("depthwise", x, weight, bounds, out, False, 1, 4, 2, 3)
    kernels.call("depthwise_weight_gradient", x, x, bounds, weight, 1, 4, 2, 3)
    for starts in ([0, 10**12], [-3, 4], [3, 0], [0, 5]):
        kernels.call("pad_to_heads", x, np.array(starts), tensor(1, 1, 6, 2), 4, 1, 1, 6, 2)
        kernels.call("unpad_from_heads", tensor(1, 1, 4, 2), np.array(starts), x, 4, 1, 1, 4, 2)
