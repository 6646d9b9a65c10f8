"""Logits → answers → scores, against sums done by hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from encoders.batching import Features
from encoders.config import EncoderConfig
from glue import scoring
from glue.data import Example
from glue.features import SplitFeatures, targets_of
from glue.predictions import SplitPredictions
from glue.scoring import dev_scores, predict
from glue.tasks import TASKS, Task

EMPTY = Features(np.array([], np.int32), np.array([0]), np.array([], np.int32))


def answered(
    monkeypatch: pytest.MonkeyPatch, task: Task, part: int, labels: list, logits: list, config: EncoderConfig
) -> tuple[SplitFeatures, SplitPredictions]:
    """Predictions of a network that gives just these logits."""
    split = task.of_kind("dev")[part]
    examples = [Example(("a",), label) for label in labels]
    features = SplitFeatures(split, Path("dev.tsv"), "", examples, EMPTY, len(examples))
    fixed = np.array(logits, dtype=np.float32)
    monkeypatch.setattr(scoring, "predict_logits", lambda *_: fixed)
    return features, predict(None, config, task, features, 8)


def test_labels_are_read_off_the_checkpoints_own_map(monkeypatch: pytest.MonkeyPatch) -> None:
    task = TASKS["mnli"]
    theirs = EncoderConfig(id2label={0: "entailment", 1: "neutral", 2: "contradiction"})
    gold = ["entailment", "contradiction", "neutral", "neutral"]
    logits = [[2, 0, 0], [0, 1, 3], [0, 5, 1], [4, 0, 0]]
    first = answered(monkeypatch, task, 0, gold, logits, theirs)
    assert first[1].values == ["entailment", "contradiction", "neutral", "entailment"]
    second = answered(monkeypatch, task, 1, gold[:2], logits[:2], theirs)
    scores = dev_scores(theirs, *zip(first, second, strict=True))
    assert scores["accuracy_matched"] == 0.75
    assert scores["accuracy_mismatched"] == 1.0
    assert scores["main"] == 0.875


def test_f1_counts_the_second_label_of_the_table_whatever_the_checkpoints_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = TASKS["mrpc"]
    for order in (["0", "1"], ["1", "0"]):
        config = EncoderConfig(id2label=dict(enumerate(order)))
        answers = ["1", "1", "0", "0", "1"]
        logits = [[3.0 if name == answer else 0.0 for name in order] for answer in answers]
        part = answered(monkeypatch, task, 0, ["1", "0", "1", "0", "1"], logits, config)
        scores = dev_scores(config, *zip(part, strict=True))
        # 2 true positives, 1 false positive, 1 false negative: F1 = 4 / 6; 3 of 5 right.
        assert scores["f1"] == pytest.approx(2 / 3)
        assert scores["accuracy"] == pytest.approx(0.6)
        assert scores["main"] == pytest.approx((2 / 3 + 0.6) / 2)


def test_loss_is_the_mean_over_all_rows_of_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    task = TASKS["mnli"]
    config = EncoderConfig(id2label=dict(enumerate(task.labels)))
    first = answered(monkeypatch, task, 0, ["neutral"], [[0, 0, 0]], config)
    second = answered(monkeypatch, task, 1, ["entailment"] * 2, [[0, math.log(2), 0], [0, 200, 0]], config)
    # ln 3; −ln(2/4); 0
    wanted = (math.log(3) + math.log(2) + 0) / 3
    assert dev_scores(config, *zip(first, second, strict=True))["loss"] == pytest.approx(wanted, rel=1e-6)


def test_regression_is_scaled_back_clipped_and_scored_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    task = TASKS["sts-b"]
    config = EncoderConfig(id2label={0: "score"}, target_scale=5.0)
    part = answered(monkeypatch, task, 0, [0.0, 2.5, 5.0, 1.0], [[-0.1], [0.5], [1.2], [0.2]], config)
    assert part[1].values == ["0.00000", "2.50000", "5.00000", "1.00000"]
    np.testing.assert_allclose(part[1].logits[:, 0], [-0.5, 2.5, 6.0, 1.0], rtol=1e-6)
    scores = dev_scores(config, *zip(part, strict=True))
    assert scores["pearson"] == pytest.approx(1.0)
    assert scores["spearman"] == pytest.approx(1.0)
    # On the scale trained on: (−0.1 − 0)², 0, (1.2 − 1)², 0.
    assert scores["loss"] == pytest.approx((0.01 + 0.04) / 4, rel=1e-5)


def test_targets_follow_the_models_order_of_labels() -> None:
    examples = [Example(("a",), "no"), Example(("b",), "yes")]
    assert targets_of(examples, ["yes", "no"], 1.0).tolist() == [1, 0]
    scores = [Example(("a",), 5.0), Example(("b",), 1.25)]
    assert targets_of(scores, [], 5.0).tolist() == [1.0, 0.25]
    assert targets_of(scores, [], 5.0).dtype == np.float32
