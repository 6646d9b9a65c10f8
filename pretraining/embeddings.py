"""Embeddings of a narrow network from a wide one: the principal components. No Paddle."""

from collections.abc import Mapping

import numpy as np

_TABLES = "encoder.embeddings.{}.weight"


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
