"""Joining by hand, and that the guard guards: chosen by cross-validation, expected without flattery."""

import numpy as np
import pytest

from glue.tasks import TASKS
from lab.ensemble_selection import SINGLE, EnsembleSelector, Option, combine, options_for

RTE, STS_B, MNLI = TASKS["rte"], TASKS["sts-b"], TASKS["mnli"]
ALL = ("mean", "vote")


def test_mean_and_votes_by_hand() -> None:
    logits = np.array([[[3.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [9.0, 0.0]]])
    np.testing.assert_allclose(combine(logits, "mean"), [[1.0, 2 / 3], [3.0, 2 / 3]], rtol=1e-6)
    votes = combine(logits, "vote")
    assert votes.argmax(axis=1).tolist() == [1, 1]  # the confident minority is outvoted
    np.testing.assert_allclose(np.floor(votes), [[1, 2], [1, 2]])


def test_a_tied_vote_goes_to_the_higher_mean() -> None:
    logits = np.array([[[2.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]])
    votes = combine(logits, "vote")
    assert votes.argmax() == 0
    assert votes[0, 0] < 2  # and never looks like one vote more
    assert combine(logits[::-1], "vote").argmax() == 0


def test_options_are_those_that_make_sense() -> None:
    assert options_for(RTE, 4, 9, ALL) == [
        Option(1, "mean"), Option(2, "mean"), Option(3, "mean"), Option(3, "vote"), Option(4, "mean"),
        Option(4, "vote"),
    ]  # fmt: skip
    assert options_for(STS_B, 3, 3, ALL) == [Option(1, "mean"), Option(2, "mean"), Option(3, "mean")]
    assert options_for(RTE, 5, 3, ("vote",)) == [Option(1, "mean"), Option(3, "vote")]


def labelled(draw: np.random.Generator, gold: np.ndarray, rights: list[float]) -> np.ndarray:
    """(runs, N, 2): runs that are right so often, each by its own chance."""
    predicted = np.array([np.where(draw.random(len(gold)) < right, gold, 1 - gold) for right in rights])
    return (
        np.eye(2, dtype=np.float32)[predicted]
        + draw.normal(size=(*predicted.shape, 2)).astype(np.float32) * 0.1
    )


def test_independent_equals_are_joined_and_gain_what_binomials_say() -> None:
    """Five runs right with 0.7 each: three of five are right with 0.837."""
    draw = np.random.default_rng(1)
    gold = draw.integers(0, 2, 2000)
    choice = EnsembleSelector(RTE, [gold], [labelled(draw, gold, [0.7] * 5)]).choose(
        options_for(RTE, 5, 5, ALL)
    )
    assert choice.option.size == 5
    assert choice.expected["main"] == pytest.approx(0.837, abs=0.025)
    assert choice.gain == pytest.approx(0.837 - 0.7, abs=0.04)


def test_one_good_run_is_not_spoilt_by_bad_ones() -> None:
    draw = np.random.default_rng(2)
    gold = draw.integers(0, 2, 300)
    selector = EnsembleSelector(RTE, [gold], [labelled(draw, gold, [0.5, 0.5, 0.9, 0.5, 0.5])])
    choice = selector.choose(options_for(RTE, 5, 5, ("mean",)))
    assert (choice.option.size, choice.members, choice.gain) == (1, (2,), 0.0)
    assert choice.dev["main"] == choice.expected["main"]


@pytest.mark.long
def test_pure_noise_is_expected_to_be_noise() -> None:
    """Runs that guess: the best of ten looks clearly better than 0.5 on 100 rows, and is not."""
    flattering, expected, gains = [], [], []
    for seed in range(8):
        draw = np.random.default_rng(seed)
        gold = draw.integers(0, 2, 100)
        selector = EnsembleSelector(RTE, [gold], [labelled(draw, gold, [0.5] * 10)])
        choice = selector.choose(options_for(RTE, 10, 5, ALL))
        flattering.append(choice.dev["main"])
        expected.append(choice.expected["main"])
        gains.append(choice.gain)
    assert np.mean(flattering) > 0.56
    # Below 0.5 rather than above: of a fixed number of right answers the fold has what the others lack.
    assert 0.43 < np.mean(expected) < 0.52
    assert np.mean(gains) < 0.02


def test_numbers_and_two_dev_files() -> None:
    draw = np.random.default_rng(3)
    gold = draw.uniform(0, 5, 300)
    noisy = (gold + draw.normal(size=(4, 300)) * 1.5)[:, :, None].astype(np.float32)
    choice = EnsembleSelector(STS_B, [gold], [noisy]).choose(options_for(STS_B, 4, 4, ALL))
    assert choice.option == Option(4, "mean")
    assert choice.gain > 0

    golds = [draw.integers(0, 3, rows) for rows in (60, 90)]
    right = [np.stack([np.eye(3, dtype=np.float32)[gold]] * 2) for gold in golds]
    choice = EnsembleSelector(MNLI, golds, right).choose(options_for(MNLI, 2, 2, ALL))
    assert choice.option.size == 1  # of equal ones the simplest
    assert (
        choice.expected
        == choice.dev
        == dict.fromkeys(("accuracy_matched", "accuracy_mismatched", "main"), 1.0)
    )


def test_the_same_runs_give_the_same_choice() -> None:
    draw = np.random.default_rng(4)
    gold = draw.integers(0, 2, 200)
    logits = labelled(draw, gold, [0.6, 0.7, 0.65, 0.62])
    first, second = (
        EnsembleSelector(RTE, [gold], [logits]).choose(options_for(RTE, 4, 4, ALL)) for _ in range(2)
    )
    assert first == second


def test_what_is_expected_of_a_single_run_does_not_depend_on_what_else_was_tried() -> None:
    gains = []
    for seed in range(8):
        draw = np.random.default_rng(seed)
        gold = draw.integers(0, 2, 60)
        logits = labelled(draw, gold, [0.6, 0.75, 0.62])
        choice = EnsembleSelector(RTE, [gold], [logits]).choose(options_for(RTE, 3, 3, ALL))
        if choice.option.size == 1:
            assert choice.expected == EnsembleSelector(RTE, [gold], [logits]).choose([SINGLE]).expected
            gains.append(choice.gain)
    assert any(gains)  # on a part of the rows something else was taken
