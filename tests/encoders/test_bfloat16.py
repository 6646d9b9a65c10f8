"""Products and layers in bfloat16 against float64, and when there are none."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from encoders import ops
from encoders.attention import Attention
from encoders.config import EncoderConfig
from encoders.convbert import MixedAttention
from encoders.cpu import bfloat16, dropout_masks, kernels, onednn
from encoders.cpu.bfloat16 import Bfloat16
from encoders.cpu.onednn import Matrix, batch, matrix, pack, product, row
from encoders.cpu.unpadding import unpad_input
from encoders.encoder import FAMILIES
from encoders.feed_forward import FeedForward
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.layers import Linear
from encoders.padding import Padding

FAULT = onednn.status().fault
needs_bfloat16 = pytest.mark.skipif(bool(FAULT), reason=FAULT or "here it can")
ROUNDING = 2.0**-8  # half of bfloat16's last digit, of 1
# A chain of a layer's roundings, which are independent: a few of them together.
LAYER = 6 * ROUNDING


@pytest.fixture(autouse=True)
def known_masks() -> Iterator[None]:
    before = dropout_masks.state()
    yield
    dropout_masks.set_state(before)


def rounded(array: np.ndarray) -> np.ndarray:
    return bfloat16.rounded(paddle.to_tensor(array.astype(np.float32)))[: len(array)].copy()


def widened(array: np.ndarray) -> np.ndarray:
    return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@needs_bfloat16
def test_rounding_is_to_the_nearest_even_and_keeps_what_is_no_number() -> None:
    values = np.array(
        [[1.0, 1 + ROUNDING, 1 + 3 * ROUNDING, -3.389e38, np.inf, -np.inf, np.nan, 1e-37, -0.0]]
    )
    expected = [1.0, 1.0, 1 + 4 * ROUNDING, -3.389e38, np.inf, -np.inf, np.nan, 1e-37, -0.0]
    np.testing.assert_allclose(widened(rounded(values))[0], expected, rtol=1e-2)
    assert np.signbit(widened(rounded(values))[0, -1])


SIZES = [(1, 1, 1), (1, 40, 18), (5, 33, 7), (32, 18, 256), (70, 256, 54), (129, 100, 130)]


@needs_bfloat16
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("transposed", ["", "a", "b", "ab"])
@pytest.mark.parametrize("is_float", [True, False])
def test_product(sizes: tuple[int, int, int], transposed: str, is_float: bool) -> None:
    rows, inner, columns = sizes
    a, b = rounded(normal(rows, inner)), rounded(normal(inner, columns, seed=1))
    expected = widened(a) @ widened(b)
    bias = paddle.to_tensor(normal(columns + 1, seed=2).astype(np.float32))
    left = matrix(a.T.copy()).transposed if "a" in transposed else matrix(a)
    right = matrix(b.T.copy()).transposed if "b" in transposed else matrix(b)
    limit = 1e-6 * (np.abs(widened(a)) @ np.abs(widened(b)) + 1)
    for second in (right, pack(right)):
        result = onednn.empty(rows, columns, np.float32 if is_float else np.uint16)
        product(left, second, matrix(result), row(bias, 1, columns))
        actual = result if is_float else widened(result)
        wanted = expected + bias.numpy()[1:]
        assert (np.abs(actual - wanted) <= limit + (0 if is_float else ROUNDING * np.abs(wanted))).all()
    if is_float:
        product(left, right, matrix(result), accumulate=True)
        assert (np.abs(result - wanted - expected) <= 2 * limit).all()


@needs_bfloat16
def test_product_of_columns_of_batches_and_with_gelu() -> None:
    a, b = rounded(normal(20, 48)), rounded(normal(16, 33, seed=1))
    result = onednn.empty(20, 33, np.float32)
    product(matrix(a, 24, 16), matrix(b), matrix(result), gelu=True)
    x = paddle.to_tensor(widened(a)[:, 24:40] @ widened(b))
    np.testing.assert_allclose(result, paddle.nn.functional.gelu(x).numpy(), atol=1e-5)

    queries, keys = (
        rounded(normal(60, 24)).reshape(6, 10, 24),
        rounded(normal(60, 24, seed=1)).reshape(6, 10, 24),
    )
    scores = np.empty((6, 10, 10), dtype=np.float32)
    product(batch(queries), batch(keys).transposed, batch(scores))
    expected = widened(queries) @ widened(keys).transpose(0, 2, 1)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@needs_bfloat16
def test_more_shapes_than_are_kept() -> None:
    a, b = rounded(normal(64, 64)), rounded(normal(64, 64, seed=1))
    for _ in range(2):
        for rows in range(1, 41):
            for columns in range(1, 33):
                result = onednn.empty(rows, columns, np.float32)
                product(Matrix(a, rows, 3, 0, 64), Matrix(b, 3, columns, 0, 64), matrix(result))
        np.testing.assert_allclose(result, widened(a)[:40, :3] @ widened(b)[:3, :32], atol=1e-5)


@needs_bfloat16
@pytest.mark.parametrize(
    ("left", "right", "into"), [((4, 5), (6, 3), (4, 3)), ((4, 5), (5, 3), (4, 4)), ((4, 5), (5, 3), (3, 3))]
)
def test_a_product_of_other_sizes_is_refused(
    left: tuple[int, int], right: tuple[int, int], into: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="product"):
        product(*(matrix(onednn.empty(*sizes)) for sizes in (left, right, into)))
    with pytest.raises(ValueError, match="product"):  # beyond the end of the array
        product(
            Matrix(onednn.empty(4, 5), 4, 5, 1, 5),
            *(matrix(onednn.empty(*each)) for each in ((5, 3), (4, 3))),
        )


def config(**changes: object) -> EncoderConfig:
    sizes = {"hidden_size": 40, "num_attention_heads": 4, "intermediate_size": 56, "conv_kernel_size": 5}
    return EncoderConfig(**{**sizes, "embedding_size": 40, **changes})  # type: ignore[arg-type]


Forward = Callable[[paddle.nn.Layer, paddle.Tensor], paddle.Tensor]


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


# ---- where there are none ----


def test_instructions() -> None:
    assert [onednn._instructions(isa) for isa in (0x27, 0xE7, 0x1EF, 0xFEF)] == [
        "",
        *2 * ["avx512_bf16"],
        "amx",
    ]


@pytest.fixture
def fresh_status() -> Iterator[Callable[[], onednn.Status]]:
    onednn.status.cache_clear()
    yield onednn.status
    onednn.status.cache_clear()


def test_no_compiled_functions(
    fresh_status: Callable[[], onednn.Status], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "library", lambda: None)
    assert "compiled" in fresh_status().fault
    with pytest.raises(InputError, match="bfloat16: nothing is compiled"):
        Bfloat16(trains=True)


@needs_bfloat16
def test_another_version(fresh_status: Callable[[], onednn.Status], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "_VERSIONS", ((2, 7),))
    assert "oneDNN 3.6" in fresh_status().fault


@needs_bfloat16
@pytest.mark.parametrize(
    ("library", "fault"), [("libiomp5.so", "lacks a function"), ("none.so", "without"), ("text.so", "opened")]
)
def test_another_library(
    library: str,
    fault: str,
    fresh_status: Callable[[], onednn.Status],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "text.so").write_text("no library", encoding="utf-8")
    folder = tmp_path if library == "text.so" else Path(paddle.__file__).with_name("libs")
    monkeypatch.setattr(onednn, "_library_path", lambda: folder / library)
    assert fault in fresh_status().fault


@needs_bfloat16
def test_nobody_has_to_look_first() -> None:
    code = """
import numpy as np
from encoders.cpu.bfloat16 import Bfloat16
from encoders.framework import paddle
with Bfloat16(trains=False).in_force():
    print(Bfloat16(trains=False).weights(paddle.ones([40, 40])).rows)
"""
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout == "40\n"


@pytest.mark.parametrize(
    ("name", "value"), [("ONEDNN_MAX_CPU_ISA", "AVX512_CORE"), ("CONVBERT_KERNELS", "0")]
)
def test_what_the_environment_forbids(name: str, value: str) -> None:
    code = "from encoders.cpu import onednn; print(onednn.status().fault)"
    environment = {**os.environ, name: value, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    output = subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", check=True
    ).stdout
    assert len(output.strip().splitlines()) == 1
