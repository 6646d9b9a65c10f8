"""The dynamic engine: the network itself, batch by batch."""

from collections.abc import Iterator
from dataclasses import replace
from threading import Lock

import numpy as np

from common.progress import progress_bar
from encoders import distributed
from encoders.batching import Batch, Features, by_length
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.span_heads import JointSpanHead
from inference import engine
from inference.engine import Engine, Outputs
from inference.exported import HEADS


def tensors(batch: Batch) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor | None]:
    """A batch as the networks take it: ids and token types (B, T) int64, mask (B, T) float32 or None."""
    mask = None if batch.mask is None else paddle.to_tensor(batch.mask)
    return paddle.to_tensor(batch.ids), paddle.to_tensor(batch.token_types), mask


def predict_logits(
    model: SentenceClassifier | Engine, features: Features, batch_size: int, progress: str = ""
) -> np.ndarray:
    """Run a sentence classifier over all rows; arguments and result as of ``inference.engine``'s.

    Several processes share the rows of a network, and all get all logits; each runs all rows of an engine.
    """
    if not isinstance(model, SentenceClassifier):
        return engine.predict_logits(model, features, batch_size, progress)
    logits = np.zeros((len(features), model.outputs), dtype=np.float32)
    for batch, outputs in run_network(model, features, batch_size, progress):
        logits[batch.rows] = outputs["logits"]
    return distributed.all_reduce(logits)  # a row is 0 in all processes but one


def run_network(
    model: "paddle.nn.Layer", features: Features, batch_size: int, progress: str = ""
) -> Iterator[tuple[Batch, Outputs]]:
    """Run a network over this process's share of the rows, the longest first; arguments as above."""
    network = NetworkEngine(model)
    with progress_bar(len(features), progress if distributed.is_first() else "") as bar:
        for number, batch in enumerate(by_length(features, batch_size, model.config.pad_token_id)):
            if number % distributed.world_size() == distributed.rank():
                yield batch, network(batch)
            bar.update(len(batch))


def head_of(model: "paddle.nn.Layer") -> str:
    """Which of ``inference.exported.HEADS`` a network has."""
    if isinstance(model, SentenceClassifier):
        return "sentence"
    return "beams" if isinstance(model.span_head, JointSpanHead) else "spans"


class NetworkEngine(Engine):
    """A network in evaluation mode, called like the engine of an exported graph; threads compute in turn.

    mask_dtype: that of the network's parameters.
    """

    def __init__(self, model: "paddle.nn.Layer", mask_dtype: str = "float32") -> None:
        self.config, self.head = model.config, head_of(model)
        self._model, self._mask_dtype, self._lock = model, mask_dtype, Lock()

    def __call__(self, batch: Batch) -> Outputs:
        if batch.mask is not None:
            batch = replace(batch, mask=batch.mask.astype(self._mask_dtype, copy=False))
        with self._lock, paddle.no_grad():
            outputs = self._model(*tensors(batch))
        parts = outputs if isinstance(outputs, tuple) else (outputs,)
        return dict(zip(HEADS[self.head], (part.numpy() for part in parts), strict=True))
