"""The bits of what the compiled functions write do not depend on the number of threads."""

import ctypes
import hashlib
from pathlib import Path

import numpy as np
import pytest

from encoders.cpu import kernels
from encoders.framework import paddle

needs_compiler = pytest.mark.skipif(kernels.library() is None, reason="no compiler here, or none that fits")
NUMBERS = {
    "threshold": 6554, "scale": 0.3, "epsilon": 1e-6, "flip": 0, "rate": 0.1, "beta1": 0.9,
    "beta2": 0.999, "decay": 0.01, "from": 3, "from_column": 96, "transposed": 1,
    "turned": 1, "sign": -1.0,
}  # fmt: skip


def digest_of_all_functions() -> str:
    """Of what each writes, from the same random numbers; no product of Paddle's is among them."""
    draw = np.random.default_rng(0)
    rows, length, heads, depth, kernel_size, attended, real = 3, 37, 3, 32, 9, 64, 80
    tokens, width = rows * length, heads * depth
    many = 100_003  # from 65536 on the optimiser's functions take threads
    row = np.arange(tokens) // length * length
    known = {
        "random_bits": draw.integers(0, 1 << 16, size=rows * heads * length**2).astype(np.uint16),
        "bounds": np.stack([row, row + length], axis=1).astype(np.int64),
        "starts": np.array([0, 37, 60, 80]),
    }
    padded, wide = 96, 4 * width  # rows and columns of an array in bfloat16
    heads_of = (real, rows, heads, length, 48)
    convolved, spans = (rows, length, width, kernel_size), (rows, length, heads, depth, kernel_size, attended)
    sizes = {
        "pad_to_heads": (real, rows, heads, length, depth),
        "unpad_from_heads": (real, rows, heads, length, depth),
        "depthwise": convolved, "depthwise_weight_gradient": convolved, "span": spans, "span_gradient": spans,
        "attention_weights": (rows, heads, length, length),
        "attention_weights_gradient": (heads * tokens, length), "squares": (many,), "adamw": (many,),
        "add_distance_scores": (rows * heads, length), "distance_scores_gradient": (rows * heads, length),
        "rotate": (rows * heads, length, depth),
        "bf16_round": (real, padded, width, wide), "bf16_pack": (width, 50),
        "bf16_column_sums": (padded, width),
        "bf16_first_rows": (rows, real, 32, width), "bf16_spread_rows": (rows, real, padded, width),
        "bf16_to_heads": (real, padded, wide, *heads_of[1:], depth),
        "bf16_from_heads": (real, padded, wide, *heads_of[1:], depth),
        "bf16_softmax": heads_of, "bf16_softmax_gradient": heads_of,
        **dict.fromkeys(
            ("bf16_depthwise", "bf16_depthwise_gradient", "bf16_depthwise_weight_gradient"),
            (real, padded, width, kernel_size),
        ),
        **dict.fromkeys(("bf16_multiply", "bf16_multiply_gradient"), (real, padded, width, wide)),
        **dict.fromkeys(
            ("bf16_span", "bf16_span_gradient"), (real, padded, wide, heads, depth, kernel_size, attended)
        ),
        **dict.fromkeys(
            ("bf16_gelu", "bf16_gelu_gradient", "bf16_add_norm", "bf16_add_norm_gradient"),
            (real, padded, width),
        ),
    }  # fmt: skip
    digest = hashlib.sha256()
    for name, counts in kernels._COUNTS.items():
        size = sizes.get(name, (tokens, width))
        left, arguments = list(counts(*size)), []
        for parameter in kernels._PROTOTYPES[name][: -len(size)]:
            if parameter.dtype is None:
                arguments.append(NUMBERS[parameter.name])
                continue
            count, fixed = left.pop(0), known.get(parameter.name)
            values = (np.abs(draw.normal(size=count)) / 2).astype(np.float32)
            if parameter.dtype is np.uint16 and fixed is None:
                fixed = (values.view(np.uint32) >> 16).astype(np.uint16)
            values = values.astype(parameter.dtype)
            arguments.append(values if fixed is None else fixed.reshape(-1)[:count].copy())
        kernels.call(name, *arguments, *size)
        for parameter, array in zip(kernels._PROTOTYPES[name], arguments, strict=False):
            digest.update(array.tobytes() if parameter.is_written else b"")
    return digest.hexdigest()


@needs_compiler
def test_the_number_of_threads_changes_no_bit() -> None:
    """Of what C computes; the bits of Paddle's products may depend on it."""
    threads = ctypes.CDLL(str(Path(paddle.__file__).with_name("libs") / "libiomp5.so"))
    before = threads.omp_get_max_threads()
    actual = set()
    try:
        for count in (1, 2, 3, 7):
            threads.omp_set_num_threads(count)
            assert threads.omp_get_max_threads() == count
            actual.add(digest_of_all_functions())
    finally:
        threads.omp_set_num_threads(before)
    assert len(actual) == 1
