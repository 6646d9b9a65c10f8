"""Paddle's static graph: ``paddle.jit.save`` writes it, ``paddle.inference`` runs it."""

import os
import threading
import warnings
from pathlib import Path

import numpy as np

from common.errors import InputError
from encoders import runtime
from encoders.batching import Batch
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.span_heads import JointSpanHead, SpanModel, mask_question
from inference.engine import Engine, Outputs, dense_mask
from inference.exported import HEADS, INPUTS, ExportedModel

F = paddle.nn.functional

_STEM = "model"
_WEIGHTS = f"{_STEM}.pdiparams"
_GRAPHS = (f"{_STEM}.json", f"{_STEM}.pdmodel")  # Paddle 3's, Paddle 2's


def write_paddle_graph(folder: Path, model: "paddle.nn.Layer") -> str:
    """Write a network's graph and weights into a folder; afterwards the network is a static one.

    Returns the name of the graph's file.
    """
    if _is_paddle_2():  # whose jit.save knows neither super() nor autograd functions
        reason = f"this Paddle ({paddle.__version__}) cannot write the network as a graph"
        raise InputError(f"{reason}: take the format onnx, or Paddle 3")
    if isinstance(model, SpanModel) and isinstance(model.span_head, JointSpanHead):
        model = StaticBeams(model)
        model.eval()
    elif isinstance(model, SentenceClassifier) and not model.encoder.reads_token_types:
        model = StaticClassifier(model)
        model.eval()
    spec = [paddle.static.InputSpec([None, None], kind, name) for name, (kind, _) in INPUTS.items()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of methods that our code asks for and does not need
        paddle.jit.save(model, str(folder / _STEM), input_spec=spec)
    for extra in folder.glob(f"{_STEM}.pdiparams.*"):
        extra.unlink()
    return next(name for name in _GRAPHS if (folder / name).is_file())


def _is_paddle_2() -> bool:
    return str(paddle.__version__).startswith("2.")


class StaticClassifier(paddle.nn.Layer):
    """A classifier whose network has no use for token types: a graph must use all of its inputs."""

    def __init__(self, model: SentenceClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: paddle.Tensor, token_types: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
        """(B, L) logits."""
        return self.model(ids, token_types, mask) + 0.0 * token_types[:, :1].astype("float32")


class StaticBeams(paddle.nn.Layer):
    """A model with the joint head as a static graph can hold it: no loop over a beam whose length is not
    known before it runs. See ``inference.onnx_heads``, which has the same form."""

    def __init__(self, model: SpanModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, ids: paddle.Tensor, token_types: paddle.Tensor, mask: paddle.Tensor
    ) -> tuple[paddle.Tensor, ...]:
        """As ``encoders.span_heads.Beams``."""
        head, hidden = self.model.span_head, self.model.encoder(ids, token_types, mask)
        width = hidden.shape[-1]
        start = head.start_logits(hidden, token_types)
        count = paddle.minimum(paddle.shape(ids)[1].astype("int32"), paddle.full([], head.beam, "int32"))
        chances, start_at = paddle.topk(F.log_softmax(start, axis=-1), count, axis=-1)  # (B, K)
        weight = head.end_hidden.weight  # (2H, W): of the start's state, and of the token's
        by_start = paddle.matmul(hidden, weight[:width])
        by_token = paddle.matmul(hidden, weight[width:]) + head.end_hidden.bias
        chosen = paddle.take_along_axis(by_start, start_at.unsqueeze(-1), axis=1)  # (B, K, W)
        inner = F.gelu(chosen.unsqueeze(2) + by_token.unsqueeze(1))  # (B, K, T, W)
        end = head.end(inner).squeeze(-1) + mask_question(paddle.zeros_like(start), token_types).unsqueeze(1)
        ends, end_at = paddle.topk(F.log_softmax(end, axis=-1), count, axis=-1)
        return chances, start_at, ends, end_at, head.impossible_logits(hidden, start)


class PaddleEngine(Engine):
    """An exported Paddle graph in ``paddle.inference``. One call at a time, others wait."""

    def __init__(self, exported: ExportedModel, device: str = "cpu", threads: int = 0) -> None:
        self.config, self.head = exported.config, exported.head
        self._predictor = _predictor(exported, device, threads or runtime.thread_count())
        self._lock = threading.Lock()

    def __call__(self, batch: Batch) -> Outputs:
        arrays = (batch.ids, batch.token_types, dense_mask(batch))
        with self._lock:
            for name, array in zip(INPUTS, arrays, strict=True):
                self._predictor.get_input_handle(name).copy_from_cpu(np.ascontiguousarray(array))
            self._predictor.run()
            names = self._predictor.get_output_names()
            outputs = [self._predictor.get_output_handle(name).copy_to_cpu() for name in names]
        return dict(zip(HEADS[self.head], outputs, strict=True))


def _predictor(exported: ExportedModel, device: str, threads: int):  # type: ignore[no-untyped-def]
    weights = exported.folder / _WEIGHTS
    if not os.access(weights, os.R_OK):
        raise InputError("no such file; export the model again", path=weights)
    if _is_paddle_2() and exported.path.suffix == ".json":  # at which it would crash
        reason = f"Paddle 3 wrote it, and this one ({paddle.__version__}) cannot read it"
        raise InputError(f"{reason}; take Paddle 3, or export with --format onnx", path=exported.path)
    config = paddle.inference.Config(str(exported.path), str(weights))
    if device == "gpu":
        if not paddle.is_compiled_with_cuda():
            raise InputError(f"--device gpu: this PaddlePaddle ({paddle.__version__}) is built without it")
        config.enable_use_gpu(256, 0)
    else:
        config.disable_gpu()
    # Paddle's default oneDNN passes crash on ConvBERT's graph; without them it is exact.
    (config.disable_onednn if hasattr(config, "disable_onednn") else config.disable_mkldnn)()
    config.set_cpu_math_library_num_threads(threads)
    config.disable_glog_info()
    try:
        return paddle.inference.create_predictor(config)
    except (RuntimeError, ValueError) as error:
        reason = f"Paddle cannot load it: {' '.join(str(error).split())[:200]}; export the model again"
        raise InputError(reason, path=exported.path) from None
