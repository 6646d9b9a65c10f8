"""Exported graphs against transformers 5.23.0 (tests/golden/README.md) and against the network, at 1e-5."""

from pathlib import Path

import numpy as np
import pytest

from checkpoints.network import load_classifier
from commands.errors import InputError
from convbert.batching import Batch
from convbert.framework import paddle
from convbert.span_heads import JointSpanHead, LinearSpanHead, SpanModel
from convbert.tokenizer import Tokenizer
from deploy.models import load_network
from engines import export as exporting
from engines.dynamic import DynamicEngine
from engines.export import export, largest_difference
from engines.exported import read_exported
from engines.running import Engine, open_engine
from tests.deploy.tiny_models import write_span_model
from tests.engines.golden_models import GOLDEN, NAMES, golden_batch

CASES = ["full", "padded", "alone0", "alone1", "alone2"]
slow = pytest.mark.long
# Tracing a network takes Paddle seconds; the default suite does it in tests/deploy/test_infer.py.
KINDS = [
    pytest.param(name, kind, marks=[slow] if kind == "paddle" else [])
    for name in NAMES
    for kind in ("onnx", "paddle")
]

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_graph_answers_as_transformers(name: str, kind: str, tmp_path: Path, tokenizer: Tokenizer) -> None:
    golden = np.load(GOLDEN / name / "outputs.npz")
    network = load_classifier(GOLDEN / name, reference_padding=True)
    assert export(network, tokenizer, "0" * 64, tmp_path / "out", kind) <= 1e-5
    engine = open_engine(tmp_path / "out")
    for case in CASES:
        found = engine(golden_batch(name, case))["logits"]
        np.testing.assert_allclose(found, golden[f"{case}.logits"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_in_a_graph_does_not_depend_on_its_batch(
    name: str, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    """Padded among longer rows, each row gives what transformers gives for it alone, unpadded."""
    golden = np.load(GOLDEN / name / "outputs.npz")
    export(load_classifier(GOLDEN / name), tokenizer, "0" * 64, tmp_path / "out", "onnx")
    found = open_engine(tmp_path / "out")(golden_batch(name, "padded"))["logits"]
    for row in range(3):
        np.testing.assert_allclose(found[row], golden[f"alone{row}.logits"][0], atol=1e-5, rtol=0)


def test_activations_of_every_kind_are_exported(tmp_path: Path, tokenizer: Tokenizer) -> None:
    for activation in ("gelu", "gelu_new", "relu", "silu", "tanh"):
        network = load_classifier(GOLDEN / "bert", hidden_act=activation)
        assert export(network, tokenizer, "", tmp_path / activation, "onnx") < 1e-5


@pytest.mark.parametrize("kind", ["onnx", pytest.param("paddle", marks=slow)])
@pytest.mark.parametrize("name", ["convbert_small", "bert"])
def test_span_heads_are_exported(name: str, kind: str, tmp_path: Path, tokenizer: Tokenizer) -> None:
    paddle.seed(1)
    config = load_classifier(GOLDEN / name).config
    network, again = (SpanModel(config, LinearSpanHead(config)) for _ in range(2))
    again.set_state_dict(network.state_dict())
    for model in (network, again):
        model.eval()
    export(network, tokenizer, "", tmp_path / "out", kind)
    engine = open_engine(tmp_path / "out")
    assert engine.head == "spans"
    batch = golden_batch(name, "padded")
    for found, wanted in zip(engine(batch).values(), DynamicEngine(again)(batch).values(), strict=True):
        allowed = wanted > -500
        assert allowed.sum() > 3
        assert not allowed.all()
        np.testing.assert_allclose(found[allowed], wanted[allowed], atol=1e-5, rtol=0)
        assert (found[~allowed] < -500).all()


@pytest.mark.parametrize("kind", ["onnx", pytest.param("paddle", marks=slow)])
def test_the_joint_span_head_is_exported(kind: str, tmp_path: Path, tokenizer: Tokenizer) -> None:
    """With a beam that is longer than some inputs."""
    paddle.seed(1)
    config = load_classifier(GOLDEN / "convbert_small").config
    network, again = (SpanModel(config, JointSpanHead(config, beam=6)) for _ in range(2))
    for name, parameter in network.named_parameters():
        if name.startswith("span_head") and name.endswith("weight"):
            parameter.set_value(parameter.numpy() * 5)  # so that chances differ
    again.set_state_dict(network.state_dict())
    for model in (network, again):
        model.eval()
    export(network, tokenizer, "", tmp_path / "out", kind)
    engine = open_engine(tmp_path / "out")
    assert engine.head == "beams"
    for case in CASES:
        batch = golden_batch("convbert_small", case)
        found, wanted = engine(batch), DynamicEngine(again)(batch)
        allowed = wanted["start"] > -50
        assert allowed[:, 0].all()
        for name in ("start", "start_at"):
            np.testing.assert_allclose(found[name][allowed], wanted[name][allowed], atol=1e-5)
        both = allowed[:, :, None] & (wanted["end"] > -50)
        for name in ("end", "end_at"):
            np.testing.assert_allclose(found[name][both], wanted[name][both], atol=1e-5)
        np.testing.assert_allclose(found["impossible"], wanted["impossible"], atol=1e-5)


@pytest.mark.parametrize("before", [False, True])
def test_a_graph_that_answers_otherwise_is_not_left(
    before: bool, tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, target = load_classifier(GOLDEN / "bert"), tmp_path / "out"
    if before:
        export(network, tokenizer, "the first", target, "onnx")
    write = exporting.write_network

    def write_another(path: Path, config: object, arrays: dict[str, np.ndarray], *more: object) -> None:
        bias = arrays["head.projection.bias"] + np.float32(3e-5)
        write(path, network.config, {**arrays, "head.projection.bias": bias}, *more)

    monkeypatch.setattr(exporting, "write_network", write_another)
    with pytest.raises(InputError, match=r"differ from the network's by (3|2\.9|3\.1)e-05"):
        export(network, tokenizer, "the second", target, "onnx")
    assert target.exists() == before
    if before:
        assert read_exported(target).digest == "the first"
    assert sorted(path.name for path in tmp_path.iterdir()) == (["out"] if before else []) + ["tokenizer"]


class Said(Engine):
    """An engine that says what it is told to."""

    config = None
    head = "sentence"
    at_once = 1

    def __init__(self, logits: list[list[float]]) -> None:
        self.logits = np.array(logits, dtype=np.float32)

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        return {"logits": self.logits}


@pytest.mark.parametrize(
    ("said", "wanted", "difference"),
    [
        ([[0.5, 0.25]], [[0.5, 0.25]], 0.0),
        ([[0.5, 0.25]], [[0.5, 0.75]], 0.5),
        ([[8.0, 0.5], [0.0, 0.0]], [[8.0, 0.0], [0.0, 0.0]], 0.5),  # however large others are
        ([[-1000.5, 0.25]], [[-1000.0, 0.0]], 0.25),  # of a lowered one, its part
        ([[-1023.5, 0.0]], [[-1024.0, 0.0]], 0.5 / 1024),
        ([[0.5]], [[0.5, 0.5]], float("inf")),
    ],
)  # fmt: skip
def test_the_difference_of_answers(
    said: list[list[float]], wanted: list[list[float]], difference: float
) -> None:
    batch = golden_batch("bert", "full")
    found = largest_difference(Said(said), [batch], [{"logits": np.array(wanted, dtype=np.float32)}])  # type: ignore[arg-type]
    assert found == difference


def test_what_rounding_explains_is_no_fault(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits in the thousands, which float32 does not hold to 1e-5. A fault beyond rounding is still found,
    and the network is afterwards what it was."""
    network = load_classifier(GOLDEN / "electra")
    weight = network.head.projection.weight
    weight.set_value(weight.numpy() * 3e4)
    before = {name: parameter.numpy() for name, parameter in network.named_parameters()}
    difference = export(network, tokenizer, "", tmp_path / "out", "onnx")
    assert 1e-5 < difference < 1e-2
    write = exporting.write_network

    def write_another(path: Path, config: object, arrays: dict[str, np.ndarray], *more: object) -> None:
        bias = arrays["head.projection.bias"] + np.float32(10 * difference)
        write(path, network.config, {**arrays, "head.projection.bias": bias}, *more)

    monkeypatch.setattr(exporting, "write_network", write_another)
    with pytest.raises(InputError, match="differ from the network's by"):
        export(network, tokenizer, "", tmp_path / "out", "onnx")
    for name, parameter in network.named_parameters():
        assert parameter.numpy().dtype == np.float32
        np.testing.assert_array_equal(parameter.numpy(), before[name])


def test_an_answer_that_is_no_number_is_a_difference() -> None:
    batch, one = golden_batch("bert", "full"), [{"logits": np.zeros((1, 1), dtype=np.float32)}]
    assert not largest_difference(Said([[float("nan")]]), [batch], one) <= 1e-5  # type: ignore[arg-type]


@pytest.mark.parametrize(("place", "difference"), [(0, 0.25), (1, 0.25), (2, 0.0)])
def test_span_logits_are_compared_where_a_token_stands(place: int, difference: float) -> None:
    """The third position is padding, whose state every engine has another of."""

    class Spans(Engine):
        config, head, at_once = None, "spans", 1  # type: ignore[assignment]

        def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
            start = np.zeros((1, 3), dtype=np.float32)
            start[0, place] = 0.25
            return {"start": start, "end": np.zeros((1, 3), dtype=np.float32)}

    ids, mask = np.ones((1, 3), dtype=np.int64), np.array([[1, 1, 0]], dtype=np.float32)
    wanted = {name: np.zeros((1, 3), dtype=np.float32) for name in ("start", "end")}
    assert largest_difference(Spans(), [Batch(ids, ids, mask, None, np.array([0]))], [wanted]) == difference


@pytest.mark.parametrize("head", ["linear", "joint"])
@pytest.mark.parametrize("kind", ["onnx", "paddle"])
def test_a_span_models_export_differs_by_rounding(kind: str, head: str, tmp_path: Path) -> None:
    _, network, tokenizer = load_network(write_span_model(tmp_path, "2.0", head=head))
    assert export(network, tokenizer, "", tmp_path / "out", kind) < 1e-5
