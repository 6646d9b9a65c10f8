"""Which engine is taken, and rows whose label rounding could decide."""

import importlib.util
from typing import Any

import numpy as np
import pytest

from common.errors import InputError
from encoders import distributed
from encoders.batching import Batch
from encoders.config import EncoderConfig
from encoders.cpu import kernels, onednn
from inference import engine_choice
from inference.engine import Engine
from inference.engine_choice import MIN_TOKENS_FOR_GRAPH, choose_engine
from inference.tie_breaking import TieBreakingEngine, near_tie


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``only("onnx")``: of the packages that engines may lack, these are installed."""

    def pretend(*names: str) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in names else None)

    return pretend


@pytest.mark.parametrize(
    ("installed", "compiled", "device", "processes", "tokens", "engine"),
    [
        (["onnx", "onnxruntime"], None, "cpu", 1, MIN_TOKENS_FOR_GRAPH, "onnx"),
        (["onnx", "onnxruntime"], object(), "cpu", 1, MIN_TOKENS_FOR_GRAPH, "dynamic"),
        (["onnx", "onnxruntime"], None, "cpu", 1, MIN_TOKENS_FOR_GRAPH - 1, "dynamic"),
        (["onnx", "onnxruntime"], None, "gpu", 1, MIN_TOKENS_FOR_GRAPH, "dynamic"),
        (["onnx", "onnxruntime"], None, "cpu", 2, MIN_TOKENS_FOR_GRAPH, "dynamic"),
        (["onnxruntime"], None, "cpu", 1, MIN_TOKENS_FOR_GRAPH, "dynamic"),
        (["onnx"], None, "cpu", 1, MIN_TOKENS_FOR_GRAPH, "dynamic"),
        ([], None, "cpu", 1, MIN_TOKENS_FOR_GRAPH, "dynamic"),
    ],
)
def test_auto_takes_onnx_where_it_is_installed_and_pays(
    only: Any, monkeypatch: pytest.MonkeyPatch, installed: list[str], compiled: object, device: str,
    processes: int, tokens: int, engine: str,
) -> None:  # fmt: skip
    only(*installed)
    monkeypatch.setattr(distributed, "world_size", lambda: processes)
    monkeypatch.setattr(kernels, "library", lambda: compiled)
    monkeypatch.setattr(onednn, "status", lambda: onednn.Status("no bfloat16"))
    assert choose_engine("auto", device, tokens) == engine
    assert choose_engine("dynamic", device, tokens) == "dynamic"


@pytest.mark.parametrize(
    ("installed", "engine", "device", "processes", "message"),
    [
        (["onnx"], "onnx", "cpu", 1, r"onnxruntime is not installed, .* pip install -e '\.\[onnx\]'"),
        (["onnxruntime"], "onnx", "cpu", 1, "onnx is not installed, which onnx graphs need"),
        (["onnx", "onnxruntime"], "onnx", "xpu", 1, "--engine onnx: does not know --device xpu"),
        ([], "paddle", "xpu", 1, "--engine paddle: does not know --device xpu"),
        ([], "paddle", "cpu", 2, "--engine paddle: runs in one process"),
        ([], "bfloat16", "cpu", 1, "--engine bfloat16: no bfloat16"),
        ([], "bfloat16", "gpu", 1, "--engine bfloat16: runs on a CPU only"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_said(
    only: Any, monkeypatch: pytest.MonkeyPatch, installed: list[str], engine: str, device: str,
    processes: int, message: str,
) -> None:  # fmt: skip
    only(*installed)
    monkeypatch.setattr(distributed, "world_size", lambda: processes)
    monkeypatch.setattr(onednn, "status", lambda: onednn.Status("no bfloat16"))
    with pytest.raises(InputError, match=message):
        choose_engine(engine, device, 5)


def test_an_engine_that_is_wanted_is_taken_for_little_work_too(only: Any) -> None:
    only("onnx", "onnxruntime")
    assert choose_engine("onnx", "cpu", 1) == "onnx"
    assert choose_engine("paddle", "gpu", 1) == "paddle"


def test_the_flag_offers_the_engines_there_are() -> None:
    from glue.run_predict import make_parser

    (action,) = [action for action in make_parser()._actions if action.dest == "engine"]
    assert tuple(action.choices or ()) == engine_choice.ENGINES


def test_doubt_is_between_the_two_best() -> None:
    rows = [[0.0, 5e-5, -3.0], [0.0, 2e-4, 0.0], [-1.0, -1.0, -1.0], [7.0, -7.0, 6.9]]
    assert near_tie(np.array(rows, dtype=np.float32)).tolist() == [True, False, True, False]
    assert near_tie(np.array([[0.5], [0.5]], dtype=np.float32)).tolist() == [False, False]
    assert near_tie(np.array([[0.0, np.nan]], dtype=np.float32)).tolist() == [False]
    large = [[64.0, 64.004], [64.0, 64.01], [-64.0, -63.996]]  # rounding grows with the numbers
    assert near_tie(np.array(large, dtype=np.float32)).tolist() == [True, False, True]


class Fixed(Engine):
    """An engine that gives a row of logits for the row's first token; asked: the batches' sizes."""

    config, head = EncoderConfig(id2label={0: "a", 1: "b"}), "sentence"

    def __init__(self, logits: list[list[float]]) -> None:
        self.logits = np.array(logits, dtype=np.float32)
        self.logits.flags.writeable = False
        self.asked: list[int] = []

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        assert batch.token_types.shape == batch.ids.shape
        assert batch.mask is None or batch.mask.shape == batch.ids.shape
        self.asked.append(len(batch))
        return {"logits": self.logits[batch.ids[:, 0]]}


def batch_of(rows: list[int], mask: bool) -> Batch:
    ids = np.array([[row, row] for row in rows])
    real = np.ones(ids.shape, dtype=np.float32) if mask else None
    return Batch(ids, np.zeros_like(ids), real, None, np.arange(len(rows)))


@pytest.mark.parametrize("mask", [False, True])
def test_rows_in_doubt_get_the_networks_logits(mask: bool) -> None:
    """Rows 1 and 2 are close, and in row 2 the network sees another label."""
    engine = Fixed([[0.0, 1.0], [0.5, 0.50002], [0.70001, 0.7], [3.0, 0.0]])
    network = Fixed([[9.0, 9.0], [0.5, 0.50001], [0.7, 0.70001], [9.0, 9.0]])
    settled = TieBreakingEngine(engine, lambda: network)
    result = settled(batch_of([2, 0, 3, 1], mask))["logits"]
    wanted = [network.logits[2], engine.logits[0], engine.logits[3], network.logits[1]]
    np.testing.assert_array_equal(result, wanted)
    assert result.argmax(axis=1).tolist() == [1, 1, 0, 1]
    assert (network.asked, settled.unresolved) == ([2], 0)


def test_the_network_is_opened_once_and_only_if_it_is_needed() -> None:
    opened: list[Fixed] = []

    def open_network() -> Fixed:
        opened.append(Fixed([[0.0, 1.0], [1.0, 0.0]]))
        return opened[-1]

    settled = TieBreakingEngine(Fixed([[0.0, 5.0], [0.0, 0.0]]), open_network)
    settled(batch_of([0, 0], False))
    assert opened == []
    for _ in range(2):
        settled(batch_of([1, 0], False))
    assert [network.asked for network in opened] == [[1, 1]]


def test_without_a_network_rows_in_doubt_are_counted() -> None:
    settled = TieBreakingEngine(Fixed([[0.0, 5.0], [0.0, 0.0]]), None)
    assert settled(batch_of([1, 0, 1], False))["logits"].tolist() == [[0, 0], [0, 5], [0, 0]]
    assert settled.unresolved == 2
