"""The dynamic engine: the network itself, batch by batch."""

import sys
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from encoders import distributed
from encoders.batching import Batch, Features, by_length
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.span_heads import JointSpanHead
from inference import running
from inference.exported import HEADS
from inference.running import Engine, Outputs


def tensors(batch: Batch) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor | None]:
    """ids, token types (B, T) int64 and mask (B, T) float32 or None, as the networks take them."""
    mask = None if batch.mask is None else paddle.to_tensor(batch.mask)
    return paddle.to_tensor(batch.ids), paddle.to_tensor(batch.token_types), mask


def predict_logits(
    model: SentenceClassifier | Engine, features: Features, batch_size: int, progress: str = ""
) -> np.ndarray:
    """(N, L) float32 logits in the order of the features; a network must be in evaluation mode.

    Of several processes with a network each runs its share, and all get all logits; an engine's run all.
    progress: the progress bar's title; no bar without one, or where stderr is no terminal.
    """
    if not isinstance(model, SentenceClassifier):
        return running.predict_logits(model, features, batch_size, progress)
    out = np.zeros((len(features), model.outputs), dtype=np.float32)
    hidden = not progress or not sys.stderr.isatty()
    with paddle.no_grad(), tqdm(total=len(features), unit="row", desc=progress, disable=hidden) as bar:
        for number, batch in enumerate(by_length(features, batch_size, model.config.pad_token_id)):
            if number % distributed.world_size() == distributed.rank():
                out[batch.rows] = model(*tensors(batch)).astype("float32").numpy()
            bar.update(len(batch))
    return distributed.all_reduce_array(out)  # a row is 0 in all processes but one


def head_of(model: "paddle.nn.Layer") -> str:
    """Which of ``inference.exported.HEADS`` a network has."""
    if isinstance(model, SentenceClassifier):
        return "sentence"
    return "beams" if isinstance(model.span_head, JointSpanHead) else "spans"


class DynamicEngine(Engine):
    """A network in evaluation mode, with the same call as the engines of exported graphs."""

    at_once = 1

    def __init__(self, model: "paddle.nn.Layer") -> None:
        self.config, self.head = model.config, head_of(model)
        self._model = model

    def __call__(self, batch: Batch) -> Outputs:
        with paddle.no_grad():
            answers = self._model(*tensors(batch))
        parts = answers if isinstance(answers, tuple) else (answers,)
        return dict(zip(HEADS[self.head], (part.numpy() for part in parts), strict=True))


class ExactEngine(DynamicEngine):
    """The same of a network whose parameters are float64."""

    def __call__(self, batch: Batch) -> Outputs:
        mask = None if batch.mask is None else batch.mask.astype(np.float64)
        return super().__call__(replace(batch, mask=mask))
