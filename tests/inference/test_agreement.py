"""Rounding is no fault, whatever the size of the numbers and of the network; everything else is one."""

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from encoders.batching import Batch
from encoders.config import EncoderConfig
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.layers import ACTIVATIONS
from encoders.span_heads import JointSpanHead, LinearSpanHead, SpanModel
from encoders.tokenizer import Tokenizer
from inference import export as exporting
from inference import onnx_encoder
from inference.agreement import Comparison, compare
from inference.engine import Engine, Outputs
from inference.export import export, measure_rounding
from inference.limits import EPSILON, NEAR_TIE, max_difference
from inference.network_engine import NetworkEngine
from inference.probes import probe_batches
from tests.inference.golden_models import PIECES, golden_batch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

Network = paddle.nn.Layer
HEADS = ("sentence", "linear", "joint")
SMALL = {"hidden_size": 32, "embedding_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SMALL |= {"intermediate_size": 64}
BASE = {"hidden_size": 768, "embedding_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
BASE |= {"intermediate_size": 3072}
long = pytest.mark.long


def network_of(head: str, sizes: dict[str, int], reach: float = 0.0, kind: str = "convbert") -> Network:
    """A network with random weights, whose largest logit is about reach, if it is given."""
    paddle.seed(3)
    config = EncoderConfig(
        vocab_size=len(PIECES), max_position_embeddings=32, model_type=kind, layer_norm_eps=1e-5,
        initializer_range=0.02 if sizes is BASE else 0.1, id2label={0: "a", 1: "b", 2: "c"}, **sizes,
    )  # fmt: skip
    if head == "sentence":
        network = SentenceClassifier(config)
        last = [network.head.projection]
    else:
        network = SpanModel(config, LinearSpanHead(config) if head == "linear" else JointSpanHead(config, 6))
        part = network.span_head
        last = [part.projection] if head == "linear" else [part.start, part.end, part.answerable]
    network.eval()
    ids = paddle.to_tensor(np.random.default_rng(3).integers(5, len(PIECES), (8, 32)))
    with paddle.no_grad():
        hidden = network.encoder(ids, paddle.zeros_like(ids), None)
        if head == "sentence":
            hidden = (
                network.head.activation(network.head.dense(hidden[:, 0])) if kind == "convbert" else hidden
            )
    for layer in last if reach else []:
        if layer.weight.shape[0] == hidden.shape[-1]:
            size = float((hidden @ layer.weight).abs().max())
        else:
            size = float(layer.weight.abs().mean()) * layer.weight.shape[0] ** 0.5
        layer.weight.set_value(layer.weight.numpy() * reach / size)
    return network


def fault_of(network: Network, tokenizer: Tokenizer, target: Path, kind: str) -> str:
    with pytest.raises(InputError) as caught:
        export(network, tokenizer, "", target, kind)
    assert not target.exists()
    return str(caught.value)


def check_export(network: Network, tokenizer: Tokenizer, target: Path, kind: str) -> dict[str, float]:
    """Export, and return the limits."""
    difference = export(network, tokenizer, "", target, kind)
    description = json.loads((target / "export.json").read_text(encoding="utf-8"))
    assert description["largest_difference"] == difference
    limits: dict[str, float] = description["limits"]
    assert difference <= max(limits.values())
    return limits


KINDS = ["onnx", pytest.param("paddle", marks=long)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", HEADS)
def test_heads_whose_logits_reach_20_are_exported(
    head: str, kind: str, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    network = network_of(head, SMALL, reach=20)
    limits = check_export(network, tokenizer, tmp_path / "out", kind)
    answers = [NetworkEngine(network)(batch) for batch in probe_batches(tokenizer, 32, 0)]
    assert max(np.abs(outputs[name]).max() for outputs in answers for name in limits) > 10
    assert max(limits.values()) < 1e-2


@long
@pytest.mark.parametrize("kind", ["onnx", "paddle"])
@pytest.mark.parametrize(
    ("head", "model_type"), [*((head, "convbert") for head in HEADS), ("sentence", "bert")]
)
def test_networks_of_base_size_are_exported(
    model_type: str, head: str, kind: str, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    for reach in (0.0, 20.0):
        check_export(network_of(head, BASE, reach, model_type), tokenizer, tmp_path / f"{reach}", kind)


def _weight(network: Network) -> None:
    """One number of one matrix, the largest, by 1 %."""
    weight = network.encoder.layers[0].feed_forward.outer.weight
    values = weight.numpy().copy()
    values.flat[np.abs(values).argmax()] *= 1.01
    weight.set_value(values)


def _matrix(network: Network) -> None:
    weight = network.encoder.layers[-1].attention.query.weight
    weight.set_value(weight.numpy() * 1.01)


def _swapped_tokens(network: Network) -> None:
    """The second and the third token's positions."""
    weight = network.encoder.embeddings.position.weight
    weight.set_value(weight.numpy()[[0, 2, 1, *range(3, weight.shape[0])]])


def _no_epsilon(network: Network) -> None:
    for layer in network.sublayers():
        if isinstance(layer, paddle.nn.LayerNorm):
            layer._epsilon = 0.0
    network.config = dataclasses.replace(network.config, layer_norm_eps=1e-30)


def _tanh_gelu(network: Network) -> None:
    """In the first layer alone; of an ONNX graph see ``graph_with``."""
    network.encoder.layers[0].feed_forward.activation = ACTIVATIONS["gelu_new"]


FAULTS = [_weight, _matrix, _swapped_tokens, _no_epsilon, _tanh_gelu]


def plant(fault: Callable[[Network], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are written of a network with a fault."""
    write, layer = exporting._write_graph, onnx_encoder.EncoderGraph._layer

    def write_other(folder: Path, model: Network, kind: str) -> str:
        other = copy.deepcopy(model)
        fault(other)
        return write(folder, other, kind)

    def first_layer_of_tanh(graph: onnx_encoder.EncoderGraph, x: str, name: str, first_only: bool) -> str:
        config = graph.config
        if name == "encoder.layers.0":
            graph.config = dataclasses.replace(config, hidden_act="gelu_new")
        out = layer(graph, x, name, first_only)
        graph.config = config
        return out

    monkeypatch.setattr(exporting, "_write_graph", write_other)
    if fault is _tanh_gelu:
        monkeypatch.setattr(onnx_encoder.EncoderGraph, "_layer", first_layer_of_tanh)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_refused(
    fault: Callable[[Network], None], head: str, kind: str, tmp_path: Path, tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    plant(fault, monkeypatch)
    text = fault_of(network_of(head, SMALL, 20), tokenizer, tmp_path / "out", kind)
    assert "differ from the network's" in text


@long
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("fault", FAULTS[1:])  # one number in 110 million is not told from rounding
def test_a_planted_fault_in_a_network_of_base_size_is_refused(
    fault: Callable[[Network], None], head: str, tmp_path: Path, tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    plant(fault, monkeypatch)
    assert "differ from" in fault_of(network_of(head, BASE), tokenizer, tmp_path / "out", "onnx")


@pytest.mark.parametrize("head", HEADS)
def test_the_limit_is_not_far_above_what_rounding_does(head: str, tokenizer: Tokenizer) -> None:
    """Ten times the limit is a fault in every output: the largest number's or the rounding's."""
    network = network_of(head, SMALL)
    batches = list(probe_batches(tokenizer, 32, 0))
    expected = [NetworkEngine(network)(batch) for batch in batches]
    rounding = measure_rounding(network, batches, expected)
    for name, limit in rounding.limits(rounding).items():
        assert 0 < rounding.differences[name] <= limit <= 64 * EPSILON * max(1.0, rounding.sizes[name])


@pytest.mark.parametrize(
    ("size", "rounding", "limit"),
    [(5.0, 0.0, 16 * 5 * EPSILON), (5.0, 1e-4, 4e-4), (20.0, 1e-6, 16 * 20 * EPSILON), (0.0, 0.0, 0.0)],
)
def test_the_limit(size: float, rounding: float, limit: float) -> None:
    assert max_difference(size, rounding) == pytest.approx(limit)


class Answers(Engine):
    """An engine that gives the answers it was made with."""

    config = EncoderConfig()

    def __init__(self, head: str, **outputs: object) -> None:
        self.head = head
        kinds = {name: np.int64 if name.endswith("_at") else np.float32 for name in outputs}
        self.outputs = {name: np.array(value, dtype=kinds[name]) for name, value in outputs.items()}

    def __call__(self, batch: Batch) -> Outputs:
        return self.outputs


def compared(ours: Answers, wanted: Answers, batch: Batch | None = None) -> Comparison:
    return compare(ours, [batch or golden_batch("bert", "full")], [wanted.outputs])


@pytest.mark.parametrize(
    ("ours", "wanted", "difference", "changed"),
    [
        ([[0.5, 0.25]], [[0.5, 0.25]], 0.0, False),
        ([[0.5, 0.25]], [[0.5, 0.375]], 0.125, False),
        ([[8.0, 0.5], [0.0, 0.0]], [[8.0, 0.0], [0.0, 0.0]], 0.5, False),
        ([[0.5, 0.75]], [[0.75, 0.5]], 0.25, True),
        ([[0.5, 0.5 + 2 * NEAR_TIE]], [[0.5 + 2 * NEAR_TIE, 0.5]], 2 * NEAR_TIE, True),
        ([[0.5, 0.5 + NEAR_TIE / 2]], [[0.5 + NEAR_TIE / 2, 0.5]], NEAR_TIE / 2, False),
        ([[64.0, 64.001]], [[64.001, 64.0]], 0.001, False),  # of logits of this size nearly a tie
        ([[0.5]], [[0.75]], 0.25, False),  # a regression has no labels
        ([[0.5]], [[0.5, 0.5]], np.inf, False),
    ],
)  # fmt: skip
def test_the_difference_of_logits(
    ours: list[list[float]], wanted: list[list[float]], difference: float, changed: bool
) -> None:
    result = compared(Answers("sentence", logits=ours), Answers("sentence", logits=wanted))
    assert result.largest == pytest.approx(difference, rel=1e-3)
    assert ("a label" in result.changed) == changed
    assert bool(result.fault({"logits": 1.0})) == (changed or difference > 1)


def test_an_answer_that_is_no_number_is_a_fault() -> None:
    one = Answers("sentence", logits=[[1.0, 2.0]])
    assert compared(Answers("sentence", logits=[[1.0, np.nan]]), one).fault({"logits": np.inf})
    assert compared(Answers("sentence", logits=[[1.0, np.inf]]), one).fault({"logits": 1e30})
    assert not compared(one, one).fault({"logits": 0.0})


SPAN_BATCH = Batch(
    np.ones((1, 5), dtype=np.int64), np.array([[0, 0, 1, 1, 0]]), np.array([[1, 1, 1, 1, 0]], np.float32),
    None, np.array([0]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value", "difference", "changed"),
    [
        (0, 0.25, 0.25, False),
        (2, 0.25, 0.25, False),
        (3, 2.0, 1.75, True),  # another best
        (1, -999.5, 0.0, False),  # no answer may be there, and none is
        (1, 5.0, 0.0, True),
        (4, 5.0, 0.0, False),  # padding
    ],
)
def test_span_logits_are_compared_where_an_answer_may_be(
    column: int, value: float, difference: float, changed: bool
) -> None:
    start = [[0.0, -1000.0, 0.5 if column != 2 else 0.0, 0.25, -1000.0]]
    start[0][0] = 1.0
    wanted = Answers("spans", start=start, end=start)
    other = [list(start[0])]
    other[0][column] = value if changed or difference == 0 else start[0][column] + value
    result = compared(Answers("spans", start=other, end=start), wanted, SPAN_BATCH)
    assert result.differences == {"start": difference, "end": 0.0}
    assert ("a span's start" in result.changed) == changed


def beams(start_at: list[int], second: float, end: float = -0.5, end_at: int = 4) -> Answers:
    """A row of three starts and as many ends of each; the last has no chance."""
    ends = [[[end, -1.5, -64.0]] * 3]
    ends_at = [[[end_at, 6, 1]] * 3]
    return Answers(
        "beams",
        start=[[-0.5, second, -70.0]],
        start_at=[start_at],
        end=ends,
        end_at=ends_at,
        impossible=[0.5],
    )


@pytest.mark.parametrize(
    ("ours", "wanted", "changed"),
    [
        (beams([3, 5, 7], -1.0), beams([3, 5, 7], -1.0), ""),
        (beams([3, 5, 1], -1.0), beams([3, 5, 7], -1.0), ""),  # where no answer may be
        (beams([5, 3, 7], -1.0), beams([3, 5, 7], -1.0), "start"),
        (beams([5, 3, 7], -0.50001), beams([3, 5, 7], -0.50001), ""),  # as good as equal
        (beams([3, 5, 7], -1.0, end_at=5), beams([3, 5, 7], -1.0), "end"),
        (beams([3, 5, 7], -1.0, end=-1.49999, end_at=5), beams([3, 5, 7], -1.0, end=-1.49999), ""),
    ],
)  # fmt: skip
def test_the_best_spans_are_the_same_but_for_ties(ours: Answers, wanted: Answers, changed: str) -> None:
    result = compared(ours, wanted)
    assert (changed in result.changed) if changed else result.changed == ""
    assert result.sizes["start"] == pytest.approx(-float(wanted.outputs["start"][0, 1]))


def test_every_output_has_its_own_limit() -> None:
    """A fault of a small output does not hide behind the rounding of a large one."""
    wanted = beams([3, 5, 7], -40.0)
    other = beams([3, 5, 7], -40.0)
    other.outputs["impossible"] = other.outputs["impossible"] + np.float32(1e-5)
    result = compared(other, wanted)
    assert "impossible by 1e-05" in result.fault(result.limits())
    other.outputs["impossible"] = wanted.outputs["impossible"]
    other.outputs["start"] = wanted.outputs["start"] + np.float32([[0.0, 1e-5, 0.0]])
    result = compared(other, wanted)
    assert result.fault(result.limits()) == ""
