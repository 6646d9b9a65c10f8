"""The heads of ``encoders`` as ONNX nodes, and the whole graph's file. No Paddle.

B rows, T tokens, N = B·T, H hidden size, L outputs, K beam, W the joint head's inner width.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from encoders.config import EncoderConfig
from inference.exported import HEADS, INPUTS
from inference.onnx_deberta import DebertaGraph
from inference.onnx_encoder import EncoderGraph
from inference.onnx_modernbert import ModernBertGraph

_LOWERED = 1000.0  # as in encoders/span_heads.py, which this module cannot import without Paddle
_GRAPHS: dict[str, type[EncoderGraph]] = {
    "deberta-v2": DebertaGraph,
    "modernbert": ModernBertGraph,
}  # the others are BERT's kin
_FLOAT = 1  # ONNX's number of this type


def write_onnx_graph(
    path: Path, config: EncoderConfig, arrays: Mapping[str, np.ndarray], head: str, beam: int = 0
) -> None:
    """Write the graph: ids, token_types (B, T) int64 and mask (B, T) float32 → the head's outputs.

    arrays: parameter name → array. head: one of ``inference.exported.HEADS``. beam: of the head ``beams``.
    """
    graph = _GRAPHS.get(config.model_type, EncoderGraph)(config, arrays)
    takes_mean = config.classifier_pooling == "mean"
    states = graph.encode(first_only=head == "sentence" and not takes_mean)
    if head == "sentence":
        _sentence_head(graph, _mean(graph, states) if takes_mean else states)
        axes: dict[str, list[str | int]] = {"logits": ["batch", max(1, len(config.id2label))]}
    elif head == "spans":
        _span_head(graph, states)
        axes = {name: ["batch", "length"] for name in HEADS[head]}
    else:
        _beam_head(graph, states, beam)
        axes = {name: ["batch", "beam"] for name in ("start", "start_at")}
        axes |= {name: ["batch", "beam", "beam"] for name in ("end", "end_at")}
        axes |= {"impossible": ["batch"]}
    kinds = {name: "int64" if name in ("start_at", "end_at") else "float32" for name in axes}
    graph.add.write(path, INPUTS, {name: (kinds[name], shape) for name, shape in axes.items()})


def _mean(graph: EncoderGraph, states: str) -> str:
    """The mean over the real tokens: (N, H) → (B, H)."""
    add, hidden = graph.add, graph.config.hidden_size
    summed = add("ReduceSum", graph.shaped(add("Mul", states, graph.real), hidden), [1], keepdims=0)
    return add("Div", summed, add("ReduceSum", "mask", [1], keepdims=1))


def _sentence_head(graph: EncoderGraph, first: str) -> None:
    """first: (B, H) → logits (B, L)."""
    config, kind = graph.config, graph.config.classifier_head
    if kind == "dense":
        activation = config.type.head_activation or config.hidden_act
        first = graph.activation(graph.matmul(first, "head.dense"), activation)
        first = graph.norm(first, "head.norm") if "head.norm.weight" in graph.arrays else first
    elif kind == "pooler":
        first = graph.add("Tanh", graph.linear(first, "head.pooler"))
    graph.linear(first, "head.projection", output="logits")


def _lowering(graph: EncoderGraph) -> str:
    """(B, T): 0 where an answer may be, the first token and the second segment, elsewhere −1000."""
    add = graph.add
    columns = add("Range", 0, add("Squeeze", graph.length), 1)
    first = add("Cast", add("Equal", columns, 0), to=_FLOAT)  # (T,)
    allowed = add("Max", add("Cast", "token_types", to=_FLOAT), first)  # (B, T)
    return add("Mul", add("Sub", allowed, 1.0), _LOWERED)


def _span_head(graph: EncoderGraph, states: str) -> None:
    """states: (N, H) → start and end (B, T), lowered where no answer may be."""
    low = _lowering(graph)
    sides = graph.split(graph.linear(states, "span_head.projection"), 2, 1)  # (N, 1) each
    for name, side in zip(("start", "end"), sides, strict=True):
        graph.add("Add", graph.add("Reshape", side, graph.rows), low, name=name)


def _beam_head(graph: EncoderGraph, states: str, beam: int) -> None:
    """states: (N, H) → the joint head's outputs, see ``encoders.span_heads.Beams``.

    The inner layer of the end's logits is linear in the start's state and in the token's, so each is
    multiplied once.
    """
    add, low, name = graph.add, _lowering(graph), "span_head.end_hidden"
    count = add("Min", [beam], graph.length)  # [K]
    start = add("Add", add("Reshape", graph.linear(states, "span_head.start"), graph.rows), low)
    chances = add("LogSoftmax", start, axis=-1)
    start_at = _best(graph, chances, count, "start")  # (B, K)

    weight, bias = (graph.arrays[f"{name}.{part}"] for part in ("weight", "bias"))
    width, hidden = len(bias), graph.config.hidden_size
    by_start = add("MatMul", states, add.constant(weight[:hidden], f"{name}.of_start"))
    by_token = graph.gemm(states, weight[hidden:], bias, name)
    start_index = add("Unsqueeze", start_at, [2])  # (B, K, 1)
    chosen = add("GatherND", graph.shaped(by_start, width), start_index, batch_dims=1)  # (B, K, W)
    both = add("Add", add("Unsqueeze", chosen, [2]), add("Unsqueeze", graph.shaped(by_token, width), [1]))
    inner = graph.activation(both, "gelu")  # (B, K, T, W)
    end = add("MatMul", inner, graph.weight("span_head.end.weight"))
    end = add("Add", end, graph.weight("span_head.end.bias"))
    end = add("Add", add("Squeeze", end, [3]), add("Unsqueeze", low, [1]))
    _best(graph, add("LogSoftmax", end, axis=-1), count, "end")
    _impossible(graph, states, start)


def _best(graph: EncoderGraph, chances: str, count: str, name: str) -> str:
    """The best along the last axis, as outputs ``name`` and ``name_at``; returns their positions."""
    best, positions = graph.add.several("TopK", 2, chances, count, axis=-1)
    graph.add("Identity", best, name=name)
    return graph.add("Identity", positions, name=f"{name}_at")


def _impossible(graph: EncoderGraph, states: str, start: str) -> None:
    """start: (B, T) lowered logits → impossible (B,), from the first token and the states' mean by start."""
    add, hidden = graph.add, graph.config.hidden_size
    rows = graph.shaped(states, hidden)  # (B, T, H)
    share = add("Unsqueeze", add("Softmax", start, axis=-1), [1])  # (B, 1, T)
    mean = add("Squeeze", add("MatMul", share, rows), [1])
    both = add("Concat", add("Gather", rows, 0, axis=1), mean, axis=1)  # (B, 2H)
    inner = graph.activation(graph.linear(both, "span_head.answerable_hidden"), "gelu")
    add("Squeeze", graph.linear(inner, "span_head.answerable"), [1], name="impossible")
