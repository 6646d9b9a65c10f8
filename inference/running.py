"""What all engines have in common: a batch in, the head's answers out; many rows through one. No Paddle."""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from tqdm import tqdm

from encoders.batching import Batch, Features, pad, parts, prediction_order
from encoders.config import EncoderConfig
from inference.exported import Exported, read_exported

Outputs = dict[str, np.ndarray]
A = TypeVar("A")
B = TypeVar("B")

_PART_COST = 16.0  # a call of an engine costs about as much as so many tokens


class Engine(Protocol):
    """Runs a network on batches. head: one of ``inference.exported.HEADS``, which names the outputs.

    A call takes the whole machine. at_once: calls of ``share``, each from a thread of its own, that together
    are faster than as many calls one after the other; 1 where there is nothing to share.
    """

    config: EncoderConfig
    head: str
    at_once: int

    def __call__(self, batch: Batch) -> Outputs: ...

    def share(self, batch: Batch) -> Outputs:
        """The same as a call, on its part of the machine."""
        return self(batch)


def open_engine(folder: str | Path | Exported, device: str = "cpu", threads: int = 0) -> Engine:
    """The engine that an exported folder is for. threads: to compute with; 0: as the environment says.

    device: ``cpu`` or ``gpu`` (the gpu way was not run by the authors' tests, which have a CPU only).
    """
    exported = folder if isinstance(folder, Exported) else read_exported(folder)
    if exported.format == "onnx":
        from inference.onnx_runtime import OnnxEngine

        return OnnxEngine(exported, device, threads)
    from inference.paddle_static import PaddleEngine

    return PaddleEngine(exported, device, threads)


def run(
    engine: Engine, features: Features, batch_size: int, progress: str = ""
) -> Iterator[tuple[Batch, Outputs]]:
    """All rows once in batches of like length, the longest first. progress: as in ``predict_logits``."""
    hidden = not progress or not sys.stderr.isatty()

    def answer(rows: np.ndarray) -> tuple[Batch, Outputs]:
        batch = pad(features, rows, engine.config.pad_token_id)
        return batch, compute(batch)

    size = min(batch_size, max(1, -(-len(features) // engine.at_once)))
    batches = list(_rows_of_batches(features, size))
    compute = engine.share if min(engine.at_once, len(batches)) > 1 else engine
    with tqdm(total=len(features), unit="row", desc=progress, disable=hidden) as bar:
        for batch, outputs in _mapped(answer, batches, engine.at_once):
            yield batch, outputs
            bar.update(len(batch))


def _rows_of_batches(features: Features, batch_size: int) -> Iterator[np.ndarray]:
    for batch in prediction_order(features.lengths, batch_size):
        rows = batch[::-1]
        for part in reversed(parts(features.lengths[rows], _PART_COST)):
            yield rows[part]


def _mapped(function: Callable[[A], B], values: Sequence[A], at_once: int) -> Iterator[B]:
    """``map`` on several threads, which run no further ahead than there are of them."""
    if min(at_once, len(values)) < 2:
        yield from map(function, values)
        return
    with ThreadPoolExecutor(at_once) as pool:
        running: deque[Future[B]] = deque()
        for value in values:
            running.append(pool.submit(function, value))
            if len(running) > at_once:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def predict_logits(engine: Engine, features: Features, batch_size: int, progress: str = "") -> np.ndarray:
    """(N, L) float32 logits of a sentence head in the order of the features.

    progress: the progress bar's title; no bar without one, or where stderr is no terminal.
    """
    out = np.zeros((len(features), max(1, len(engine.config.id2label))), dtype=np.float32)
    for batch, outputs in run(engine, features, batch_size, progress):
        out[batch.rows] = outputs["logits"]
    return out


def mask_of(batch: Batch) -> np.ndarray:
    """(B, T) float32: graphs always take a mask; a batch without padding has none."""
    return np.ones(batch.ids.shape, dtype=np.float32) if batch.mask is None else batch.mask
