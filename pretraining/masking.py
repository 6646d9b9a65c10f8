"""Which tokens the generator has to fill in. No Paddle.

All that is random about an example follows from a key and its number alone: it is the same however the
examples are dealt out to processes, and a resumed run needs no state.
B rows, T tokens, M masked tokens of a batch.
"""

from dataclasses import dataclass

import numpy as np

from encoders.batching import Batch
from encoders.tokenizer import Tokenizer
from pretraining.batches import Key, real_of, tokens_of

MASK_TOKEN_SHARE = 0.85  # of the masked tokens; the others stay as they are (the authors' replace_with_mask)
_POSITIONS, _NOISE = 0, 1  # what a generator of random numbers is for


@dataclass(frozen=True)
class MaskedBatch:
    """A batch with some tokens to fill in."""

    original: Batch  # the batch itself
    ids: np.ndarray  # (B, T) int64, with [MASK] in most of the masked positions
    positions: np.ndarray  # (M,) int64, ascending, where in the flattened ids they are
    counts: np.ndarray  # (B,) how many each row has
    key: Key  # what all that is random about the batch follows from

    @property
    def answers(self) -> np.ndarray:
        """(M,) the tokens that were there."""
        return self.original.ids.reshape(-1)[self.positions]

    @property
    def tokens(self) -> int:
        """How many of its tokens are real."""
        return tokens_of(self.original)

    def noise_of(self, row: int) -> np.random.Generator:
        """The random numbers that the generator samples a row with: anew from the start at every call."""
        return _draws(self.key, int(self.original.rows[row]), _NOISE)


class Masking:
    """The authors' masking (``pretrain_helpers.mask``): of every example a share of its tokens, special
    ones counted but never masked, at least one. Unlike theirs no token is drawn twice."""

    def __init__(self, tokenizer: Tokenizer, share: float) -> None:
        self._share, self._mask_id = share, tokenizer.token_id("mask_token")
        self._never = [tokenizer.token_id(role) for role in ("cls_token", "sep_token", "mask_token")]

    def __call__(self, batch: Batch, key: Key) -> MaskedBatch:
        real = real_of(batch)
        allowed = real & ~np.isin(batch.ids, self._never)
        ids = batch.ids.copy()
        chosen = []
        for row, number in enumerate(batch.rows):
            draw = _draws(key, int(number), _POSITIONS)
            candidates = np.flatnonzero(allowed[row])
            count = min(len(candidates), max(1, round(self._share * int(real[row].sum()))))
            columns = np.sort(draw.choice(candidates, count, replace=False))
            ids[row, columns[draw.random(count) < MASK_TOKEN_SHARE]] = self._mask_id
            chosen.append(columns + row * ids.shape[1])
        counts = np.array([len(positions) for positions in chosen])
        return MaskedBatch(batch, ids, np.concatenate(chosen).astype(np.int64), counts, key)


def _draws(key: Key, number: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64([*key, number, purpose]))
