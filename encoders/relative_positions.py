"""Which embedding DeBERTa has for a distance between two tokens. No Paddle: graphs need it too."""

import numpy as np

from encoders.config import EncoderConfig


def buckets(distances: np.ndarray, count: int, most: int) -> np.ndarray:
    """Distances → their buckets: one each below count/2, logarithmically more in one beyond, up to ``most``.

    In float32, as DeBERTa's authors compute it.
    """
    half = count // 2
    size = np.where(np.abs(distances) < half, half - 1, np.abs(distances)).astype(np.float32)
    ratio = np.log(np.float32((most - 1) / half))
    far = np.ceil(np.log(size / np.float32(half)) / ratio * np.float32(half - 1)) + half
    return np.where(size <= half, distances, far.astype(np.int64) * np.sign(distances)).astype(np.int64)


def distance_rows(config: EncoderConfig) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the table of distances, for texts of M = config.max_tokens tokens.

    Returns:
        (2M,) int64 each, for the distances M − 1, M − 2, …, −M from the query back to the key, and from the
        key back to the query. Those of T tokens are 2T of them, from M − T on.
    """
    most, span = config.max_tokens, config.position_span
    distances = np.arange(most - 1, -most - 1, -1)
    if config.position_buckets > 0:
        limit = config.max_relative_positions
        limit = config.max_position_embeddings if limit < 1 else limit
        distances = buckets(distances, config.position_buckets, limit)
    return tuple(np.clip(sign * distances + span, 0, 2 * span - 1) for sign in (1, -1))  # type: ignore[return-value]
