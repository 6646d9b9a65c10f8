"""The heads of convbert/ as ONNX nodes, and the whole graph's file. No Paddle.

B rows, T tokens, N = B·T, H hidden size, L outputs, K beam, W the joint head's inner width.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from encoders.config import EncoderConfig
from inference.exported import HEADS, INPUTS
from inference.onnx_network import Network

_LOWERED = 1000.0  # as in encoders/span_heads.py, which this module cannot import without Paddle
_FLOAT, _INT64 = 1, 7  # ONNX's numbers of these types


def write_network(
    path: Path, config: EncoderConfig, arrays: Mapping[str, np.ndarray], head: str, beam: int = 0
) -> None:
    """Write the graph: ids, token_types (B, T) int64 and mask (B, T) float32 → the head's outputs.

    arrays: our parameter name → array. head: one of ``inference.exported.HEADS``; beam: of ``beams``.
    """
    network = Network(config, arrays)
    states = network.encode(first_only=head == "sentence")
    if head == "sentence":
        _sentence(network, states)
        axes: dict[str, list[str | int]] = {"logits": ["batch", max(1, len(config.id2label))]}
    elif head == "spans":
        _spans(network, states)
        axes = {name: ["batch", "length"] for name in HEADS[head]}
    else:
        _beams(network, states, beam)
        axes = {name: ["batch", "beam"] for name in ("start", "start_at")}
        axes |= {name: ["batch", "beam", "beam"] for name in ("end", "end_at")}
        axes |= {"impossible": ["batch"]}
    whole = ("start_at", "end_at")
    network.add.write(
        path, INPUTS, {name: ("int64" if name in whole else "float32", shape) for name, shape in axes.items()}
    )


def _sentence(network: Network, first: str) -> None:
    """first: (B, H) → logits (B, L)."""
    config, kind = network.config, network.config.classifier_head
    if kind == "dense":
        activation = "gelu" if config.model_type == "electra" else config.hidden_act
        first = network.activation(network.linear(first, "head.dense"), activation)
    elif kind == "pooler":
        first = network.add("Tanh", network.linear(first, "head.pooler"))
    network.linear(first, "head.projection", output="logits")


def _lowering(network: Network) -> str:
    """(B, T): 0 where an answer may be, the first token and the second segment, elsewhere −1000."""
    add = network.add
    zero, one = add.constant(0), add.constant(1)
    columns = add("Range", zero, add("Squeeze", network.length), one)
    first = add("Cast", add("Equal", columns, zero), to=_FLOAT)  # (T,)
    allowed = add("Max", add("Cast", "token_types", to=_FLOAT), first)  # (B, T)
    return add("Mul", add("Sub", allowed, add.constant(1.0)), add.constant(_LOWERED))


def _spans(network: Network, states: str) -> None:
    """states: (N, H) → start and end (B, T), lowered where no answer may be."""
    low = _lowering(network)
    sides = network.split(network.linear(states, "span_head.projection"), 2, 1)  # (N, 1) each
    for name, side in zip(("start", "end"), sides, strict=True):
        network.add("Add", network.add("Reshape", side, network.rows), low, name=name)


def _beams(network: Network, states: str, beam: int) -> None:
    """states: (N, H) → the joint head's outputs, see ``encoders.span_heads.Beams``.

    The inner layer of the end's logits is linear in the start's state and in the token's, so each is
    multiplied once.
    """
    add, low = network.add, _lowering(network)
    count = add("Min", add.constant([beam]), network.length)  # [K]
    start = add("Add", add("Reshape", network.linear(states, "span_head.start"), network.rows), low)
    chances = add("LogSoftmax", start, axis=-1)
    start_at = _best(network, chances, count, "start")  # (B, K)

    weight, bias = (network.arrays[f"span_head.end_hidden.{part}"] for part in ("weight", "bias"))
    width, hidden = len(bias), network.config.hidden_size
    of_start = add("MatMul", states, add.constant(weight[:hidden], "span_head.end_hidden.of_start"))
    of_token = add(
        "Gemm",
        states,
        add.constant(weight[hidden:], "span_head.end_hidden.of_token"),
        add.constant(bias, "span_head.end_hidden.bias"),
    )
    places = add("Unsqueeze", start_at, add.constant([2]))  # (B, K, 1)
    chosen = add("GatherND", network.shaped(of_start, width), places, batch_dims=1)  # (B, K, W)
    both = add(
        "Add",
        add("Unsqueeze", chosen, add.constant([2])),
        add("Unsqueeze", network.shaped(of_token, width), add.constant([1])),
    )  # (B, K, T, W)
    end = add("MatMul", network.activation(both, "gelu"), network.weight("span_head.end.weight"))
    end = add("Add", end, network.weight("span_head.end.bias"))
    end = add("Add", add("Squeeze", end, add.constant([3])), add("Unsqueeze", low, add.constant([1])))
    _best(network, add("LogSoftmax", end, axis=-1), count, "end")
    _impossible(network, states, start)


def _best(network: Network, chances: str, count: str, name: str) -> str:
    """The best along the last axis, as outputs ``name`` and ``name_at``; returns their places."""
    best, places = network.add.several("TopK", 2, chances, count, axis=-1)
    network.add("Identity", best, name=name)
    return network.add("Identity", places, name=f"{name}_at")


def _impossible(network: Network, states: str, start: str) -> None:
    """start: (B, T) lowered logits → impossible (B,), from the first token and the states' mean by start."""
    add, hidden = network.add, network.config.hidden_size
    rows = network.shaped(states, hidden)  # (B, T, H)
    share = add("Unsqueeze", add("Softmax", start, axis=-1), add.constant([1]))  # (B, 1, T)
    mean = add("Squeeze", add("MatMul", share, rows), add.constant([1]))
    both = add("Concat", add("Gather", rows, add.constant(0), axis=1), mean, axis=1)  # (B, 2H)
    inner = network.activation(network.linear(both, "span_head.answerable_hidden"), "gelu")
    logits = network.linear(inner, "span_head.answerable")  # (B, 1)
    add("Squeeze", logits, add.constant([1]), name="impossible")
