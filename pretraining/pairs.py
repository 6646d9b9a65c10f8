"""The two texts of an example, each by itself, and how near a teacher sees them. No Paddle."""

from dataclasses import dataclass

import numpy as np

from encoders.batching import Batch, pack, pad
from pretraining.batches import real_of


def separate_texts(batch: Batch, pad_id: int) -> tuple[Batch, np.ndarray]:
    """The texts of the n examples that have two, each as an example of its own: all first ones, then
    all second ones (2n rows). And which rows of the batch they are of: (n,). n must not be 0."""
    real = real_of(batch)
    second = real & (batch.token_types == 1)
    rows = np.flatnonzero(second.any(axis=1))
    opening = batch.ids[0, :1]  # [CLS], which the first text has already
    texts = [batch.ids[row, real[row] & ~second[row]] for row in rows]
    texts += [np.concatenate([opening, batch.ids[row, second[row]]]) for row in rows]
    return pad(pack([(text.tolist(), len(text)) for text in texts]), np.arange(len(texts)), pad_id), rows


def has_pairs(batch: Batch) -> bool:
    return bool((real_of(batch) & (batch.token_types == 1)).any())


@dataclass(frozen=True)
class Nearness:
    """Of the n pairs of a batch (B, T): rows (n,), and texts (n,), the cosine of each one's two texts;
    places (m,) in the flattened batch of the tokens between [CLS] and [SEP], and tokens (m,), each one's
    cosine to the nearest such token of the other text."""

    rows: np.ndarray
    texts: np.ndarray
    places: np.ndarray
    tokens: np.ndarray


def nearness_of(batch: Batch, rows: np.ndarray, texts: Batch, states: np.ndarray) -> Nearness:
    """rows, texts: of ``separate_texts``. states: the hidden states (2n, T', W) of the texts."""
    real = real_of(texts)
    vectors = _unit((states * real[:, :, None]).sum(axis=1))
    firsts, seconds = np.split(_unit(states), 2)
    ends = np.split(real.sum(axis=1) - 1, 2)  # where each [SEP] stands
    places, tokens = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=states.dtype)]
    for row, first, second, end, last in zip(rows, firsts, seconds, *ends, strict=True):
        if end > 1 and last > 1:  # neither is empty
            cosines = first[1:end] @ second[1:last].T
            begin = row * batch.ids.shape[1]
            places += [begin + np.arange(1, end), begin + np.arange(end + 1, end + last)]
            tokens += [cosines.max(axis=1), cosines.max(axis=0)]
    n = len(rows)
    return Nearness(
        rows, (vectors[:n] * vectors[n:]).sum(axis=1), np.concatenate(places), np.concatenate(tokens)
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
