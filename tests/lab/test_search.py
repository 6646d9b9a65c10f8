"""Optuna's suggestions: from the results alone, the same at every call, and better than chance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.plan import PlannedCheckpoint, Range, Search, Trial
from lab.search import suggest
from lab.trial_store import TrialResult

pytest.importorskip("optuna")

SPACE = {
    "learning_rate": Range(1e-5, 1e-2, log=True), "batch_size": Range(choices=(8, 16, 32)),
    "warmup_steps": Range(0, 100),
}  # fmt: skip
Known = list[tuple[Trial, TrialResult | None]]


def trial_of(number: int, seed: int = 1, at_once: int = 1) -> Trial:
    search = Search(40, SPACE, at_once)
    return Trial("rte", PlannedCheckpoint("base", "x"), "", seed, search=search, number=number)


def result_of(trial: Trial, main: float, settings: Mapping[str, Any]) -> TrialResult:
    scores, recipe = {"best": {"main": main}}, {**settings, "seed": trial.seed}
    return TrialResult(trial.name, "rte", trial.configuration, "done", "", 0.0, Path(), scores, recipe)


SOME = {"learning_rate": 1e-4, "batch_size": 8, "warmup_steps": 3}


def quality(settings: dict) -> float:
    """Best near a learning rate of 3e-4, and with batches of 16."""
    import math

    return 1 - abs(math.log10(settings["learning_rate"] / 3e-4)) / 3 - 0.1 * (settings["batch_size"] != 16)


def played(count: int, at_once: int = 1) -> list[dict]:
    known: Known = []
    settings = []
    for number in range(1, count + 1):
        trial = trial_of(number, at_once=at_once)
        entitled = [entry for entry in known if entry[0].number <= number - at_once]
        settings.append(dict(suggest(trial, entitled)))
        known.append((trial, result_of(trial, quality(settings[-1]), settings[-1])))
    return settings


def test_within_the_space_and_the_same_again() -> None:
    settings = played(8)
    assert settings == played(8)
    assert len({entry["learning_rate"] for entry in settings}) == 8
    for entry in settings:
        assert 1e-5 <= entry["learning_rate"] <= 1e-2
        assert entry["batch_size"] in (8, 16, 32)
        assert isinstance(entry["warmup_steps"], int)
        assert 0 <= entry["warmup_steps"] <= 100


def test_it_learns() -> None:
    settings = played(30)
    early, late = settings[:10], settings[20:]
    assert sum(map(quality, late)) / 10 > sum(map(quality, early)) / 10 + 0.1


def test_what_a_suggestion_may_not_know_does_not_matter() -> None:
    """Two at once: the third knows the first alone."""
    first, second = trial_of(1, at_once=2), trial_of(2, at_once=2)
    third = trial_of(3, at_once=2)
    known: Known = [(first, result_of(first, 0.7, SOME))]
    assert suggest(third, known) == suggest(third, [*known, (second, result_of(second, 0.9, SOME))])


def test_seeds_are_averaged_and_a_failure_is_no_score() -> None:
    a, b = trial_of(1, seed=1), trial_of(1, seed=2)
    twelfth: Known = []
    for number in range(1, 12):
        trial = trial_of(number)
        twelfth.append((trial, result_of(trial, 0.1 * number, {**SOME, "warmup_steps": number})))
    rest = twelfth[1:]
    both = suggest(trial_of(12), [(a, result_of(a, 0.2, SOME)), (b, result_of(b, 0.6, SOME)), *rest])
    assert both == suggest(trial_of(12), [(a, result_of(a, 0.4, SOME)), *rest])
    one_failed = suggest(trial_of(12), [(a, result_of(a, 0.4, SOME)), (b, None), *rest])
    assert one_failed == both
    none = suggest(trial_of(12), [(a, None), (b, None), *rest])
    assert none == suggest(trial_of(12), rest)
    for outside in (
        {"batch_size": 64},
        {"warmup_steps": None},
        {"learning_rate": "x"},
        {"warmup_steps": True},
    ):
        known = [
            (a, result_of(a, 0.4, {**SOME, **outside})),
            *rest,
        ]  # of a plan with another space, or damaged
        assert none == suggest(trial_of(12), known)
