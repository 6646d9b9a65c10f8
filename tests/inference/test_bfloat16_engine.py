"""Prediction in bfloat16: the labels are float32's."""

import dataclasses

import numpy as np
import pytest

from encoders.batching import Features, pack, pad, subset
from encoders.config import EncoderConfig
from encoders.cpu import onednn
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from inference import bfloat16_engine, engine_choice
from inference.bfloat16_engine import Bfloat16Engine
from inference.engine import predict_logits
from inference.engine_choice import MIN_TOKENS_FOR_BFLOAT16, choose_engine
from inference.network_engine import NetworkEngine

FAULT = onednn.status().fault
needs_bfloat16 = pytest.mark.skipif(bool(FAULT), reason=FAULT or "here it can")
CONFIG = EncoderConfig(
    vocab_size=500, hidden_size=40, embedding_size=24, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=56, id2label={0: "a", 1: "b", 2: "c"}, initializer_range=0.2,
)  # fmt: skip


def rows(count: int, seed: int = 0) -> Features:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(2, 30, size=count)
    return pack([(draw.integers(5, 500, size=size).tolist(), size // 2) for size in lengths])


@pytest.fixture
def network() -> SentenceClassifier:
    paddle.seed(5)
    network = SentenceClassifier(CONFIG)
    network.eval()
    return network


@needs_bfloat16
def test_labels_are_those_of_float32_where_many_nearly_tie(
    network: SentenceClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows' logits differ by little more than rounding does."""
    features, engine = rows(4000), Bfloat16Engine(network)
    middle = np.median(predict_logits(NetworkEngine(network), features, 32), axis=0)
    network.head.projection.bias.set_value(-middle)
    exact = predict_logits(NetworkEngine(network), features, 32)
    labels = exact.argmax(axis=1)
    assert (np.bincount(labels) > 400).all()
    logits = predict_logits(engine, features, 32)
    np.testing.assert_array_equal(logits.argmax(axis=1), labels)
    again = np.isclose(logits, exact, rtol=0, atol=1e-6).all(axis=1).mean()
    assert 0.05 < again < 0.9  # some rows only were computed again
    with monkeypatch.context() as patch:
        patch.setattr(bfloat16_engine, "MARGIN", 0.0)
        assert (predict_logits(engine, features, 32).argmax(axis=1) != labels).any()


@needs_bfloat16
def test_an_error_that_grows_while_rows_are_computed_again(
    network: SentenceClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is measured first is small; each row that is computed again shows a larger error."""
    engine, features = Bfloat16Engine(network), rows(600)
    exact = np.zeros((600, 3), dtype=np.float32)
    logits = exact.copy()
    logits[:, 0] = np.linspace(0.001, 1, 600)  # the error of each row, and how far its best two are apart
    monkeypatch.setattr(bfloat16_engine, "_rows_of_all_lengths", lambda features, count: np.arange(1))
    monkeypatch.setattr(bfloat16_engine, "subset", lambda features, rows: rows)
    monkeypatch.setattr(bfloat16_engine, "predict_logits", lambda engine, rows, size: exact[rows])
    np.testing.assert_array_equal(engine.confirmed(logits, features, 32), exact)


@needs_bfloat16
def test_what_is_no_number_is_float32s(network: SentenceClassifier) -> None:
    network.head.projection.bias.set_value(np.array([0, np.nan, 0], dtype=np.float32))
    assert np.isnan(predict_logits(Bfloat16Engine(network), rows(300), 32)[:, 1]).all()


@needs_bfloat16
def test_a_row_that_is_no_number_hides_no_error_of_others(
    network: SentenceClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the two rows that are measured, one is no number; the other's error is larger than any distance."""
    exact = np.zeros((9, 3), dtype=np.float32)
    logits = exact.copy()
    logits[:, 0] = 0.5
    logits[0] = exact[0] = np.nan
    monkeypatch.setattr(bfloat16_engine, "_rows_of_all_lengths", lambda features, count: np.arange(2))
    monkeypatch.setattr(bfloat16_engine, "subset", lambda features, rows: rows)
    monkeypatch.setattr(bfloat16_engine, "predict_logits", lambda engine, rows, size: exact[rows])
    np.testing.assert_array_equal(Bfloat16Engine(network).confirmed(logits, rows(9), 32), exact)


@needs_bfloat16
@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_rows_are_float32s(network: SentenceClassifier, count: int) -> None:
    features = rows(count) if count else subset(rows(1), np.arange(0))
    expected = predict_logits(NetworkEngine(network), features, 32)
    np.testing.assert_allclose(predict_logits(Bfloat16Engine(network), features, 32), expected, atol=1e-6)


def test_some_of_the_rows() -> None:
    features = dataclasses.replace(rows(20), targets=np.arange(20))
    chosen = np.array([7, 0, 19, 7])
    some = subset(features, chosen)
    for number, row in enumerate(chosen):
        one, other = pad(some, np.array([number])), pad(features, np.array([row]))
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.token_types, other.token_types)
        assert one.targets == other.targets


@pytest.mark.parametrize(
    ("instructions", "tokens", "is_regression", "engine"),
    [
        ("amx", MIN_TOKENS_FOR_BFLOAT16, False, "bfloat16"),
        ("amx", MIN_TOKENS_FOR_BFLOAT16 - 1, False, "dynamic"),
        ("amx", MIN_TOKENS_FOR_BFLOAT16, True, "dynamic"),
        ("avx512_bf16", MIN_TOKENS_FOR_BFLOAT16, False, "dynamic"),
    ],
)
def test_auto_takes_it_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, instructions: str, tokens: int, is_regression: bool, engine: str
) -> None:
    monkeypatch.setattr(onednn, "status", lambda: onednn.Status("", instructions))
    monkeypatch.setattr(engine_choice, "missing_package", lambda kind: "onnx")
    assert choose_engine("auto", "cpu", tokens, is_regression) == engine
    assert choose_engine("bfloat16", "cpu", 1) == "bfloat16"
    assert choose_engine("bfloat16", "cpu", 1, is_regression=True) == "dynamic"
