"""Which engine runs a model folder, and how an exported graph is had for it."""

import tempfile
from pathlib import Path

from common.errors import InputError
from encoders import distributed
from encoders.cpu import kernels
from encoders.framework import paddle
from encoders.tokenizer import Tokenizer
from inference.export import check_packages, export, missing_package
from inference.running import Engine, open_engine

ENGINES = ("auto", "dynamic", "paddle", "onnx")
WORTH = 500_000  # tokens; for fewer, writing and comparing a graph can take longer than the graph saves


def chosen_engine(wanted: str, device: str, tokens: int) -> str:
    """``dynamic``, ``paddle`` or ``onnx`` for one of ENGINES. tokens: how many there are to run.

    ``auto`` is ONNX Runtime on a CPU where it is installed and nothing is compiled for the network itself
    (encoders/cpu/kernels.py), one process does the work and there is enough of it; else the dynamic engine.
    InputError where what is wanted cannot be had.
    """
    if wanted == "auto":
        fits = device == "cpu" and distributed.world_size() == 1 and tokens >= WORTH
        return "onnx" if fits and kernels.library() is None and not missing_package("onnx") else "dynamic"
    if wanted == "dynamic":
        return wanted
    check_packages(wanted)
    if device not in ("cpu", "gpu"):
        raise InputError(f"--engine {wanted}: does not know --device {device}; take --engine dynamic")
    if distributed.world_size() > 1:
        raise InputError(f"--engine {wanted}: runs in one process; several share --engine dynamic")
    return wanted


def graph_of(network: "paddle.nn.Layer", tokenizer: Tokenizer, kind: str, device: str) -> Engine:
    """An engine of a network's graph, which is written to a temporary folder and compared as every export."""
    with tempfile.TemporaryDirectory(prefix="convbert-glue-") as folder:
        export(network, tokenizer, "", Path(folder) / kind, kind)
        return open_engine(Path(folder) / kind, device)  # which holds what it needs when this returns
