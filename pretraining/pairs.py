"""The two texts of an example, each by itself, and how near a teacher sees them. No Paddle.

B rows, T tokens; n of the rows are pairs.
"""

from dataclasses import dataclass

import numpy as np

from encoders.batching import Batch, pack, pad
from pretraining.batches import real_of


def separate_texts(batch: Batch, pad_id: int, separators: int = 1) -> tuple[Batch, np.ndarray]:
    """Make each text of the pairs, of which there must be one, an example of its own.

    Returns all first texts, then all second ones (2n rows), and (n,) the rows of the pairs.
    """
    real = real_of(batch)
    second = real & (batch.token_types == 1)
    rows = np.flatnonzero(second.any(axis=1))
    cls = batch.ids[0, :1]  # the first text has it already
    texts = [batch.ids[row, real[row] & ~second[row]][: 1 - separators or None] for row in rows]
    texts += [np.concatenate([cls, batch.ids[row, second[row]]]) for row in rows]
    return pad(pack([(text.tolist(), len(text)) for text in texts]), np.arange(len(texts)), pad_id), rows


def has_pairs(batch: Batch) -> bool:
    """Whether any row has two texts."""
    return bool((real_of(batch) & (batch.token_types == 1)).any())


@dataclass(frozen=True)
class PairSimilarity:
    """How near the texts of a batch's pairs are."""

    rows: np.ndarray  # (n,) the rows of the pairs
    text_cosines: np.ndarray  # (n,) the cosine of the two texts of each
    positions: np.ndarray  # (m,) where in the flattened batch (B · T) the tokens between [CLS] and [SEP] are
    token_cosines: np.ndarray  # (m,) the cosine of each of them to the nearest such token of the other text


def pair_similarity(
    batch: Batch, rows: np.ndarray, texts: Batch, states: np.ndarray, separators: int = 1
) -> PairSimilarity:
    """Compare the two texts of each pair, from what ``separate_texts`` made of a batch and the hidden states
    (2n, T', W) of that."""
    real = real_of(texts)
    vectors = _normalised((states * real[:, :, None]).sum(axis=1))
    first_states, second_states = np.split(_normalised(states), 2)
    first_ends, second_ends = np.split(real.sum(axis=1) - 1, 2)  # where each [SEP] stands
    positions, token_cosines = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=states.dtype)]
    for row, first, second, end, second_end in zip(
        rows, first_states, second_states, first_ends, second_ends, strict=True
    ):
        if end > 1 and second_end > 1:  # neither is empty
            cosines = first[1:end] @ second[1:second_end].T
            start = row * batch.ids.shape[1]
            second_start = start + end + separators
            positions += [start + np.arange(1, end), second_start + np.arange(second_end - 1)]
            token_cosines += [cosines.max(axis=1), cosines.max(axis=0)]
    text_cosines = (vectors[: len(rows)] * vectors[len(rows) :]).sum(axis=1)
    return PairSimilarity(rows, text_cosines, np.concatenate(positions), np.concatenate(token_cosines))


def _normalised(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
