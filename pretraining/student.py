"""The network that learns from a larger one, and the embeddings that it begins with: principal components."""

from collections.abc import Mapping

import numpy as np

from checkpoints.network import arrays_of
from encoders.config import EncoderConfig
from encoders.encoder import Encoder, initialise
from encoders.framework import paddle
from encoders.layers import Linear

nn = paddle.nn

_TABLES = "encoder.embeddings.{}.weight"
_PROJECTION_RANGE = 0.02  # small: the first predictions are near the mean


class Student(nn.Layer):
    """The encoder to train, and the heads that serve the objective alone and are not exported.

    ``head`` projects the states of every matched layer to the teacher's width; ``pair_head`` predicts from
    the last states how near the two texts of a pair are (at [CLS]) and each token to the other text.
    """

    def __init__(self, config: EncoderConfig, width: int, matched: int, pairs: bool = False) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.head = nn.LayerList([Linear(config.hidden_size, width) for _ in range(matched)])
        self.pair_head = Linear(config.hidden_size, 2) if pairs else None
        initialise(self.encoder, config.initializer_range)
        initialise(self.head, _PROJECTION_RANGE)
        if self.pair_head is not None:
            initialise(self.pair_head, _PROJECTION_RANGE)


def take_embeddings(encoder: Encoder, teacher: Encoder, seed: int) -> None:
    """Let a new encoder begin with the teacher's embeddings, narrowed to its width."""
    wide = {f"encoder.embeddings.{name}": value for name, value in arrays_of(teacher.embeddings).items()}
    tables = narrowed(wide, encoder.config.embedding_size)
    for name, parameter in encoder.embeddings.named_parameters():
        table = tables.get(f"encoder.embeddings.{name}")
        if table is not None and table.shape[1] == parameter.shape[1]:
            rest = parameter.numpy()[len(table) :]  # positions or token types that the teacher has not
            parameter.set_value(np.concatenate([table[: len(parameter)], rest]))
        elif name == "projection.weight":
            parameter.set_value(isometry(parameter.shape[0], parameter.shape[1], seed))


def narrowed(teacher: Mapping[str, np.ndarray], width: int) -> dict[str, np.ndarray]:
    """Embedding tables of ``width`` columns, by our parameter names.

    The teacher's words are centred, and words, positions and token types turned onto the directions in
    which the words differ most. What is common to all words goes into the token types, since every token
    has one. Where the teacher is no wider, its tables as they are.
    """
    tables = {part: teacher[_TABLES.format(part)] for part in ("word", "position", "token_type")}
    if tables["word"].shape[1] <= width:
        return {_TABLES.format(part): table for part, table in tables.items()}
    mean = tables["word"].mean(axis=0)
    centred = (tables["word"] - mean).astype(np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    turn = directions[:, ::-1][:, :width]
    tables["word"] = centred
    tables["token_type"] = tables["token_type"] + mean
    return {_TABLES.format(part): (table @ turn).astype(np.float32) for part, table in tables.items()}


def isometry(width_in: int, width_out: int, seed: int) -> np.ndarray:
    """A random (in, out) matrix that keeps lengths (in ≤ out) or scales no direction up (in > out)."""
    tall = np.random.default_rng(seed).normal(size=(max(width_in, width_out), min(width_in, width_out)))
    orthonormal, _ = np.linalg.qr(tall)
    return (orthonormal.T if width_in < width_out else orthonormal).astype(np.float32)
