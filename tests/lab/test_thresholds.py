"""Where to cut between two labels: the best cut of all, and no gain from noise."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue.tasks import TASKS
from lab.ensemble_selection import EnsembleSelector, options_for, predicted_values, score_splits
from lab.thresholds import add_offset, has_threshold, learn_offset

COLA, MRPC = TASKS["cola"], TASKS["mrpc"]


def _main(task, logits, gold):
    return _score(task.name, tuple(gold), tuple(predicted_values(task, logits)))


@functools.cache  # scikit-learn's; many cuts give the same labels
def _score(name, gold, predicted):
    return score_splits(TASKS[name], [np.array(gold)], [np.array(predicted)])["main"]


@pytest.mark.parametrize("task", [COLA, MRPC], ids=lambda task: task.name)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from([-2.0, -0.5, 0.0, 0.25, 3.0]), st.booleans()), min_size=1, max_size=9
    )
)
def test_no_cut_is_better_than_the_learned_one(task, rows):
    margins, gold = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    logits = np.stack([np.zeros(len(rows)), margins], axis=1).astype(np.float32)
    gold = gold.astype(int)
    learned = learn_offset(task, logits, gold)
    mains = {
        offset: _main(task, add_offset(logits, offset), gold) for offset in (-4, -1, -0.1, 0.0, 0.25, 1, 3)
    }
    assert _main(task, add_offset(logits, learned), gold) >= max(mains.values()) - 1e-9
    if mains[0.0] >= max(mains.values()) - 1e-12:
        assert learned == 0.0


def test_only_tasks_whose_score_a_cut_can_raise_have_one():
    assert [name for name, task in TASKS.items() if has_threshold(task)] == ["cola", "mrpc", "qqp"]


def test_a_threshold_learned_on_noise_gains_nothing_in_expectation():
    gains, flattering = [], []
    for seed in range(12):
        draw = np.random.default_rng(seed)
        gold = draw.integers(0, 2, 120)
        logits = draw.normal(size=(1, 120, 2)).astype(np.float32)
        options = options_for(COLA, 1, 1, ("threshold",))
        choice = EnsembleSelector(COLA, [gold], [logits]).choose(options)
        gains.append(choice.gain)
        flattering.append(choice.dev["main"])
    assert np.mean(flattering) > 0.05  # on the rows that it was learned on
    assert abs(np.mean(gains)) < 3 * np.std(gains) / np.sqrt(len(gains)) + 1e-12
    assert np.mean(gains) < 0.02


def test_a_run_that_says_yes_too_often_is_put_right():
    draw = np.random.default_rng(1)
    gold = draw.integers(0, 2, 1000)
    margin = 2 * gold - 1 + draw.normal(size=1000) + 1.5  # the right cut is at 1.5
    logits = np.stack([np.zeros(1000), margin], axis=1)[None].astype(np.float32)
    choice = EnsembleSelector(COLA, [gold], [logits]).choose(options_for(COLA, 1, 1, ("threshold",)))
    assert choice.option.threshold
    assert choice.offset == pytest.approx(-1.5, abs=0.4)
    assert choice.gain > 0.1
