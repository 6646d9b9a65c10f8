"""The ONNX Runtime engine: neither Paddle nor the network's code is loaded."""

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import IO, Any

from common.errors import InputError
from encoders import runtime
from encoders.batching import Batch
from inference.engine import Engine, Outputs, dense_mask
from inference.exported import HEADS, ExportedModel

MAX_CONCURRENCY = 4  # batches at once; each needs its memory
_PROVIDERS = {"cpu": "CPUExecutionProvider", "gpu": "CUDAExecutionProvider"}


class OnnxEngine(Engine):
    """An exported ONNX graph in ONNX Runtime. It may be called from several threads.

    Several batches keep the cores busier than one that is shared among them. There is a session for calls
    that have all cores to themselves, and one for those that share them, each made when it is first needed,
    of the file as it was at first, whatever has become of it since.
    """

    def __init__(self, exported: ExportedModel, device: str = "cpu", threads: int = 0) -> None:
        self.config, self.head = exported.config, exported.head
        threads = threads or runtime.threads_to_use()
        self.concurrency = min(threads, MAX_CONCURRENCY) if device == "cpu" else 1
        opened = partial(_open, exported, open(exported.path, "rb"), device)  # noqa: SIM115 (as long as this)
        self._alone = _LazySession(partial(opened, threads, spinning=self.concurrency > 1))
        self._shared = _LazySession(partial(opened, threads // self.concurrency, spinning=False))

    def __call__(self, batch: Batch) -> Outputs:
        return self._alone(batch)

    def run_beside_others(self, batch: Batch) -> Outputs:
        return self._shared(batch)


class _LazySession:
    """The graph, opened when it is first needed."""

    def __init__(self, open_session: Callable[[], Any]) -> None:
        self._open = open_session
        self._session: Any = None
        self._opening = Lock()

    def __call__(self, batch: Batch) -> Outputs:
        with self._opening:
            self._session = self._session or self._open()
        inputs = {"ids": batch.ids, "token_types": batch.token_types, "mask": dense_mask(batch)}
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, inputs), strict=True))


def _open(exported: ExportedModel, file: IO[bytes], device: str, threads: int, spinning: bool) -> Any:
    """A session. spinning: threads wait for each other without sleeping: a row by itself takes two thirds of
    the time so. Several sessions would take each other's cores, and tokenising's."""
    try:
        import onnxruntime as ort
    except ImportError:
        reason = "ONNX Runtime is not installed: pip install -e '.[onnx]'"
        raise InputError(reason, path=exported.path) from None
    ort.set_default_logger_severity(3)  # errors only
    provider = _PROVIDERS.get(device, device)
    if provider not in ort.get_available_providers():
        raise InputError(f"--device {device}: this onnxruntime ({ort.__version__}) is built without it")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A plan of the memory would be kept for every shape ever seen, and every batch has another one.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    options.add_session_config_entry("session.force_spinning_stop", "1")  # when a call is over
    try:
        file.seek(0)
        session = ort.InferenceSession(file.read(), options, providers=[provider])
    except Exception as error:  # ONNX Runtime's exceptions have no common name
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        reason = f"ONNX Runtime cannot load it: {str(error).strip().splitlines()[0]}; export the model again"
        raise InputError(reason, path=exported.path) from None
    shapes = {output.name: output.shape for output in session.get_outputs()}
    labels = max(1, len(exported.config.id2label))
    if set(shapes) != set(HEADS[exported.head]) or shapes.get("logits", [labels])[-1] != labels:
        reason = "is not the graph of this folder's model; export the model again"
        raise InputError(reason, path=exported.path)
    return session
