"""A model folder ↔ a network of ours in Paddle."""

from pathlib import Path
from typing import Any

import numpy as np

from checkpoints.folder import Checkpoint, read_checkpoint, read_config
from common.messages import note_once
from encoders.config import EncoderConfig
from encoders.framework import paddle
from encoders.heads import SentenceClassifier


def shapes_of(model: paddle.nn.Layer) -> dict[str, tuple[int, ...]]:
    """Name → shape of every parameter."""
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def fill(model: paddle.nn.Layer, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's arrays into a network; parameters it has not stay as they are."""
    for name, parameter in model.named_parameters():
        if name in checkpoint.arrays:
            parameter.set_value(checkpoint.arrays[name])


def arrays_of(model: paddle.nn.Layer) -> dict[str, np.ndarray]:
    """Name → array of every parameter."""
    return {name: parameter.numpy() for name, parameter in model.named_parameters()}


def load_classifier(
    folder: str | Path, config: EncoderConfig | None = None, **changes: Any
) -> SentenceClassifier:
    """A fine-tuned classifier from its folder, ready to answer (dropout off).

    config: as whoever read the folder has it, its labels named by --label_map; None: as the folder says.
    changes: fields of EncoderConfig where there is no config, such as ``reference_padding=True``.
    """
    config = config or read_config(folder, **changes)
    model = SentenceClassifier(config)
    checkpoint = read_checkpoint(folder, config, shapes_of(model))
    for text in checkpoint.notes:
        note_once(text)
    fill(model, checkpoint)
    model.eval()
    return model
