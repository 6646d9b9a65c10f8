"""The median rule: hand-worked, and against Optuna's pruner."""

import json
from pathlib import Path

import numpy as np
import pytest

from lab.early_stop import MIN_FINISHED, Curve, MedianRule, read_curve, should_prune
from lab.trial_store import record_path

FINISHED: list[Curve] = [[(10, n / 10), (20, n / 10 + 0.05)] for n in range(1, 6)]  # medians 0.3, 0.35


@pytest.mark.parametrize(
    ("curve", "stops"),
    [
        ([], False),  # nothing evaluated yet
        ([(10, 0.29)], True),
        ([(10, 0.3)], False),  # the median itself goes on
        ([(10, 0.4), (20, 0.2)], False),  # its best so far counts, not its last
        ([(10, 0.2), (20, 0.34)], True),
        ([(15, 0.0)], False),  # nobody was evaluated there
    ],
)
def test_by_hand(curve: Curve, stops: bool) -> None:
    assert should_prune(curve, FINISHED) is stops


def test_too_few_have_finished() -> None:
    assert len(FINISHED) == MIN_FINISHED
    assert not should_prune([(10, 0.0)], FINISHED[1:])


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
            assert should_prune(curves[-1][:end], curves[:-1]) is verdicts[-1]
    assert 10 < sum(verdicts) < len(verdicts) - 10


def test_a_curve_is_read_while_it_is_written(tmp_path: Path) -> None:
    lines = [{"step": 2, "loss": 1.0}, {"step": 3, "evaluation": {"step": 3, "main": 0.5}}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "history.jsonl").write_text(text + '{"step": 6, "evaluation": {"st', encoding="utf-8")
    assert read_curve(tmp_path) == [(3, 0.5)]
    assert read_curve(tmp_path / "none") == []


def test_the_rule_decides_once_a_save_is_there_and_never_about_the_last_step(tmp_path: Path) -> None:
    def write(run: Path, *scores: float) -> None:
        run.mkdir(exist_ok=True)
        lines = [{"step": n, "evaluation": {"step": n, "main": s}} for n, s in enumerate(scores, 1)]
        (run / "history.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
        )

    def saved(step: int, total: int) -> None:
        (run / "last").mkdir(exist_ok=True)
        state = {"step": step, "total": total, "finished": step == total}
        (run / "last" / "state.json").write_text(json.dumps(state), encoding="utf-8")

    peers, run = [tmp_path / f"peer{number}" for number in range(5)], tmp_path / "run"
    for peer in peers:
        write(peer, 0.5, 0.6)
        record_path(peer).write_text('{"status": "done"}', encoding="utf-8")
    rule = MedianRule(run, peers)
    assert not rule.reason_to_stop()  # nothing there yet
    write(run, 0.1)
    assert not rule.reason_to_stop()  # evaluated, not saved
    saved(1, total=1)
    assert not rule.reason_to_stop()  # the last step: it is trained
    saved(1, total=2)
    assert rule.reason_to_stop() == "below the median of 5 trials at step 1"
    assert not rule.reason_to_stop()  # once an evaluation
    write(run, 0.1, 0.6)
    saved(2, total=3)
    assert not rule.reason_to_stop()  # as good as the median
    write(run, 0.1, 0.2, 0.3)
    saved(3, total=4)
    assert not rule.reason_to_stop()  # nobody came so far
