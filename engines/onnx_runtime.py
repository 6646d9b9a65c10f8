"""The ONNX Runtime engine: neither Paddle nor the network's code is loaded."""

from pathlib import Path

from commands.errors import InputError
from convbert import runtime
from convbert.batching import Batch
from engines.exported import Exported
from engines.running import Outputs, mask_of

_MOST_AT_ONCE = 4
_PROVIDERS = {"cpu": "CPUExecutionProvider", "gpu": "CUDAExecutionProvider"}


class OnnxEngine:
    """An exported ONNX graph in ONNX Runtime. It may be called from several threads."""

    def __init__(self, exported: Exported, device: str = "cpu", threads: int = 0) -> None:
        self.config, self.head = exported.config, exported.head
        threads = threads or runtime.threads_to_use()
        # Several batches keep the cores busier than one that is shared among them; each needs its memory.
        self.at_once = min(threads, _MOST_AT_ONCE) if device == "cpu" else 1
        self._session = _session(exported.path, device, threads)
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, batch: Batch) -> Outputs:
        inputs = {"ids": batch.ids, "token_types": batch.token_types, "mask": mask_of(batch)}
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))


def _session(path: Path, device: str, threads: int):  # type: ignore[no-untyped-def]
    try:
        import onnxruntime as ort
    except ImportError:
        raise InputError(f"{path}: ONNX Runtime is not installed: pip install -e '.[onnx]'") from None
    ort.set_default_logger_severity(3)  # errors only
    provider = _PROVIDERS.get(device, device)
    if provider not in ort.get_available_providers():
        raise InputError(f"--device {device}: this onnxruntime ({ort.__version__}) is built without it")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A plan of the memory would be kept for every shape ever seen, and every batch has another one.
    options.enable_mem_pattern = False
    # Threads that spin while they wait would take the cores from tokenising and from the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # ONNX Runtime's exceptions have no common name
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: ONNX Runtime cannot load it: {reason}; export the model again") from None
