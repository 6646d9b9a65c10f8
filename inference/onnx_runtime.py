"""The ONNX Runtime engine: neither Paddle nor the network's code is loaded."""

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import IO, Any

from common.errors import InputError
from encoders import runtime
from encoders.batching import Batch
from inference.exported import HEADS, Exported
from inference.running import Engine, Outputs, mask_of

_MOST_AT_ONCE = 4
_PROVIDERS = {"cpu": "CPUExecutionProvider", "gpu": "CUDAExecutionProvider"}


class OnnxEngine(Engine):
    """An exported ONNX graph in ONNX Runtime. It may be called from several threads.

    There is a session for calls that have all cores to themselves, and one for those that share them, each
    made when it is first needed, of the file as it was at first, whatever has become of it since.
    """

    def __init__(self, exported: Exported, device: str = "cpu", threads: int = 0) -> None:
        self.config, self.head = exported.config, exported.head
        threads = threads or runtime.threads_to_use()
        # Several batches keep the cores busier than one that is shared among them; each needs its memory.
        self.at_once = min(threads, _MOST_AT_ONCE) if device == "cpu" else 1
        opened = partial(_open, exported, open(exported.path, "rb"), device)  # noqa: SIM115 (as long as this)
        self._alone = _Session(partial(opened, threads, spinning=self.at_once > 1))
        self._share = _Session(partial(opened, threads // self.at_once, spinning=False))

    def __call__(self, batch: Batch) -> Outputs:
        return self._alone(batch)

    def share(self, batch: Batch) -> Outputs:
        return self._share(batch)


class _Session:
    """The graph, opened when it is first needed."""

    def __init__(self, open_session: Callable[[], Any]) -> None:
        self._open = open_session
        self._session: Any = None
        self._opening = Lock()

    def __call__(self, batch: Batch) -> Outputs:
        with self._opening:
            self._session = self._session or self._open()
        inputs = {"ids": batch.ids, "token_types": batch.token_types, "mask": mask_of(batch)}
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, inputs), strict=True))


def _open(exported: Exported, file: IO[bytes], device: str, threads: int, spinning: bool) -> Any:
    """A session. spinning: threads wait for each other without sleeping: a row by itself takes two thirds of
    the time so. Several sessions would take each other's cores, and tokenising's."""
    try:
        import onnxruntime as ort
    except ImportError:
        raise InputError(
            f"{exported.path}: ONNX Runtime is not installed: pip install -e '.[onnx]'"
        ) from None
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
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{exported.path}: ONNX Runtime cannot load it: {reason}; export the model again"
        ) from None
    found = {output.name: output.shape for output in session.get_outputs()}
    labels = max(1, len(exported.config.id2label))
    if set(found) != set(HEADS[exported.head]) or found.get("logits", [labels])[-1] != labels:
        raise InputError(f"{exported.path}: is not the graph of this folder's model; export the model again")
    return session
