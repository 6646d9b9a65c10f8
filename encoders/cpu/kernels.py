"""The compiled part: the functions of ``kernels.c``, used where they fit. compiling.py builds them.

Without a compiler, on another system than Linux, on a GPU, in graphs or in float64 nothing of it is used, nor
for shapes that the compiled functions do not take: every caller has the plain formulation, its tested
definition, which then gives the result or the error. ``CONVBERT_KERNELS=0`` turns it off.

C knows addresses only: every array enters it through ``call``, which checks size, type and layout.
"""

import ctypes
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.cpu import compiling
from encoders.framework import paddle

PIECES = 16  # as in kernels.c
_FLOAT32 = paddle.float32
_CPU_ONLY = not (
    paddle.is_compiled_with_cuda()
    or paddle.is_compiled_with_xpu()
    or paddle.device.get_all_custom_device_type()
)

_C_TYPES = {
    "threshold": ctypes.c_int64, "flip": ctypes.c_int64, "scale": ctypes.c_float, "epsilon": ctypes.c_float,
    "rate": ctypes.c_float, "beta1": ctypes.c_float, "beta2": ctypes.c_float, "decay": ctypes.c_float,
}  # fmt: skip
_DTYPES = {"random_bits": np.uint16, "bounds": np.int64, "starts": np.int64, "total": np.float64}
_OPTIONAL = ("mask", "random_bits", "bounds")

# The parameters of each function before its sizes: numbers are those in _C_TYPES; the others are arrays, of
# float32 but for those in _DTYPES, written where marked with >. Sizes → how many elements each array has.
_FUNCTIONS: dict[str, tuple[str, Callable[..., tuple[int, ...]]]] = {
    "pad_to_heads": ("x starts >y", lambda p, b, h, t, d: (p * h * d, b + 1, b * h * t * d)),
    "unpad_from_heads": ("y starts >x", lambda p, b, h, t, d: (b * h * t * d, b + 1, p * h * d)),
    "depthwise": (
        "x weight bounds >y flip",
        lambda b, t, c, k: (b * t * c, k * c, b * t * 2, b * t * c),
    ),
    "depthwise_weight_gradient": (
        "x grad bounds >grad_weight",
        lambda b, t, c, k: (b * t * c, b * t * c, b * t * 2, k * c),
    ),
    "span": (
        "scores values bias attended bounds >kernels >y",
        lambda b, t, h, d, k, a: (
            b * t * h * k, b * t * h * d, h * d, b * t * a, b * t * 2, b * t * h * k, b * t * (a + h * d)
        ),
    ),
    "span_gradient": (
        "kernels values bias bounds grad >grad_scores >grad_values >grad_attended",
        lambda b, t, h, d, k, a: (
            b * t * h * k, b * t * h * d, h * d, b * t * 2, b * t * (a + h * d), b * t * h * k, b * t * h * d,
            b * t * a,
        ),
    ),
    "biased_product": ("x bias y >z", lambda n, c: (n * c, c, n * c, n * c)),
    "biased_product_gradient": (
        "x bias y grad >grad_x >grad_y >pieces >grad_bias",
        lambda n, c: (n * c, c, n * c, n * c, n * c, n * c, PIECES * c, c),
    ),
    "add_bias": (">x bias", lambda n, c: (n * c, c)),
    "gelu": ("x bias >y", lambda n, c: (n * c, c, n * c)),
    "gelu_gradient": ("x bias grad >grad_x", lambda n, c: (n * c, c, n * c, n * c)),
    "add_norm": (
        "x y bias random_bits threshold gain shift epsilon >normalised >inverse_deviation >z",
        lambda n, c: (n * c, n * c, c, n * c, c, c, n * c, n, n * c),
    ),
    "add_norm_gradient": (
        "normalised inverse_deviation random_bits threshold gain grad >grad_x >grad_y >pieces >grad_bias "
        ">grad_gain >grad_shift",
        lambda n, c: (n * c, n, n * c, c, n * c, n * c, n * c, PIECES * 3 * c, c, c, c),
    ),
    "attention_weights": (
        "scores mask random_bits threshold scale >softmax >dropped",
        lambda b, h, t, s: (b * h * t * s, b * s, b * h * t * s, b * h * t * s, b * h * t * s),
    ),
    "attention_weights_gradient": (
        "softmax random_bits threshold scale grad >grad_scores",
        lambda n, s: (n * s, n * s, n * s, n * s),
    ),
    "squares": ("x >total", lambda n: (n, 1)),
    "adamw": (
        ">x grad >first >second >power1 >power2 rate beta1 beta2 epsilon decay scale",
        lambda n: (n, n, n, n, 1, 1),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class _Parameter:
    name: str
    is_array: bool
    is_written: bool

    @classmethod
    def named(cls, text: str) -> "_Parameter":
        name = text.removeprefix(">")
        return cls(name, name not in _C_TYPES, text != name)


_PARAMETERS = {name: tuple(map(_Parameter.named, text.split())) for name, (text, _) in _FUNCTIONS.items()}


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
    """Run a function of ``kernels.c``. arguments: its arrays and numbers, then its sizes.

    An array is a tensor or of NumPy, or None where it may be missing. ValueError where one is not what the
    sizes ask for. A tensor that is read and not contiguous is copied, such as one that was transposed with
    ``FLAGS_use_stride_kernel``.
    """
    parameters, count = _PARAMETERS[name], len(_PARAMETERS[name])
    sizes = arguments[count:]
    counts = iter(_FUNCTIONS[name][1](*sizes))
    values, held = [], []  # held: copies, which have to live until C is done with them
    for parameter, argument in zip(parameters, arguments[:count], strict=True):
        if not parameter.is_array:
            values.append(argument)
            continue
        size = next(counts)
        if isinstance(argument, paddle.Tensor) and not parameter.is_written and not argument.is_contiguous():
            argument = argument.contiguous()
            held.append(argument)
        if fault := _fault(parameter, argument, size):
            raise ValueError(f"{name}: {parameter.name}: {fault}")
        values.append(_address(argument))
    getattr(library(), name)(*values, *sizes)


def _fault(parameter: _Parameter, value: Any, size: int) -> str:
    """What is wrong with an array; empty if nothing is."""
    dtype, is_written = _DTYPES.get(parameter.name, np.float32), parameter.is_written
    if isinstance(value, paddle.Tensor):
        is_kind = dtype is np.float32 and is_taken(value)
        is_kind = is_kind and math.prod(value.shape) == size and value.is_contiguous()
    elif isinstance(value, np.ndarray):
        is_kind = value.dtype == dtype and value.size == size and (value.flags.writeable or not is_written)
        is_kind = is_kind and value.flags.c_contiguous and value.flags.aligned
    else:
        is_kind = value is None and parameter.name in _OPTIONAL
    if is_kind:
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
        for name, parameters in _PARAMETERS.items():
            types = [ctypes.c_void_p if p.is_array else _C_TYPES[p.name] for p in parameters]
            sizes = _FUNCTIONS[name][1].__code__.co_argcount
            function = getattr(loaded, name)
            function.argtypes, function.restype = [*types, *[ctypes.c_int64] * sizes], None
    return loaded
