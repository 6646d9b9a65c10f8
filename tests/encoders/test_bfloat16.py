"""Products in bfloat16 against float64, and when there are none."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from encoders.cpu import kernels, onednn
from encoders.cpu.bfloat16 import Bfloat16
from encoders.cpu.onednn import Matrix, batch, matrix, pack, product, row
from encoders.framework import paddle
from tests.encoders.bfloat16_values import ROUNDING, needs_bfloat16, normal, rounded, widened


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
