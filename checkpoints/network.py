"""A model folder ↔ a network of ours in Paddle."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from checkpoints.folder import Checkpoint, StateDict, open_checkpoint
from common.messages import note_once
from encoders.framework import paddle
from encoders.heads import SentenceClassifier


def shapes_of(model: paddle.nn.Layer, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Name → shape of every parameter. prefix: what a part of a network is called in the whole."""
    return {prefix + name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def fill(model: paddle.nn.Layer, state: StateDict, prefix: str = "") -> None:
    """Put the arrays that were read into a network; parameters that are not among them stay as they are."""
    for name, parameter in model.named_parameters():
        if prefix + name in state.arrays:
            parameter.set_value(state.arrays[prefix + name])


def arrays_of(model: paddle.nn.Layer, prefix: str = "") -> dict[str, np.ndarray]:
    """Name → array of every parameter."""
    return {prefix + name: parameter.numpy() for name, parameter in model.named_parameters()}


def mean_weights(networks: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Name → mean of a parameter of several networks, added in float64: the mean of equal ones is exact."""
    sums: dict[str, np.ndarray] = {}
    count = 0
    for arrays in networks:
        sums = {name: array.astype(np.float64) + sums.get(name, 0.0) for name, array in arrays.items()}
        count += 1
    return {name: (total / count).astype(np.float32) for name, total in sums.items()}


def load_weights(model: paddle.nn.Layer, checkpoint: Checkpoint, prefix: str = "") -> None:
    """Fill a network with a folder's weights; notes on names that were read otherwise are printed."""
    state = checkpoint.read(shapes_of(model, prefix))
    for text in state.notes:
        note_once(text)
    fill(model, state, prefix)


def load_classifier(source: str | Path | Checkpoint, **changes: Any) -> SentenceClassifier:
    """A fine-tuned classifier, ready to answer (dropout off).

    Args:
        source: Its folder, or the folder as it was opened.
        changes: Fields of EncoderConfig where source is a path, such as ``reference_padding=True``.
    """
    checkpoint = source if isinstance(source, Checkpoint) else open_checkpoint(source, **changes)
    model = SentenceClassifier(checkpoint.config)
    load_weights(model, checkpoint)
    model.eval()
    return model
