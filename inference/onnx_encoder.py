"""The encoder of ``encoders`` as ONNX nodes, from its configuration and arrays. No Paddle.

B rows, T tokens, N = B·T, H hidden size, A attention width, h heads of d = A/h, K kernel size. Linear
layers work on rows of all tokens (N, H); both convolutions in the forms that ONNX Runtime is fastest at.
"""

import math
from collections.abc import Mapping

import numpy as np

from encoders.config import EncoderConfig
from inference.onnx_graph import GraphWriter

_INT64 = 7  # ONNX's number of this type
MASKED = -10000.0  # as in encoders/ops.py, which this module cannot import without Paddle


class EncoderGraph:
    """The encoder's nodes. arrays: parameter name → array."""

    def __init__(self, config: EncoderConfig, arrays: Mapping[str, np.ndarray]) -> None:
        self.config, self.arrays = config, arrays
        self.add = GraphWriter()
        self.rows = self.add("Shape", "ids")  # the value [B, T], int64
        self.length = self.add("Shape", "ids", start=1)  # the value [T], int64
        self.real = self.shaped("mask", -1, 1, rows=False)  # (N, 1)
        bias = self.add("Mul", self.add("Sub", 1.0, "mask"), MASKED)
        self.bias = self.add("Unsqueeze", bias, [1, 2])  # (B, 1, 1, T)

    def encode(self, first_only: bool) -> str:
        """The last hidden states (N, H); with first_only the first token's (B, H)."""
        x = self._embeddings()
        last = self.config.num_hidden_layers - 1
        for depth in range(last + 1):
            x = self._layer(x, f"encoder.layers.{depth}", first_only=first_only and depth == last)
        return x

    # Small parts: a parameter's array, shapes, the layers every network has.

    def weight(self, name: str) -> str:
        """A parameter's array."""
        return self.add.constant(self.arrays[name], name)

    def shaped(self, x: str, *tail: int, rows: bool = True, name: str = "") -> str:
        """Reshape x to (B, T, *tail), without rows to tail alone."""
        shape = self.add.constant(list(tail))
        if rows:
            shape = self.add("Concat", self.rows, shape, axis=0)
        return self.add("Reshape", x, shape, name=name)

    def linear(self, x: str, *names: str, groups: int = 1, output: str = "") -> str:
        """x: (N, in) → (N, out): a linear layer, or several of one input side by side."""
        if groups > 1:
            return self._grouped(x, names[0], groups)
        weight, bias = (
            np.concatenate([self.arrays[f"{name}.{part}"] for name in names], axis=-1)
            for part in ("weight", "bias")
        )
        return self.gemm(x, weight, bias, "+".join(names), output=output)

    def gemm(
        self, x: str, weight: np.ndarray, bias: np.ndarray, name: str, suffix: str = "", output: str = ""
    ) -> str:
        """x: (N, in), weight: (in, out), bias: (out,) → (N, out). name, suffix: of the two constants."""
        constants = (
            self.add.constant(array, f"{name}.{part}{suffix}")
            for part, array in (("weight", weight), ("bias", bias))
        )
        return self.add("Gemm", x, *constants, name=output)

    def _grouped(self, x: str, name: str, groups: int) -> str:
        weights = self.arrays[f"{name}.weight"]  # (G, in/G, out/G)
        biases = np.split(self.arrays[f"{name}.bias"], groups)
        parts = [
            self.gemm(part, weights[number], biases[number], name, f".{number}")
            for number, part in enumerate(self.split(x, groups, weights.shape[1]))
        ]
        return self.add("Concat", *parts, axis=1)

    def split(self, x: str, count: int, width: int) -> list[str]:
        """x: (N, count · width) → count times (N, width)."""
        return self.add.several("Split", count, x, [width] * count, axis=1)

    def matmul(self, x: str, name: str) -> str:
        """x: (N, in) → (N, out): a linear layer that may have no bias."""
        if f"{name}.bias" in self.arrays:
            return self.linear(x, name)
        return self.add("MatMul", x, self.weight(f"{name}.weight"))

    def norm(self, x: str, name: str) -> str:
        """LayerNorm, which may have no bias."""
        parts = ("weight", "bias") if f"{name}.bias" in self.arrays else ("weight",)
        constants = (self.weight(f"{name}.{part}") for part in parts)
        return self.add("LayerNormalization", x, *constants, axis=-1, epsilon=self.config.layer_norm_eps)

    def activation(self, x: str, kind: str) -> str:
        """One of ``EncoderConfig.hidden_act``, of any shape."""
        add = self.add
        if kind == "gelu":  # written as ONNX Runtime knows it, which makes one operation of it
            inner = add("Erf", add("Div", x, math.sqrt(2)))
            return add("Mul", add("Mul", x, add("Add", inner, 1.0)), 0.5)
        if kind == "gelu_new":
            inner = add("Add", x, add("Mul", add("Mul", add("Mul", x, x), x), 0.044715))
            inner = add("Tanh", add("Mul", inner, math.sqrt(2 / math.pi)))
            return add("Mul", add("Mul", x, add("Add", inner, 1.0)), 0.5)
        if kind == "silu":
            return add("Mul", x, add("Sigmoid", x))
        return add({"relu": "Relu", "tanh": "Tanh"}[kind], x)

    # The encoder.

    def _embeddings(self) -> str:
        """→ (N, H)."""
        name, width = "encoder.embeddings", self.config.embedding_size
        x = self.add("Gather", self.weight(f"{name}.word.weight"), "ids")  # (B, T, E)
        for part in (self._token_types(name), self._positions(name)):
            x = self.add("Add", x, part) if part else x
        if f"{name}.task_type.weight" in self.arrays:
            x = self.add("Add", x, self.add.constant(self.arrays[f"{name}.task_type.weight"][0], "task_type"))
        x = self.norm(self.shaped(x, -1, width, rows=False), f"{name}.norm")
        return x if width == self.config.hidden_size else self.linear(x, f"{name}.projection")

    def _token_types(self, name: str) -> str:
        """(B, T, E), or what broadcasts to that; empty where there are none."""
        if not self.config.token_types:
            return ""
        if not self.config.type.knows_segments:
            return self.add.constant(self.arrays[f"{name}.token_type.weight"][0], "token_type")
        return self.add("Gather", self.weight(f"{name}.token_type.weight"), "token_types")

    def _positions(self, name: str) -> str:
        """(T, E) counted from 0, or (B, T, E) as in ``encoders.roberta``; empty where there are none."""
        if not self.config.has_position_table:
            return ""
        weight = self.weight(f"{name}.position.weight")
        if self.config.type.first_position is None:
            return self.add("Slice", weight, [0], self.length, [0])
        pad = self.add.constant(self.config.pad_token_id)
        is_real = self.add("Cast", self.add("Not", self.add("Equal", "ids", pad)), to=_INT64)
        counted = self.add("Mul", self.add("CumSum", is_real, self.add.constant(1)), is_real)
        return self.add("Gather", weight, self.add("Add", counted, pad))

    def _layer(self, x: str, name: str, first_only: bool) -> str:
        """x: (N, H) → (N, H), with first_only (B, H)."""
        x = self._attention(x, f"{name}.attention", first_only)
        name, groups = f"{name}.feed_forward", self.config.num_groups
        inner = self.linear(x, f"{name}.inner", groups=groups)
        outer = self.linear(self.activation(inner, self.config.hidden_act), f"{name}.outer", groups=groups)
        return self.norm(self.add("Add", x, outer), f"{name}.norm")

    def _attention(self, x: str, name: str, first_only: bool) -> str:
        names = [f"{name}.{part}" for part in ("query", "key", "value")]
        if self.config.is_conv:
            names.append(f"{name}.span_conv.value")
        projected = self.linear(x, *names)
        query, key, value, *span_value = self.split(projected, len(names), self.config.attention_width)
        mixed = self._attend(query, key, value)  # (N, A)
        if self.config.is_conv:
            span = self._span_convolution(x, query, span_value[0], f"{name}.span_conv")
            mixed = self.add("Concat", mixed, span, axis=1)  # (N, H)
        if first_only:
            x, mixed = self._first_token(x), self._first_token(mixed)
        return self.norm(self.add("Add", x, self.linear(mixed, f"{name}.output")), f"{name}.norm")

    def _first_token(self, x: str) -> str:
        """x: (N, H) → (B, H)."""
        return self.add("Gather", self.shaped(x, self.config.hidden_size), 0, axis=1)

    def _split_heads(self, x: str, perm: tuple[int, ...]) -> str:
        """x: (N, A) → (B, T, h, d), its axes in another order."""
        return self.add("Transpose", self.shaped(x, self.config.attention_heads, self._head_size), perm=perm)

    def _merge_heads(self, x: str) -> str:
        """x: (B, h, T, d) → (N, A)."""
        x = self.add("Transpose", x, perm=(0, 2, 1, 3))
        return self.shaped(x, -1, self.config.attention_width, rows=False)

    @property
    def _head_size(self) -> int:
        return self.config.attention_width // self.config.attention_heads

    def _attend(self, query: str, key: str, value: str) -> str:
        """Each (N, A) → (N, A)."""
        query, value = (self._split_heads(x, (0, 2, 1, 3)) for x in (query, value))  # (B, h, T, d)
        scores = self.add("MatMul", query, self._split_heads(key, (0, 2, 3, 1)))  # (B, h, T, T)
        scores = self.add("Mul", scores, 1 / math.sqrt(self._head_size))
        weights = self.add("Softmax", self.add("Add", scores, self.bias), axis=-1)
        return self._merge_heads(self.add("MatMul", weights, value))

    # Span-based dynamic convolution.

    def _span_convolution(self, x: str, query: str, values: str, name: str) -> str:
        """x: (N, H); query, values: (N, A) → (N, A)."""
        if not self.config.reference_padding:
            x, values = self.add("Mul", x, self.real), self.add("Mul", values, self.real)
        key = self.add(
            "Gemm",
            self._depthwise(x, f"{name}.depthwise"),
            self.weight(f"{name}.pointwise"),
            self.weight(f"{name}.bias"),
        )
        kernels = self.linear(self.add("Mul", key, query), f"{name}.kernel")  # (N, h·K)
        kernels = self.shaped(kernels, self.config.attention_heads, self.config.conv_kernel_size)
        band = self._band(self.add("Softmax", kernels, axis=-1))
        return self._merge_heads(self.add("MatMul", band, self._split_heads(values, (0, 2, 1, 3))))

    def _depthwise(self, x: str, name: str) -> str:
        """x: (N, H) → (N, H). As a convolution of images of width 1, for which there is a fast kernel."""
        hidden, half_width = self.config.hidden_size, self.config.conv_kernel_size // 2
        weight = self.add.constant(self.arrays[name].T[:, None, :, None], name)  # (H, 1, K, 1)
        x = self.add("Transpose", self.shaped(x, hidden, 1), perm=(0, 2, 1, 3))  # (B, H, T, 1)
        x = self.add("Conv", x, weight, group=hidden, pads=[half_width, 0, half_width, 0])
        return self.shaped(self.add("Transpose", x, perm=(0, 2, 1, 3)), -1, hidden, rows=False)

    def _band(self, kernels: str) -> str:
        """Kernels (B, T, h, K) → (B, h, T, T): row t has its K weights around column t.

        Rows of T + K numbers, of which T are zeros, read again as rows of T + K − 1: each row then stands
        one column further right than the one above it.
        """
        heads, size = self.config.attention_heads, self.config.conv_kernel_size
        half_width = self.add.constant([size // 2])
        kernels = self.add("Transpose", kernels, perm=(0, 2, 1, 3))  # (B, h, T, K)
        pads = self.add("Concat", [0] * 7, self.length, axis=0)
        wide = self.add("Pad", kernels, pads)  # (B, h, T, K + T)
        flat = self.add("Reshape", wide, [0, 0, -1])
        columns = self.add("Add", self.length, [size - 1])
        flat = self.add("Slice", flat, [0], self.add("Mul", self.length, columns), [2])
        shape = self.add("Concat", [0], [heads], self.length, columns, axis=0)
        band = self.add("Reshape", flat, shape)  # (B, h, T, T + K − 1)
        return self.add("Slice", band, half_width, self.add("Add", self.length, half_width), [3])
