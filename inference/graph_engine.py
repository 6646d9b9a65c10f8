"""Opening the engine of an exported folder. Paddle is loaded only for Paddle's graphs."""

from pathlib import Path

from common.dispatch import dispatch
from inference.engine import Engine
from inference.exported import ExportedModel, read_exported
from inference.onnx_engine import OnnxEngine


def open_engine(folder: str | Path | ExportedModel, device: str = "cpu", threads: int = 0) -> Engine:
    """Open the engine for an exported folder's graph.

    Args:
        folder: The exported folder, or what ``read_exported`` returned for it.
        device: ``cpu`` or ``gpu`` (the tests have a CPU only and never run the gpu way).
        threads: Threads to compute with; 0: as the environment says.
    """
    exported = folder if isinstance(folder, ExportedModel) else read_exported(folder)
    if exported.format == "onnx":
        return OnnxEngine(exported, device, threads)
    return dispatch("inference.paddle_engine:PaddleEngine", exported, device, threads)
