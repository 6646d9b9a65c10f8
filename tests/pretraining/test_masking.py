"""Which tokens are masked: shares, places, and that they depend on nothing but key and example."""

from pathlib import Path

import numpy as np
import pytest

from encoders.batching import Batch
from encoders.tokenizer import Tokenizer
from pretraining.masking import MaskedBatch, Masking

ROWS, WIDTH = 400, 64


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> Tokenizer:
    return Tokenizer(tiny_folder)


@pytest.fixture(scope="module")
def batch(tokenizer: Tokenizer) -> Batch:
    """Rows of 5 to 64 tokens, ``[CLS] a [SEP] b [SEP]``, some with a [MASK] of their own."""
    draw = np.random.default_rng(0)
    first, separator, mask = (tokenizer.vocabulary[piece] for piece in ("[CLS]", "[SEP]", "[MASK]"))
    lengths = draw.integers(5, WIDTH + 1, size=ROWS)
    ids = draw.integers(10, len(tokenizer), size=(ROWS, WIDTH))
    real = np.arange(WIDTH) < lengths[:, None]
    ids[:, 0], ids[:, 2], ids[::7, 1] = first, separator, mask
    ids[np.arange(ROWS), lengths - 1] = separator
    ids[~real] = 0
    return Batch(ids, np.zeros_like(ids), real.astype(np.float32), None, np.arange(ROWS) + 1000)


def cut(batch: Batch, rows: slice, width: int) -> Batch:
    mask = None if batch.mask is None else batch.mask[rows, :width]
    return Batch(batch.ids[rows, :width], batch.token_types[rows, :width], mask, None, batch.rows[rows])


def places(masked: MaskedBatch, row: int) -> list[int]:
    width = masked.ids.shape[1]
    return [int(place) % width for place in masked.positions if place // width == row]


def test_fifteen_percent_and_never_a_special_token(batch: Batch, tokenizer: Tokenizer) -> None:
    masked = Masking(tokenizer, 0.15)(batch, (1, 2, 3))
    assert batch.mask is not None
    lengths = batch.mask.sum(axis=1).astype(int)
    # The authors' tf.round: halves to the even number.
    wanted = [max(1, int(np.rint(0.15 * length))) for length in lengths]
    assert masked.counts.tolist() == wanted
    assert len(set(masked.positions.tolist())) == masked.counts.sum() == len(masked.positions)
    hidden = batch.ids.reshape(-1)[masked.positions]
    never = [tokenizer.vocabulary[piece] for piece in ("[CLS]", "[SEP]", "[MASK]")]
    assert not np.isin(hidden, never).any()
    assert batch.mask.reshape(-1)[masked.positions].all()
    np.testing.assert_array_equal(masked.answers, hidden)


def test_eighty_five_percent_of_them_are_shown_as_mask(batch: Batch, tokenizer: Tokenizer) -> None:
    masked = Masking(tokenizer, 0.15)(batch, (1, 2, 3))
    visible = masked.ids.reshape(-1)[masked.positions]
    is_mask = visible == tokenizer.vocabulary["[MASK]"]
    # 2000 coins of 0.85: three deviations are 0.024.
    assert is_mask.mean() == pytest.approx(0.85, abs=0.025)
    np.testing.assert_array_equal(visible[~is_mask], masked.answers[~is_mask])
    changed = np.flatnonzero((masked.ids != batch.ids).reshape(-1))
    assert set(changed) == set(masked.positions[is_mask].tolist())


def test_every_place_is_as_likely(tokenizer: Tokenizer) -> None:
    ids = np.full((2000, 22), 50)
    ids[:, 0], ids[:, -1] = tokenizer.vocabulary["[CLS]"], tokenizer.vocabulary["[SEP]"]
    batch = Batch(ids, np.zeros_like(ids), None, None, np.arange(2000))
    masked = Masking(tokenizer, 0.15)(batch, (0,))
    counts = np.bincount(masked.positions % 22, minlength=22)
    assert counts[0] == counts[-1] == 0
    # 3 of 20 places in 2000 rows: 300 each, deviation 16.
    assert abs(counts[1:-1] - 300).max() < 60


def test_an_example_is_masked_the_same_in_any_batch(batch: Batch, tokenizer: Tokenizer) -> None:
    masking = Masking(tokenizer, 0.15)
    whole, key = masking(batch, (1, 2, 3)), (1, 2, 3)
    assert batch.mask is not None
    for row in (0, 5, 399):
        alone = masking(cut(batch, slice(row, row + 1), int(batch.mask[row].sum())), key)
        assert places(alone, 0) == places(whole, row)
        assert alone.noise_of(0).random() == whole.noise_of(row).random()
    other = masking(batch, (1, 3, 3))  # the next epoch
    differ = [places(other, row) != places(whole, row) for row in range(ROWS)]
    assert np.mean(differ) > 0.8


def test_an_example_without_words(tokenizer: Tokenizer) -> None:
    ids = np.array([[tokenizer.vocabulary[piece] for piece in ("[CLS]", "[MASK]", "[SEP]")]])
    masked = Masking(tokenizer, 0.15)(Batch(ids, ids * 0, None, None, np.arange(1)), (0,))
    assert (masked.counts.tolist(), masked.positions.tolist()) == ([0], [])
    np.testing.assert_array_equal(masked.ids, ids)
