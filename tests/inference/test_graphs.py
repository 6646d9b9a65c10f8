"""ExportedModel graphs against transformers 5.23.0 (tests/golden/README.md) and against the network."""

import json
from pathlib import Path

import numpy as np
import pytest

from checkpoints.network import load_classifier
from common.errors import InputError
from deploy.network_loading import load_network
from encoders.framework import paddle
from encoders.span_heads import JointSpanHead, LinearSpanHead, SpanModel
from encoders.tokenizer import Tokenizer
from inference import export as exporting
from inference.export import export
from inference.exported import read_exported
from inference.graph_engine import open_engine
from inference.network_engine import NetworkEngine
from tests.deploy.tiny_models import write_span_model
from tests.inference.golden_models import GOLDEN, NAMES, golden_batch
from tests.rounding import assert_close

CASES = ["full", "padded", "alone0", "alone1", "alone2"]
slow = pytest.mark.long
# Tracing a network takes Paddle seconds. The default suite does it of the two that trace what depends on the
# batch's length, and of another in tests/deploy/test_infer.py.
TRACED = ("deberta_v3", "modernbert")
KINDS = [
    pytest.param(name, kind, marks=[slow] if kind == "paddle" and name not in TRACED else [])
    for name in NAMES
    for kind in ("onnx", "paddle")
]

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_graph_answers_as_transformers(name: str, kind: str, tmp_path: Path, tokenizer: Tokenizer) -> None:
    golden = np.load(GOLDEN / name / "outputs.npz")
    network = load_classifier(GOLDEN / name, reference_padding=True)
    export(network, tokenizer, "0" * 64, tmp_path / "out", kind)
    engine = open_engine(tmp_path / "out")
    for case in CASES:
        result = engine(golden_batch(name, case))["logits"]
        assert_close(result, golden[f"{case}.logits"])


@pytest.mark.parametrize("name", NAMES)
def test_a_row_in_a_graph_does_not_depend_on_its_batch(
    name: str, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    """Padded among longer rows, each row gives what transformers gives for it alone, unpadded."""
    golden = np.load(GOLDEN / name / "outputs.npz")
    export(load_classifier(GOLDEN / name), tokenizer, "0" * 64, tmp_path / "out", "onnx")
    result = open_engine(tmp_path / "out")(golden_batch(name, "padded"))["logits"]
    for row in range(3):
        assert_close(result[row], golden[f"alone{row}.logits"][0])


def test_activations_of_every_kind_are_exported(tmp_path: Path, tokenizer: Tokenizer) -> None:
    for activation in ("gelu", "gelu_new", "relu", "silu", "tanh"):
        network = load_classifier(GOLDEN / "bert", hidden_act=activation)
        export(network, tokenizer, "", tmp_path / activation, "onnx")  # compares them


@pytest.mark.parametrize("kind", ["onnx", pytest.param("paddle", marks=slow)])
@pytest.mark.parametrize("name", ["convbert_small", "bert", "roberta", *TRACED])
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
    for result, wanted in zip(engine(batch).values(), NetworkEngine(again)(batch).values(), strict=True):
        allowed = wanted > -500
        assert allowed.sum() > 3
        assert not allowed.all()
        assert_close(result[allowed], wanted[allowed])
        assert (result[~allowed] < -500).all()


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
        result, wanted = engine(batch), NetworkEngine(again)(batch)
        allowed = wanted["start"] > -50
        assert allowed[:, 0].all()
        for name in ("start", "start_at"):
            assert_close(result[name][allowed], wanted[name][allowed])
        both = allowed[:, :, None] & (wanted["end"] > -50)
        for name in ("end", "end_at"):
            assert_close(result[name][both], wanted[name][both])
        assert_close(result["impossible"], wanted["impossible"])


@pytest.mark.parametrize("before", [False, True])
def test_a_graph_that_answers_otherwise_is_not_left(
    before: bool, tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, target = load_classifier(GOLDEN / "bert"), tmp_path / "out"
    if before:
        export(network, tokenizer, "the first", target, "onnx")
    write = exporting.write_onnx_graph

    def write_another(path: Path, config: object, arrays: dict[str, np.ndarray], *more: object) -> None:
        bias = arrays["head.projection.bias"] + np.float32(3e-5)
        write(path, network.config, {**arrays, "head.projection.bias": bias}, *more)

    monkeypatch.setattr(exporting, "write_onnx_graph", write_another)
    with pytest.raises(InputError, match=r"differ from the network's logits by (3|2\.9|3\.1)e-05"):
        export(network, tokenizer, "the second", target, "onnx")
    assert target.exists() == before
    if before:
        assert read_exported(target).digest == "the first"
    assert sorted(path.name for path in tmp_path.iterdir()) == (["out"] if before else []) + ["tokenizer"]


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
    assert 1e-5 < difference < 1e-1
    limit = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))["limits"]["logits"]
    write = exporting.write_onnx_graph

    def write_another(path: Path, config: object, arrays: dict[str, np.ndarray], *more: object) -> None:
        fault = np.float32(10 * limit)  # rounding, once it is measured, may allow more than the size did
        bias = arrays["head.projection.bias"] + fault
        write(path, network.config, {**arrays, "head.projection.bias": bias}, *more)

    monkeypatch.setattr(exporting, "write_onnx_graph", write_another)
    with pytest.raises(InputError, match="differ from the network's logits by"):
        export(network, tokenizer, "", tmp_path / "out", "onnx")
    for name, parameter in network.named_parameters():
        assert parameter.numpy().dtype == np.float32
        np.testing.assert_array_equal(parameter.numpy(), before[name])


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("onnx", "linear"),
        ("onnx", "joint"),
        pytest.param("paddle", "linear", marks=slow),
        ("paddle", "joint"),
    ],
)
def test_a_span_models_export_differs_by_rounding(kind: str, head: str, tmp_path: Path) -> None:
    _, network, tokenizer = load_network(write_span_model(tmp_path, "2.0", head=head))
    export(network, tokenizer, "", tmp_path / "out", kind)  # compares them
