"""DeBERTa's encoder as ONNX nodes, see ``encoders.deberta``. No Paddle.

B rows, T tokens, N = B·T, H hidden size, h heads of d columns, S distances.
"""

import math

import numpy as np

from encoders.config import EncoderConfig
from encoders.relative_positions import distance_rows
from inference.onnx_encoder import EncoderGraph


class DebertaGraph(EncoderGraph):
    """The encoder's nodes."""

    def __init__(self, config: EncoderConfig, arrays: dict[str, np.ndarray]) -> None:
        super().__init__(config, arrays)
        add, most = self.add, config.max_tokens
        begin = add("Sub", most, self.length)  # [1]
        end = add("Add", most, self.length)
        self._rows = [
            add("Slice", add.constant(rows, f"distances.{name}"), begin, end, [0])
            for name, rows in zip(("to_key", "to_query"), distance_rows(config), strict=True)
        ]  # (2T,) each
        self._width = add("Sub", add("Mul", self.length, 2), 1)  # [2T − 1]
        self._table = self._distance_table()

    def _distance_table(self) -> np.ndarray:
        """(S, H) the embeddings of the distances, normalised where that is configured."""
        table = self.arrays["encoder.positions.distance.weight"].astype(np.float64)
        if "encoder.positions.norm.weight" in self.arrays:
            weight, bias = (self.arrays[f"encoder.positions.norm.{part}"] for part in ("weight", "bias"))
            table = table - table.mean(axis=1, keepdims=True)
            deviation = np.sqrt((table**2).mean(axis=1, keepdims=True) + self.config.layer_norm_eps)
            table = table / deviation * weight + bias
        return table

    def _layer(self, x: str, name: str, first_only: bool) -> str:
        if f"{name}.convolution.conv.weight" not in self.arrays:
            return super()._layer(x, name, first_only)
        y = self._convolved(x, super()._layer(x, name, False), f"{name}.convolution")
        return self._first_token(y) if first_only else y

    def _convolved(self, x: str, y: str, name: str) -> str:
        """x, y: (N, H) → (N, H)."""
        add, hidden = self.add, self.config.hidden_size
        x = add("Transpose", self.shaped(add("Mul", x, self.real), hidden), perm=(0, 2, 1))  # (B, H, T)
        half = (self.config.conv_kernel_size - 1) // 2
        constants = (self.weight(f"{name}.conv.{part}") for part in ("weight", "bias"))
        x = add("Conv", x, *constants, group=self.config.conv_groups, pads=[half, half])
        x = self.shaped(add("Transpose", x, perm=(0, 2, 1)), -1, hidden, rows=False)
        return self.norm(add("Add", y, self.activation(x, self.config.conv_act)), f"{name}.norm")

    def _attention(self, x: str, name: str, first_only: bool) -> str:
        projected = self.linear(x, *[f"{name}.{part}" for part in ("query", "key", "value")])
        query, key, value = (
            self._split_heads(part, (0, 2, 1, 3))
            for part in self.split(projected, 3, self.config.attention_width)
        )  # (B, h, T, d)
        mixed = self._merge_heads(self.add("MatMul", self._weights(query, key, name), value))
        if first_only:
            x, mixed = self._first_token(x), self._first_token(mixed)
        return self.norm(self.add("Add", x, self.linear(mixed, f"{name}.output")), f"{name}.norm")

    def _weights(self, query: str, key: str, name: str) -> str:
        """query, key: (B, h, T, d) → (B, h, T, T)."""
        add, kinds = self.add, self.config.pos_att_type
        scores = add("MatMul", query, add("Transpose", key, perm=(0, 1, 3, 2)))
        if "c2p" in kinds:
            scores = add("Add", scores, self._by_distance(query, f"{name}.position_key", f"{name}.key", 0))
        if "p2c" in kinds:
            back = self._by_distance(key, f"{name}.position_query", f"{name}.query", 1)
            scores = add("Add", scores, add("Transpose", back, perm=(0, 1, 3, 2)))
        scores = add("Mul", scores, 1 / math.sqrt(self._head_size * (1 + len(kinds))))
        return add("Softmax", add("Add", scores, self.bias), axis=-1)

    def _by_distance(self, x: str, name: str, shared: str, side: int) -> str:
        """x: (B, h, T, d) → (B, h, T, T): its products with the distances' vectors, each in its column."""
        add, heads = self.add, self.config.attention_heads
        name = name if f"{name}.weight" in self.arrays else shared
        vectors = self._table @ self.arrays[f"{name}.weight"] + self.arrays[f"{name}.bias"]  # (S, H)
        rows = add("Gather", add.constant(vectors, f"{name}.of_distances"), self._rows[side])  # (2T, H)
        rows = add("Transpose", add("Reshape", rows, [0, heads, self._head_size]), perm=(1, 2, 0))
        flat = add("Reshape", add("MatMul", x, rows), [0, 0, -1])  # (B, h, T · 2T)
        begin = add("Sub", self.length, 1)
        end = add("Add", begin, add("Mul", self.length, self._width))
        flat = add("Slice", flat, begin, end, [2])
        shape = add("Concat", [0], [heads], self.length, self._width, axis=0)
        return add("Slice", add("Reshape", flat, shape), [0], self.length, [3])
