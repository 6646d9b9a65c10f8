"""What --use_amp computes in: bfloat16 or float16 on GPUs, bfloat16 on CPUs that have it, else float32.

Weights, Adam's moments, LayerNorm, softmax, losses and sums of gradients stay float32.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

from encoders.cpu import onednn
from encoders.cpu.bfloat16 import Bfloat16
from encoders.framework import paddle
from training.config import TrainingConfig
from training.run_log import LOG


class MixedPrecision:
    """How the forward and backward passes of a step compute.

    Attributes:
        dtype: ``bfloat16``, ``float16`` or ``float32``.
        scaler: Paddle's loss scaling for float16, else None.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.dtype = _dtype(config)
        self.scaler: Any = paddle.amp.GradScaler() if self.dtype == "float16" else None
        self._bfloat16 = Bfloat16(trains=True) if self.dtype == "bfloat16" and on_cpu() else None

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Run a forward pass within; the weights must not have changed since ``begin_step``."""
        if self._bfloat16:
            with self._bfloat16.in_force():
                yield
        else:
            dtype: Literal["bfloat16", "float16"] = "bfloat16" if self.dtype == "bfloat16" else "float16"
            with paddle.amp.auto_cast(enable=self.dtype != "float32", dtype=dtype):
                yield

    def begin_step(self) -> None:
        """The weights may have changed."""
        if self._bfloat16:
            self._bfloat16.forget()


def _dtype(config: TrainingConfig) -> str:
    if not config.use_amp:
        return "float32"
    if not on_cpu():
        if config.amp_dtype != "auto":
            return config.amp_dtype
        return "bfloat16" if paddle.amp.is_bfloat16_supported() else "float16"
    fault = "a CPU has no fast float16" if config.amp_dtype == "float16" else onednn.status().fault
    if fault:
        LOG.info(f"--use_amp: {fault}; float32 it is")
        return "float32"
    return "bfloat16"


def precision_record(config: TrainingConfig) -> dict[str, str]:
    """What ``args.json`` says of it: the instructions in bfloat16 and oneDNN's version; empty in float32."""
    status = onednn.status()
    if not (config.use_amp and on_cpu()) or config.amp_dtype == "float16" or status.fault:
        return {}
    return {"dtype": "bfloat16", "instructions": status.instructions, "onednn": status.version}


def on_cpu() -> bool:
    """Whether Paddle computes on a CPU."""
    return bool(paddle.get_device().startswith("cpu"))
