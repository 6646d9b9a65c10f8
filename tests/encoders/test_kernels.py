"""The compiled functions against the plain formulations in float64, and when they are used at all."""

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from checkpoints.network import load_classifier
from encoders import ops
from encoders.convolution import depthwise_convolution, span_convolution
from encoders.cpu import autograd, compiled, dropout_masks, kernels
from encoders.cpu.unpadding import Unpadding, unpad_input
from encoders.framework import paddle
from encoders.layers import ACTIVATIONS, Dropout, Linear
from encoders.padding import Padding

F = paddle.nn.functional
UNPADDED = Padding(None)
needs_compiler = pytest.mark.skipif(kernels.library() is None, reason="no compiler here, or none that fits")


@pytest.fixture(autouse=True)
def known_masks() -> Iterator[None]:
    before = dropout_masks.state()
    yield
    dropout_masks.set_state(before)


def value_and_gradients(
    function: Callable[..., paddle.Tensor], kind: str, *arrays: np.ndarray
) -> list[np.ndarray]:
    """Of a weighted sum of the function's values; the same dropout masks at every call."""
    dropout_masks.seed(7)
    tensors = [paddle.to_tensor(array.astype(kind), stop_gradient=False) for array in arrays]
    out = function(*tensors)
    weights = np.cos(np.arange(out.size)).reshape(out.shape).astype(kind)
    (out * paddle.to_tensor(weights)).sum().backward()
    return [out.numpy(), *(tensor.grad.numpy() for tensor in tensors)]


def assert_equal(actual: list[np.ndarray], wanted: list[np.ndarray], names: str = "") -> None:
    """Within 1e-5 of the largest: which sums are rounded how depends on processor and compiler."""
    for number, (ours, theirs) in enumerate(zip(actual, wanted, strict=True)):
        limit = 1e-5 * max(1.0, np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=limit, err_msg=f"{names} {number}")


SHAPES = [(1, 9, 4), (4, 9, 32), (9, 9, 40), (23, 5, 72), (6, 1, 8), (70, 3, 2)]


# Of three rows: the share of the tokens that is real; None where nothing is padded.
REAL = [None, (1, 0.6, 0.2)]
Real = tuple[float, ...] | None


def mask_of(real: Real, length: int, kind: str = "float32") -> paddle.Tensor:
    """(3, T): rows of 1, then 0 at padding."""
    ends = np.maximum(1, np.array(real or (1, 1, 1)) * length)
    return paddle.to_tensor((np.arange(length) < ends[:, None]).astype(kind))


def zeroed(x: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
    return x * mask.unsqueeze(-1)


def unpadding_of(mask: paddle.Tensor) -> Unpadding:
    unpadding = unpad_input(mask)
    assert unpadding is not None
    return unpadding


def unpad(x: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
    """(3, T, …) → (1, P, …)."""
    return paddle.gather(x.flatten(0, 1), paddle.nonzero(mask.flatten()).flatten()).unsqueeze(0)


@needs_compiler
@pytest.mark.parametrize("real", REAL)
@pytest.mark.parametrize(("length", "kernel_size", "width"), SHAPES)
def test_depthwise(
    length: int, kernel_size: int, width: int, real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    arrays = draw.normal(size=(3, length, width)), draw.normal(size=(kernel_size, width))
    mask, exact = mask_of(real, length), mask_of(real, length, "float64")

    def fast(x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
        if real is None:
            return ops.depthwise_convolution(x, weight, UNPADDED)
        unpadding = unpadding_of(mask)
        return unpadding.pad(ops.depthwise_convolution(unpad(x, mask), weight, unpadding))

    monkeypatch.delattr(autograd, "ShiftedDepthwise")  # what would be taken otherwise
    assert_equal(
        value_and_gradients(fast, "float32", *arrays),
        value_and_gradients(
            lambda x, w: zeroed(depthwise_convolution(zeroed(x, exact), w), exact), "float64", *arrays
        ),
    )


@needs_compiler
@pytest.mark.parametrize("real", REAL)
@pytest.mark.parametrize(("length", "kernel_size", "width"), SHAPES)
def test_span(length: int, kernel_size: int, width: int, real: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    sizes = (7,), (2, kernel_size), (5,)  # of another result, scores, input
    arrays = [
        scale * draw.normal(size=(3, length, *size)) for scale, size in zip((1, 3, 1), sizes, strict=True)
    ]
    weight, bias = draw.normal(size=(5, 2 * width)), draw.normal(size=2 * width)

    def fast(linear: Linear, *parts: paddle.Tensor) -> paddle.Tensor:
        if real is None:
            return ops.append_span_convolution(*parts, linear, UNPADDED)
        mask = mask_of(real, length)
        unpadding = unpadding_of(mask)
        inputs = (unpad(part, mask) for part in parts)
        return unpadding.pad(ops.append_span_convolution(*inputs, linear, unpadding))

    def plain(
        linear: Linear, attended: paddle.Tensor, scores: paddle.Tensor, x: paddle.Tensor
    ) -> paddle.Tensor:
        mask = mask_of(real, length, "float64")
        mixed = span_convolution(F.softmax(scores, axis=-1), zeroed(linear(x), mask))
        return zeroed(paddle.concat([attended, mixed], axis=-1), mask)

    def run(kind: str, function: Callable[..., paddle.Tensor]) -> list[np.ndarray]:
        linear = linear_of(weight, bias, kind)
        actual = value_and_gradients(lambda *parts: function(linear, *parts), kind, *arrays)
        return [*actual, *(parameter.grad.numpy() for parameter in linear.parameters())]

    wanted = run("float64", plain)
    monkeypatch.delattr(autograd, "ShiftedSpan")
    assert_equal(run("float32", fast), wanted)


def linear_of(weight: np.ndarray, bias: np.ndarray, kind: str) -> Linear:
    linear = Linear(*weight.shape)
    linear.to(dtype=kind)
    linear.weight.set_value(weight.astype(kind))
    linear.bias.set_value(bias.astype(kind))
    return linear


@needs_compiler
def test_a_span_of_huge_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The softmax takes the largest away first: nothing overflows."""
    scores = paddle.to_tensor([[[[300.0, 300.0, -300.0]], [[-1e30, 5.0, 5.0]]]], stop_gradient=False)
    x = paddle.to_tensor([[[3.0], [7.0]]], stop_gradient=False)
    linear = linear_of(np.ones((1, 1)), np.ones(1), "float32")  # values 4 and 8
    monkeypatch.delattr(autograd, "ShiftedSpan")
    actual = ops.append_span_convolution(x, scores, x, linear, UNPADDED)
    np.testing.assert_allclose(actual.numpy(), [[[3.0, 2.0], [7.0, 4.0]]], rtol=1e-6)


@needs_compiler
@pytest.mark.parametrize("rows", [(1,), (3, 20), (7, 37)])
def test_linear(rows: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(10)
    arrays = [draw.normal(size=size) for size in ((*rows, 6), (6, 40), (40,))]
    plain = value_and_gradients(lambda x, w, b: x @ w + b, "float64", *arrays)
    monkeypatch.setattr(F, "linear", None)  # the plain form's
    assert_equal(value_and_gradients(ops.linear, "float32", *arrays), plain)
    with paddle.no_grad():
        alone = ops.linear(*(paddle.to_tensor(array.astype("float32")) for array in arrays))
    assert_equal([alone.numpy()], plain[:1])


@needs_compiler
@pytest.mark.parametrize("rows", [(1, 1), (3, 20), (7, 37)])
def test_linear_times(rows: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(9)
    sizes = (*rows, 6), (6, 40), (40,), (*rows, 40)
    arrays = [draw.normal(size=size) for size in sizes]
    plain = value_and_gradients(lambda x, w, b, q: (x @ w + b) * q, "float64", *arrays)
    monkeypatch.setattr(ops, "linear", None)  # the plain form's
    assert_equal(value_and_gradients(ops.linear_times, "float32", *arrays), plain)


def layers(kind: str, rate: float) -> tuple[Linear, paddle.nn.LayerNorm, Dropout]:
    """With random parameters, the same for every kind of number."""
    draw = np.random.default_rng(2)
    linear, norm = Linear(6, 40), paddle.nn.LayerNorm(40, epsilon=1e-6)
    for layer in (linear, norm):
        layer.to(dtype=kind)
        for parameter in layer.parameters():
            parameter.set_value(draw.normal(size=parameter.shape).astype(kind))
    return linear, norm, Dropout(rate)


@needs_compiler
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("rows", [(2, 5), (1, 1), (3, 20)])
def test_add_norm(rate: float, rows: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(3)
    arrays = draw.normal(size=(*rows, 40)), draw.normal(size=(*rows, 6))

    def run(kind: str) -> list[np.ndarray]:
        linear, norm, drop = layers(kind, rate)
        actual = value_and_gradients(lambda x, y: ops.add_norm(x, y, linear, drop, norm), kind, *arrays)
        return [*actual, *(p.grad.numpy() for p in (*linear.parameters(), *norm.parameters()))]

    plain = run("float64")
    monkeypatch.setattr(Dropout, "forward", None)  # the plain form's
    assert_equal(run("float32"), plain)


@needs_compiler
def test_gelu(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = (np.random.default_rng(4).normal(size=(4, 3, 6)) * 3,)

    def run(kind: str) -> list[np.ndarray]:
        linear = layers(kind, 0.0)[0]
        actual = value_and_gradients(
            lambda x: ops.linear_activation(x, linear, ACTIVATIONS["gelu"]), kind, *arrays
        )
        return [*actual, *(p.grad.numpy() for p in linear.parameters())]

    plain = run("float64")
    monkeypatch.setattr(Linear, "forward", None)
    assert_equal(run("float32"), plain)


@needs_compiler
def test_gelu_over_its_whole_range() -> None:
    """The error function's 5e-7 times half of what it multiplies, 5.66 the most: beyond it is exactly 1."""
    x = np.concatenate([np.linspace(-12, 12, 40_001), [-1e4, 1e4, 0.0]])[:, None]
    zero = np.zeros(1)

    actual = value_and_gradients(compiled.Gelu.apply, "float32", x, zero)[:2]
    wanted = value_and_gradients(lambda y, bias: F.gelu(y + bias), "float64", x, zero)[:2]
    for ours, theirs in zip(actual, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=2e-6)


@needs_compiler
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_weights(rate: float, padded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(5)
    arrays = draw.normal(size=(3, 2, 11, 8)) * 3, draw.normal(size=(3, 2, 11, 8))
    real = (np.arange(11) < np.array([[11], [1], [7]])).astype(np.float64)

    def run(kind: str) -> list[np.ndarray]:
        mask = paddle.to_tensor(real.astype(kind)) if padded else None
        return value_and_gradients(
            lambda q, k: ops.attention_weights(q, k, 0.35, mask, Dropout(rate)), kind, *arrays
        )

    plain = run("float64")
    monkeypatch.setattr(Dropout, "forward", None)
    assert_equal(run("float32"), plain)
    if padded:
        assert not run("float32")[0][1, :, :, 1:].any()  # of a row of one token


@needs_compiler
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ["convbert_small", "convbert_grouped", "convbert_ratio4", "bert", "ernie"])
def test_a_network_with_and_without(
    name: str, padded: bool, golden_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits and all gradients. Dropout's masks are the same only where no padding is left out."""
    rate = 0.0 if padded else 0.1
    model = load_classifier(golden_dir / name, hidden_dropout_prob=rate, attention_probs_dropout_prob=rate)
    model.train()
    golden = np.load(golden_dir / name / "outputs.npz")
    ids, types, mask = (
        paddle.to_tensor(golden[f"padded.{part}"].astype(kind))
        for part, kind in (("input_ids", "int64"), ("token_type_ids", "int64"), ("attention_mask", "float32"))
    )
    unpadded_masks = []
    monkeypatch.setattr(ops, "unpad_input", lambda mask: unpadded_masks.append(mask) or unpad_input(mask))

    def run() -> dict[str, np.ndarray]:
        dropout_masks.seed(5)
        model.clear_gradients()
        logits = model(ids, types, mask if padded else None)
        (logits * logits).sum().backward()
        return {"logits": logits.numpy(), **{k: p.grad.numpy() for k, p in model.named_parameters()}}

    actual = run()
    assert len(unpadded_masks) == padded
    monkeypatch.setattr(kernels, "library", lambda: None)
    for key, wanted in run().items():
        np.testing.assert_allclose(
            actual[key], wanted, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(wanted).max()), err_msg=key
        )
    assert len(unpadded_masks) == padded


def test_every_array_of_c_has_a_count() -> None:
    assert set(kernels._PROTOTYPES) == set(kernels._COUNTS)
    for name, parameters in kernels._PROTOTYPES.items():
        sizes = kernels._COUNTS[name].__code__.co_argcount
        assert all(parameter.c_type is ctypes.c_int64 for parameter in parameters[-sizes:]), name
        arrays = [parameter for parameter in parameters if parameter.dtype is not None]
        assert len(kernels._COUNTS[name](*range(sizes))) == len(arrays), name
    assert [parameter.name for parameter in kernels._PROTOTYPES["gelu"]] == ["x", "bias", "y", "N", "C"]
    assert [parameter.is_written for parameter in kernels._PROTOTYPES["gelu"]] == [
        False,
        False,
        True,
        False,
        False,
    ]


@needs_compiler
def test_what_they_do_not_take() -> None:
    single, double = paddle.ones([2]), paddle.ones([2], dtype="float64")
    assert kernels.usable(single)
    assert not kernels.usable(single, double)
    wanted = paddle.ones([2])
    wanted.stop_gradient = False
    assert not kernels.usable(single, wanted)  # one of them frozen
    with paddle.no_grad():
        assert kernels.usable(single, wanted)


@pytest.mark.parametrize("why", ["switched off", "no compiler", "a compiler that fails"])
def test_without_them(why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", str(tmp_path))
    setting = {
        "switched off": ("CONVBERT_KERNELS", "0"),
        "no compiler": ("CC", str(tmp_path / "none")),
        "a compiler that fails": ("CC", "false"),
    }[why]
    monkeypatch.setenv(*setting)
    assert kernels.library.__wrapped__() is None
    assert not list(tmp_path.rglob("*.so"))
