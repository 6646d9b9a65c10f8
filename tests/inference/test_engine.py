"""Many rows through an engine, one batch at a time or several."""

import threading
import time

import numpy as np
import pytest

from encoders.batching import Batch, Features, pack
from encoders.config import EncoderConfig
from inference.engine import Engine, predict_logits, run_batches

ROWS = 200


class Counting(Engine):
    """Answers a row with its first token and its length; batches take as long as they like."""

    config, head = EncoderConfig(id2label={0: "a", 1: "b"}), "sentence"

    def __init__(self, concurrency: int) -> None:
        self.concurrency, self.begun, self.now, self.most = concurrency, 0, 0, 0
        self.shared = 0
        self.lock = threading.Lock()

    def run_beside_others(self, batch: Batch) -> dict[str, np.ndarray]:
        with self.lock:
            self.shared += 1
        return self(batch)

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        with self.lock:
            self.begun += 1
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.002 * (int(batch.ids[0, 0]) % 3))
        with self.lock:
            self.now -= 1
        if (batch.ids[:, 0] == ROWS).any():
            raise RuntimeError("broken")
        lengths = batch.ids.shape[1] if batch.mask is None else batch.mask.sum(axis=1)
        return {"logits": np.stack([batch.ids[:, 0], lengths * np.ones(len(batch))], axis=1)}


def features(count: int = ROWS) -> Features:
    """Row number n begins with the token n and has 3 to 39 tokens."""
    return pack([([row] + [1] * (2 + row * 7 % 37), 1) for row in range(count)])


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_every_row_gets_its_own_answer(concurrency: int) -> None:
    engine = Counting(concurrency)
    rows = features()
    result = predict_logits(engine, rows, 16)
    np.testing.assert_array_equal(result[:, 0], np.arange(ROWS))
    np.testing.assert_array_equal(result[:, 1], rows.lengths)
    assert engine.most <= concurrency
    assert (engine.most > 1) == (concurrency > 1)
    assert engine.shared == (engine.begun if concurrency > 1 else 0)


def test_a_single_batch_is_shared_out() -> None:
    engine = Counting(3)
    assert predict_logits(engine, features(7), 64)[:, 0].tolist() == list(range(7))
    assert engine.shared == engine.begun >= 3


def test_no_rows_have_no_answers() -> None:
    assert predict_logits(Counting(3), features(0), 64).shape == (0, 2)


def test_a_single_row_has_the_machine_to_itself() -> None:
    engine = Counting(3)
    assert predict_logits(engine, features(1), 64)[:, 0].tolist() == [0]
    assert (engine.begun, engine.shared) == (1, 0)


def test_batches_run_no_further_ahead_than_there_are_threads() -> None:
    """Else all answers of a large file would wait in memory."""
    engine = Counting(2)
    answers = run_batches(engine, features(), 4)
    next(answers)
    time.sleep(0.1)
    assert engine.begun <= 3
    assert len(list(answers)) == engine.begun - 1


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_failure_in_any_batch_is_raised(concurrency: int) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        predict_logits(Counting(concurrency), features(ROWS + 1), 16)
