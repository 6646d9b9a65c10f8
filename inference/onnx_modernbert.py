"""ModernBERT's encoder as ONNX nodes, see ``encoders.modernbert``. No Paddle.

B rows, T tokens, N = B·T, H hidden size, h heads of d columns, I intermediate size.
"""

import math
from collections.abc import Mapping

import numpy as np

from encoders.config import EncoderConfig
from encoders.rotary import is_local, speeds
from inference.onnx_encoder import MASKED, EncoderGraph


class ModernBertGraph(EncoderGraph):
    """The encoder's nodes."""

    def __init__(self, config: EncoderConfig, arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__(config, arrays)
        self._rotations = [self._rotation(local) for local in (False, True)]
        self._window = self._window_bias()

    def encode(self, first_only: bool) -> str:
        """The last hidden states (N, H); with first_only the first token's (B, H)."""
        return self.norm(super().encode(first_only), "encoder.final.norm")

    def _rotation(self, local: bool) -> tuple[str, str]:
        """cos and sin, (T, d) each."""
        at = np.arange(self.config.max_tokens, dtype=np.float32)
        turned = at[:, None] * speeds(self.config, local)
        kind = "local" if local else "global"
        cos, sin = (
            self.add("Slice", self.add.constant(table, f"{kind}.{name}"), [0], self.length, [0])
            for name, table in (("cos", np.cos(turned)), ("sin", np.sin(turned)))
        )
        return cos, sin

    def _window_bias(self) -> str:
        """(T, T), as ``encoders.rotary.window_bias``."""
        add = self.add
        at = add("Range", add.constant(0), add("Squeeze", self.length), add.constant(1))
        distance = add("Abs", add("Sub", add("Unsqueeze", at, [1]), add("Unsqueeze", at, [0])))
        is_far = add("Greater", distance, add.constant(self.config.local_attention // 2))
        return add("Mul", add("Cast", is_far, to=1), MASKED)

    def _layer(self, x: str, name: str, first_only: bool) -> str:
        """x: (N, H) → (N, H), with first_only (B, H)."""
        add = self.add
        x = self._attention(x, f"{name}.attention", first_only)
        name = f"{name}.feed_forward"
        inner = self.matmul(self.norm(x, f"{name}.norm"), f"{name}.inner")
        values, gates = self.split(inner, 2, self.config.intermediate_size)
        product = add("Mul", self.activation(values, self.config.hidden_act), gates)
        return add("Add", x, self.matmul(product, f"{name}.outer"))

    def _attention(self, x: str, name: str, first_only: bool) -> str:
        number = int(name.split(".")[2])
        y = self.norm(x, f"{name}.norm") if number else x
        parts = self.split(self.matmul(y, f"{name}.qkv"), 3, self.config.hidden_size)
        query, key, value = (self._split_heads(part, (0, 2, 1, 3)) for part in parts)  # (B, h, T, d)
        local = is_local(self.config, number)
        query, key = (self._rotated(part, local) for part in (query, key))
        scores = self.add("MatMul", query, self.add("Transpose", key, perm=(0, 1, 3, 2)))
        scores = self.add("Mul", scores, 1 / math.sqrt(self._head_size))
        if local:
            scores = self.add("Add", scores, self._window)
        weights = self.add("Softmax", self.add("Add", scores, self.bias), axis=-1)
        mixed = self._merge_heads(self.add("MatMul", weights, value))
        if first_only:
            x, mixed = self._first_token(x), self._first_token(mixed)
        return self.add("Add", x, self.matmul(mixed, f"{name}.output"))

    def _rotated(self, x: str, local: bool) -> str:
        """(B, h, T, d) → the same."""
        cos, sin = self._rotations[int(local)]
        half = self._head_size // 2
        first, second = self.add.several("Split", 2, x, [half, half], axis=3)
        turned = self.add("Concat", self.add("Neg", second), first, axis=3)
        return self.add("Add", self.add("Mul", x, cos), self.add("Mul", turned, sin))
