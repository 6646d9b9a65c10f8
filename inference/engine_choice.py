"""Which engine runs a model folder."""

import tempfile
from pathlib import Path

from common.errors import InputError
from encoders import distributed
from encoders.cpu import kernels
from encoders.framework import paddle
from encoders.tokenizer import Tokenizer
from inference.engine import Engine
from inference.export import check_packages, export, missing_package
from inference.graph_engine import open_engine

ENGINES = ("auto", "dynamic", "paddle", "onnx")
MIN_TOKENS_FOR_GRAPH = 500_000  # for fewer, writing and comparing a graph takes longer than it saves


def choose_engine(requested: str, device: str, tokens: int) -> str:
    """Choose the engine for a model folder.

    ``auto`` is ONNX Runtime on a CPU if it is installed, nothing is compiled for the network itself
    (``encoders.cpu.kernels``), one process does the work and there is enough of it; else the network.
    InputError where what was requested is not installed or does not run there.
    """
    if requested == "auto":
        fits = device == "cpu" and distributed.world_size() == 1 and tokens >= MIN_TOKENS_FOR_GRAPH
        return "onnx" if fits and kernels.library() is None and not missing_package("onnx") else "dynamic"
    if requested == "dynamic":
        return requested
    check_packages(requested)
    if device not in ("cpu", "gpu"):
        raise InputError(f"--engine {requested}: does not know --device {device}; take --engine dynamic")
    if distributed.world_size() > 1:
        raise InputError(f"--engine {requested}: runs in one process; several share --engine dynamic")
    return requested


def exported_engine(network: "paddle.nn.Layer", tokenizer: Tokenizer, kind: str, device: str) -> Engine:
    """Export a network to a temporary folder and open the graph's engine."""
    with tempfile.TemporaryDirectory(prefix="convbert-glue-") as folder:
        export(network, tokenizer, "", Path(folder) / kind, kind)
        return open_engine(Path(folder) / kind, device)  # which holds what it needs when this returns
