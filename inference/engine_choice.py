"""Which engine runs a model folder."""

import tempfile
from pathlib import Path

from common.errors import InputError
from encoders import distributed
from encoders.cpu import kernels, onednn
from encoders.framework import paddle
from encoders.tokenizer import Tokenizer
from inference.engine import Engine
from inference.export import check_packages, export, missing_package
from inference.graph_engine import open_engine

ENGINES = ("auto", "dynamic", "bfloat16", "paddle", "onnx")
MIN_TOKENS_FOR_GRAPH = 500_000  # for fewer, writing and comparing a graph takes longer than it saves
MIN_TOKENS_FOR_BFLOAT16 = 100_000  # for fewer, measuring its error takes as long as it saves


def choose_engine(requested: str, device: str, tokens: int, is_regression: bool = False) -> str:
    """Choose the engine for a model folder.

    ``auto`` is, on a CPU where one process does the work and there is enough of it: the network in bfloat16
    for a classifier, if the processor has instructions for matrices of it (``encoders.cpu.onednn``); else
    ONNX Runtime, if it is installed and nothing is compiled for the network (``encoders.cpu.kernels``).
    Otherwise it is the network. InputError where what was requested is not installed or does not run there.
    """
    is_alone = distributed.world_size() == 1
    if requested == "auto":
        return _fastest(tokens, is_regression) if device == "cpu" and is_alone else "dynamic"
    if requested == "dynamic":
        return requested
    if requested == "bfloat16":
        fault = onednn.status().fault if device == "cpu" else "runs on a CPU only"
        if fault := fault or ("" if is_alone else "runs in one process; several share --engine dynamic"):
            raise InputError(f"--engine bfloat16: {fault}")
        return "dynamic" if is_regression else requested
    check_packages(requested)
    if device not in ("cpu", "gpu"):
        raise InputError(f"--engine {requested}: does not know --device {device}; take --engine dynamic")
    if not is_alone:
        raise InputError(f"--engine {requested}: runs in one process; several share --engine dynamic")
    return requested


def _fastest(tokens: int, is_regression: bool) -> str:
    """What is fastest for so much work, on a CPU in one process."""
    if tokens >= MIN_TOKENS_FOR_BFLOAT16 and not is_regression and onednn.status().instructions == "amx":
        return "bfloat16"
    takes_graph = tokens >= MIN_TOKENS_FOR_GRAPH and kernels.library() is None and not missing_package("onnx")
    return "onnx" if takes_graph else "dynamic"


def exported_engine(network: "paddle.nn.Layer", tokenizer: Tokenizer, kind: str, device: str) -> Engine:
    """Export a network to a temporary folder and open the graph's engine."""
    with tempfile.TemporaryDirectory(prefix="convbert-glue-") as folder:
        export(network, tokenizer, "", Path(folder) / kind, kind)
        return open_engine(Path(folder) / kind, device)  # which holds what it needs when this returns
