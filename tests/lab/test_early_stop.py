"""The median rule: hand-worked, and against Optuna's pruner."""

import json
from pathlib import Path

import numpy as np
import pytest

from lab.early_stop import FEWEST, Curve, is_hopeless, read_curve

FINISHED: list[Curve] = [[(10, n / 10), (20, n / 10 + 0.05)] for n in range(1, 6)]  # medians 0.3, 0.35


@pytest.mark.parametrize(
    ("own", "stops"),
    [
        ([], False),  # nothing evaluated yet
        ([(10, 0.29)], True),
        ([(10, 0.3)], False),  # the median itself goes on
        ([(10, 0.4), (20, 0.2)], False),  # its best so far counts, not its last
        ([(10, 0.2), (20, 0.34)], True),
        ([(15, 0.0)], False),  # nobody was evaluated there
    ],
)
def test_by_hand(own: Curve, stops: bool) -> None:
    assert is_hopeless(own, FINISHED) is stops


def test_too_few_have_finished() -> None:
    assert len(FINISHED) == FEWEST
    assert not is_hopeless([(10, 0.0)], FINISHED[1:])


def test_as_optuna_prunes() -> None:
    """optuna.pruners.MedianPruner, fed the same curves."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    draw = np.random.default_rng(0)
    verdicts = []
    for _ in range(30):
        study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner())
        curves = [[(step, float(score)) for step, score in enumerate(row, 1)] for row in draw.random((7, 4))]
        for curve in curves[:-1]:
            trial = study.ask()
            for step, score in curve:
                trial.report(score, step)
            study.tell(trial, curve[-1][1])
        trial = study.ask()
        for end, (step, score) in enumerate(curves[-1], 1):
            trial.report(score, step)
            verdicts.append(bool(trial.should_prune()))
            assert is_hopeless(curves[-1][:end], curves[:-1]) is verdicts[-1]
    assert 10 < sum(verdicts) < len(verdicts) - 10


def test_a_curve_is_read_while_it_is_written(tmp_path: Path) -> None:
    lines = [{"step": 2, "loss": 1.0}, {"step": 3, "evaluation": {"step": 3, "main": 0.5}}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "history.jsonl").write_text(text + '{"step": 6, "evaluation": {"st', encoding="utf-8")
    assert read_curve(tmp_path) == [(3, 0.5)]
    assert read_curve(tmp_path / "none") == []
