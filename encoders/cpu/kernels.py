"""The compiled functions of the C files but ``onednn.c``, used where they fit. compiling.py builds them.

Without a compiler, on another system than Linux, on a GPU, in graphs or in float64 none is used, nor for
shapes that they do not take: encoders/ops.py has a plain form of each, which then gives the result or error.
``CONVBERT_KERNELS=0`` turns them off.

C knows addresses only: every array enters it through ``call``, which checks size, type and layout.
"""

import ctypes
import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.cpu import compiling
from encoders.framework import paddle

_FLOAT32 = paddle.float32
_CPU_ONLY = not (
    paddle.is_compiled_with_cuda()
    or paddle.is_compiled_with_xpu()
    or paddle.device.get_all_custom_device_type()
)

_SOURCE = "".join(path.read_text(encoding="utf-8") for path in compiling.SOURCES)
PIECES = int(re.findall(r"#define PIECES (\d+)", compiling.HEADER.read_text(encoding="utf-8"))[0])
_OPTIONAL = ("mask", "random_bits", "bounds", "to_key", "to_query")  # arrays that may be None


@dataclass(frozen=True)
class _Parameter:
    """A parameter of a C function: an array of dtype, or a number where that is None."""

    name: str
    c_type: type
    dtype: type | None = None
    is_written: bool = False


_C_TYPES: dict[str, tuple[Any, ...]] = {
    "i64": (ctypes.c_int64,),
    "float": (ctypes.c_float,),
    "in": (ctypes.c_void_p, np.float32),
    "out": (ctypes.c_void_p, np.float32, True),
    "bin": (ctypes.c_void_p, np.uint16),  # bfloat16, which NumPy does not know
    "bout": (ctypes.c_void_p, np.uint16, True),
    "const uint16_t *restrict": (ctypes.c_void_p, np.uint16),
    "const i64 *restrict": (ctypes.c_void_p, np.int64),
    "double *restrict": (ctypes.c_void_p, np.float64, True),
}


def _prototype(text: str) -> tuple[_Parameter, ...]:
    """The parameters in the brackets of a prototype."""
    parts = [" ".join(part.split()).rpartition(" ") for part in text.split(",")]
    return tuple(_Parameter(name, *_C_TYPES[kind]) for kind, _, name in parts)


# The last parameters of each function are its sizes; from them: how many elements each of its arrays has.
_COUNTS: dict[str, Callable[..., tuple[int, ...]]] = {
    "pad_to_heads": lambda p, b, h, t, d: (p * h * d, b + 1, b * h * t * d),
    "unpad_from_heads": lambda p, b, h, t, d: (b * h * t * d, b + 1, p * h * d),
    "depthwise": lambda b, t, c, k: (b * t * c, k * c, b * t * 2, b * t * c),
    "depthwise_weight_gradient": lambda b, t, c, k: (b * t * c, b * t * c, b * t * 2, k * c),
    "span": lambda b, t, h, d, k, a: (
        b * t * h * k, b * t * h * d, h * d, b * t * a, b * t * 2, b * t * h * k, b * t * (a + h * d)
    ),
    "span_gradient": lambda b, t, h, d, k, a: (
        b * t * h * k, b * t * h * d, h * d, b * t * 2, b * t * (a + h * d), b * t * h * k, b * t * h * d,
        b * t * a,
    ),
    "biased_product": lambda n, c: (n * c, c, n * c, n * c),
    "biased_product_gradient": lambda n, c: (n * c, c, n * c, n * c, n * c, n * c, PIECES * c, c),
    "add_bias": lambda n, c: (n * c, c),
    "gelu": lambda n, c: (n * c, c, n * c),
    "gelu_gradient": lambda n, c: (n * c, c, n * c, n * c),
    "add_norm": lambda n, c: (n * c, n * c, c, n * c, c, c, n * c, n, n * c),
    "add_norm_gradient": lambda n, c: (n * c, n, n * c, c, n * c, n * c, n * c, PIECES * 3 * c, c, c, c),
    "attention_weights": lambda b, h, t, s: (b * h * t * s, b * s, *[b * h * t * s] * 3),
    "attention_weights_gradient": lambda n, s: (n * s, n * s, n * s, n * s),
    "add_distance_scores": lambda p, t: (p * t * t, p * t * 2 * t, p * t * 2 * t, p * t * t),
    "distance_scores_gradient": lambda p, t: (p * t * t, p * t * 2 * t),
    "rotate": lambda p, t, d: (p * t * d, t * d, t * d, p * t * d),
    "gated_gelu": lambda n, c: (n * 2 * c, n * c),
    "gated_gelu_gradient": lambda n, c: (n * 2 * c, n * c, n * 2 * c),
    "bf16_round": lambda n, r, c, w: (n * c, r * w),
    "bf16_pack": lambda k, c: (k * c, -(-k // 32) * -(-c // 64) * 2048),
    "bf16_column_sums": lambda r, c: (r * c, PIECES * c, c),
    "bf16_first_rows": lambda b, n, r, c: (n * c, b + 1, r * c),
    "bf16_spread_rows": lambda b, n, r, c: (b * c, b + 1, r * c),
    "bf16_to_heads": lambda n, r, w, b, h, t, s, d: (r * w, b + 1, b * h * s * d),
    "bf16_from_heads": lambda n, r, w, b, h, t, s, d: (b * h * s * d, b + 1, r * w),
    "bf16_softmax": lambda n, b, h, t, s: (b * h * s * s, b + 1, b * h * t * t, *[b * h * s * s] * 2),
    "bf16_softmax_gradient": lambda n, b, h, t, s: (
        b * h * s * s, b + 1, b * h * t * t, *[b * h * s * s] * 2
    ),
    "bf16_depthwise": lambda n, r, c, k: (r * c, k * c, n * 2, r * c),
    "bf16_depthwise_gradient": lambda n, r, c, k: (r * c, k * c, n * 2, r * c),
    "bf16_depthwise_weight_gradient": lambda n, r, c, k: (r * c, r * c, n * 2, k * c),
    "bf16_multiply": lambda n, r, c, w: (r * c, r * w, r * c),
    "bf16_multiply_gradient": lambda n, r, c, w: (r * c, r * w, r * c, r * c, r * w),
    "bf16_span": lambda n, r, w, h, d, k, a: (r * h * k, r * w, n * 2, n * h * k, r * (a + h * d)),
    "bf16_span_gradient": lambda n, r, w, h, d, k, a: (
        n * h * k, r * w, n * 2, r * (a + h * d), r * h * k, r * w
    ),
    "bf16_gelu": lambda n, r, c: (r * c, r * c),
    "bf16_gelu_gradient": lambda n, r, c: (r * c, r * c, PIECES * c, c),
    "bf16_add_norm": lambda n, r, c: (n * c, r * c, c, n * c, c, c, n * c, n, n * c),
    "bf16_add_norm_gradient": lambda n, r, c: (
        n * c, n, n * c, c, n * c, r * c, r * c, PIECES * 3 * c, c, c, c
    ),
    "squares": lambda n: (n, 1),
    "adamw": lambda n: (n, n, n, n, 1, 1),
}  # fmt: skip
_PROTOTYPES = {
    name: _prototype(text) for name, text in re.findall(r"^void (\w+)\(([^)]*)\) \{", _SOURCE, re.MULTILINE)
}


def usable(*tensors: paddle.Tensor | None) -> bool:
    """Whether the compiled functions can take these: float32 on a CPU, outside graphs.

    Where gradients are wanted they must be wanted of all: a frozen parameter's cannot be left out.
    """
    if not paddle.in_dynamic_mode() or library() is None:
        return False
    taken = [tensor for tensor in tensors if tensor is not None and is_taken(tensor)]
    if len(taken) < len(tensors):
        return False
    return not paddle.is_grad_enabled() or len({tensor.stop_gradient for tensor in taken}) == 1


@paddle.jit.not_to_static  # which cannot convert its loop, and traces it where ``usable`` said no
def fits(axes: str, *tensors: paddle.Tensor) -> bool:
    """Whether tensors have the axes that a text such as ``"* C, C"`` names, and nothing is empty.

    Axes of one name have one size; ``*`` stands for any number of leading axes, the same of all tensors.
    Never in graphs.
    """
    if not paddle.in_dynamic_mode():
        return False
    sizes: dict[str, Any] = {}
    for names, tensor in zip(_axes(axes), tensors, strict=True):
        shape: list[Any] = tensor.shape
        leading = len(shape) - len(names) + 1
        if names[0] == "*" and leading >= 0:
            shape = [tuple(shape[:leading]), *shape[leading:]]
        if len(shape) != len(names) or 0 in tensor.shape:
            return False
        if any(sizes.setdefault(name, size) != size for name, size in zip(names, shape, strict=True)):
            return False
    return True


def is_mask(mask: paddle.Tensor) -> bool:
    """Whether the compiled functions can take a mask: as other tensors, and nobody wants its gradient."""
    return is_taken(mask) and (mask.stop_gradient or not paddle.is_grad_enabled())


@functools.cache
def _axes(text: str) -> list[list[str]]:
    return [names.split() for names in text.split(",")]


def rows(x: paddle.Tensor) -> int:
    """How many rows of the last axis' length a tensor holds."""
    return math.prod(x.shape[:-1])


def call(name: str, *arguments: Any) -> None:
    """Run a function of ``kernels.c``.

    Args:
        name: The function.
        arguments: Its arrays and numbers, then its sizes. An array is a tensor or of NumPy, or None where it
            may be missing. A tensor that is read and not contiguous, such as one transposed with
            ``FLAGS_use_stride_kernel``, is copied.

    Raises:
        ValueError: An array is not what the sizes ask for.
    """
    counts = _COUNTS[name](*arguments[-_COUNTS[name].__code__.co_argcount :])
    remaining = iter(counts)
    values, copies = [], []  # copies have to live until C is done with them
    for parameter, argument in zip(_PROTOTYPES[name], arguments, strict=True):
        if parameter.dtype is None:
            values.append(argument)
            continue
        size = next(remaining)
        if isinstance(argument, paddle.Tensor) and not parameter.is_written and not argument.is_contiguous():
            argument = argument.contiguous()
            copies.append(argument)
        if fault := _fault(parameter, argument, size):
            raise ValueError(f"{name}: {parameter.name}: {fault}")
        values.append(_address(argument))
    getattr(library(), name)(*values)


def _fault(parameter: _Parameter, value: Any, size: int) -> str:
    """What is wrong with an array; empty if nothing is."""
    dtype, is_written = parameter.dtype, parameter.is_written
    if isinstance(value, paddle.Tensor):
        fits = dtype is np.float32 and is_taken(value)
        fits = fits and math.prod(value.shape) == size and value.is_contiguous()
    elif isinstance(value, np.ndarray):
        fits = value.dtype == dtype and value.size == size and (value.flags.writeable or not is_written)
        fits = fits and value.flags.c_contiguous and value.flags.aligned
    else:
        fits = value is None and parameter.name in _OPTIONAL
    if fits:
        return ""
    kind = f"{getattr(value, 'dtype', type(value).__name__)} of shape {list(getattr(value, 'shape', ()))}"
    return f"expected {size} contiguous {np.dtype(dtype).name} on a CPU, found {kind}"


def is_taken(tensor: paddle.Tensor) -> bool:
    """Whether a tensor is float32 on a CPU."""
    dtype = tensor.dtype
    is_single = dtype is _FLOAT32 or dtype == _FLOAT32  # the first is quicker, where it holds
    return is_single and tensor.is_dense() and (_CPU_ONLY or tensor.place.is_cpu_place())


def _address(value: Any) -> int | None:
    if isinstance(value, np.ndarray):
        return value.ctypes.data
    return None if value is None else value.data_ptr()


@functools.cache
def library() -> compiling.Library | None:
    """The compiled functions, or None where they cannot be had."""
    loaded = compiling.load()
    if loaded is not None:
        for name, parameters in _PROTOTYPES.items():
            function = getattr(loaded, name)
            function.argtypes, function.restype = [parameter.c_type for parameter in parameters], None
    return loaded
