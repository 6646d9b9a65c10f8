"""Layers and networks in bfloat16 against the same in float64."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pytest

from encoders import ops
from encoders.attention import Attention
from encoders.config import EncoderConfig
from encoders.convbert import MixedAttention
from encoders.cpu import bfloat16, dropout_masks
from encoders.cpu.bfloat16 import Bfloat16
from encoders.cpu.unpadding import unpad_input
from encoders.encoder import FAMILIES
from encoders.feed_forward import FeedForward
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.layers import Linear
from encoders.padding import Padding
from tests.encoders.bfloat16_values import ROUNDING, needs_bfloat16, normal

Forward = Callable[[paddle.nn.Layer, paddle.Tensor], paddle.Tensor]
# A chain of a layer's roundings, which are independent: a few of them together.
LAYER = 6 * ROUNDING


@pytest.fixture(autouse=True)
def known_masks() -> Iterator[None]:
    before = dropout_masks.state()
    yield
    dropout_masks.set_state(before)


def config(**changes: object) -> EncoderConfig:
    sizes = {"hidden_size": 40, "num_attention_heads": 4, "intermediate_size": 56, "conv_kernel_size": 5}
    return EncoderConfig(**{**sizes, "embedding_size": 40, **changes})  # type: ignore[arg-type]


def outcome(
    layer: paddle.nn.Layer, x: np.ndarray, forward: Forward, kind: str, within: AbstractContextManager[None]
) -> dict[str, np.ndarray]:
    """The values, and the gradients of the input and of all parameters."""
    dropout_masks.seed(7)
    layer.to(dtype=kind)
    given = paddle.to_tensor(x.astype(kind), stop_gradient=False)
    with within:
        out = forward(layer, given)
    weights = np.cos(np.arange(out.size)).reshape(out.shape).astype(kind)
    (out * paddle.to_tensor(weights)).sum().backward()
    results = {"out": out.numpy(), "x": given.grad.numpy()}
    for name, parameter in layer.named_parameters():
        results[name] = parameter.grad.numpy()
        parameter.clear_gradient(set_to_zero=False)
    layer.to(dtype="float32")
    return results


def seeded(layer: paddle.nn.Layer) -> paddle.nn.Layer:
    for number, parameter in enumerate(layer.parameters()):
        noise = 0.1 * normal(*parameter.shape, seed=number)
        parameter.set_value((noise + (parameter.ndim == 1)).astype(np.float32) * 0.7)
    return layer


def assert_close(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, wanted in expected.items():
        # Sums that cancel; the gradient of a key's is 0 but for rounding, as no softmax sees it.
        cancels = name in ("query.bias", "key.bias")
        size = np.linalg.norm(expected["query.weight" if cancels else name])
        assert np.linalg.norm(actual[name] - wanted) <= LAYER * size, name


ATTENTIONS = {"convbert": MixedAttention, "bert": Attention}


@needs_bfloat16
@pytest.mark.parametrize("family", ATTENTIONS)
@pytest.mark.parametrize(("rows", "length"), [(1, 1), (3, 7), (2, 33)])
@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_attention(family: str, rows: int, length: int, first_only: bool, rate: float) -> None:
    changes = {"hidden_dropout_prob": rate, "attention_probs_dropout_prob": rate}
    layer = seeded(ATTENTIONS[family](config(model_type=family, **changes)))

    def forward(layer: paddle.nn.Layer, x: paddle.Tensor) -> paddle.Tensor:
        return ops.attention(layer, x, Padding(None), first_only)

    x = normal(rows, length, 40)
    expected = outcome(layer, x, forward, "float64", nullcontext())
    actual = outcome(layer, x, forward, "float32", Bfloat16(trains=True).in_force())
    assert_close(actual, expected)
    assert not np.array_equal(actual["out"], expected["out"].astype(np.float32))


@needs_bfloat16
@pytest.mark.parametrize("family", ATTENTIONS)
@pytest.mark.parametrize("first_only", [False, True])
def test_attention_without_padding(family: str, first_only: bool) -> None:
    layer = seeded(ATTENTIONS[family](config(model_type=family)))
    layer.eval()
    mask = paddle.to_tensor((np.arange(9) < np.array([[9], [1], [6]])).astype(np.float32))
    unpadding = unpad_input(mask)
    assert unpadding is not None

    def unpadded(layer: paddle.nn.Layer, x: paddle.Tensor) -> paddle.Tensor:
        out = ops.attention(layer, unpadding.unpad(x), unpadding, first_only)
        return out if first_only else unpadding.pad(out)

    def padded(layer: paddle.nn.Layer, x: paddle.Tensor) -> paddle.Tensor:
        out = layer(x, Padding(mask.astype(x.dtype)), first_only)
        return out if first_only else out * mask.astype(x.dtype).unsqueeze(-1)

    x = normal(3, 9, 40) * mask.numpy()[:, :, None]
    actual = outcome(layer, x, unpadded, "float32", Bfloat16(trains=True).in_force())
    expected = outcome(layer, x, padded, "float64", nullcontext())
    expected["x"] *= mask.numpy()[:, :, None]
    assert_close(actual, expected)


@needs_bfloat16
@pytest.mark.parametrize(("rows", "length"), [(1, 1), (3, 7), (2, 33)])
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_feed_forward(rows: int, length: int, rate: float, groups: int) -> None:
    layer = seeded(FeedForward(config(hidden_dropout_prob=rate, num_groups=groups)))
    x = normal(rows, length, 40)
    expected = outcome(layer, x, ops.feed_forward, "float64", nullcontext())
    actual = outcome(layer, x, ops.feed_forward, "float32", Bfloat16(trains=True).in_force())
    assert_close(actual, expected)
    assert not np.array_equal(actual["out"], expected["out"].astype(np.float32))


@needs_bfloat16
@pytest.mark.parametrize("bias", [None, False])
def test_a_large_linear_layer_and_a_small_one(bias: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(layer: paddle.nn.Layer, x: paddle.Tensor) -> paddle.Tensor:
        return layer(x)

    layer, x = seeded(Linear(24, 70, bias_attr=bias)), normal(3, 11, 24)
    expected = outcome(layer, x, forward, "float64", nullcontext())
    small = outcome(layer, x, forward, "float32", Bfloat16(trains=True).in_force())
    np.testing.assert_allclose(small["out"], expected["out"], rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(ops, "LARGE", 33 * 24 * 70)
    actual = outcome(layer, x, forward, "float32", Bfloat16(trains=True).in_force())
    assert_close(actual, expected)
    assert np.abs(actual["out"] - expected["out"]).max() > 1e-4


@needs_bfloat16
def test_empty_batches_and_other_activations_take_the_plain_way() -> None:
    with Bfloat16(trains=True).in_force():
        empty = paddle.zeros([0, 7, 40])
        with pytest.raises(ValueError, match="Reshape"):  # Paddle's own answer
            ops.feed_forward(FeedForward(config()), empty)
        with pytest.raises(ValueError, match="Reshape"):
            ops.attention(Attention(config(model_type="bert")), empty, Padding(None))
        layer = seeded(FeedForward(config(hidden_act="relu")))
        layer.eval()
        x = paddle.to_tensor(normal(2, 3, 40).astype(np.float32))
        np.testing.assert_array_equal(ops.feed_forward(layer, x).numpy(), layer(x).numpy())


WITHOUT = ("modernbert",)  # only its large linear layers have a form in bfloat16


@needs_bfloat16
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("is_padded", [False, True])
def test_every_family_computes_with_it(family: str, is_padded: bool) -> None:
    paddle.seed(3)
    sizes = {"vocab_size": 99, "num_hidden_layers": 2, "initializer_range": 0.3, "id2label": {0: "a", 1: "b"}}
    network = SentenceClassifier(config(model_type=family, **sizes))
    network.eval()
    ids = paddle.to_tensor(np.random.default_rng(0).integers(5, 99, size=(4, 9)))
    mask = paddle.to_tensor((np.arange(9) < np.array([[9], [4], [1], [7]])).astype(np.float32))
    arguments = ids * mask.astype("int64"), paddle.zeros_like(ids), mask if is_padded else None
    with paddle.no_grad():
        expected = network(*arguments).numpy()
        with Bfloat16(trains=False).in_force():
            actual = network(*arguments).numpy()
    assert np.linalg.norm(actual - expected) <= 2 * LAYER * np.linalg.norm(expected)
    assert np.array_equal(actual, expected) is (family in WITHOUT)


@needs_bfloat16
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_spreads_as_in_float32(value: float) -> None:
    attention, feed_forward = seeded(MixedAttention(config())), seeded(FeedForward(config()))
    attention.eval(), feed_forward.eval()
    x = normal(3, 12, 40).astype(np.float32)
    x[1, 4, 7] = value

    def run() -> np.ndarray:
        out = ops.feed_forward(feed_forward, ops.attention(attention, paddle.to_tensor(x), Padding(None)))
        return np.isfinite(out.numpy())

    with paddle.no_grad(), Bfloat16(trains=False).in_force():
        finite = run()
    np.testing.assert_array_equal(finite, run())
    assert finite[[0, 2]].all()
    assert not finite[1].any()


@needs_bfloat16
def test_a_row_is_the_same_in_any_batch() -> None:
    layer = seeded(MixedAttention(config()))
    layer.eval()
    x = normal(40, 21, 40).astype(np.float32)
    with paddle.no_grad(), Bfloat16(trains=False).in_force():
        together = ops.attention(layer, paddle.to_tensor(x), Padding(None)).numpy()
        for row in (0, 17, 39):
            alone = ops.attention(layer, paddle.to_tensor(x[row : row + 1]), Padding(None)).numpy()[0]
            assert np.linalg.norm(alone - together[row]) <= LAYER * np.linalg.norm(alone)


@needs_bfloat16
def test_changed_weights_are_noticed_when_they_are_forgotten() -> None:
    layer = seeded(FeedForward(config()))
    layer.eval()
    x, chosen = paddle.to_tensor(normal(2, 3, 40).astype(np.float32)), Bfloat16(trains=False)
    with paddle.no_grad(), chosen.in_force():
        before = ops.feed_forward(layer, x).numpy()
        layer.outer.weight.set_value(layer.outer.weight * 2)
        np.testing.assert_array_equal(ops.feed_forward(layer, x).numpy(), before)
        chosen.forget()
        assert not np.array_equal(ops.feed_forward(layer, x).numpy(), before)
    assert bfloat16.current() is None
