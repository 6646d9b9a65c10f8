"""Network → exported folder, compared with the network before it takes its name; all of it or nothing."""

import copy
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from common.errors import InputError
from common.files import atomic_folder, write_json
from common.locks import Lock
from encoders.batching import Batch
from encoders.config import to_json
from encoders.framework import paddle
from encoders.tokenizer import Tokenizer
from inference.agreement import Comparison, compare
from inference.engine import Engine, Outputs
from inference.exported import DESCRIPTION, ExportedModel, is_exported
from inference.graph_engine import open_engine
from inference.network_engine import NetworkEngine, head_of
from inference.onnx_heads import write_onnx_graph
from inference.paddle_engine import write_paddle_graph
from inference.probes import probe_batches

MAX_PROBE = 1024  # tokens: the scores of 8192 by 8192 would need gigabytes


def export(
    model: "paddle.nn.Layer",
    tokenizer: Tokenizer,
    digest: str,
    target: str | Path,
    kind: str,
    rows: Sequence[tuple[str, ...]] = (),
    finish: Callable[[ExportedModel], dict[str, object]] | None = None,
    settings: Mapping[str, object] = {},
) -> float:
    """Write a network as an exported folder, after comparing the graph's answers with the network's.

    Args:
        model: The network, in evaluation mode.
        tokenizer: Its tokenizer, which is kept in the folder.
        digest: Of the model folder.
        target: The folder to write; new, empty, or an earlier export.
        kind: ``paddle`` or ``onnx``.
        rows: Texts to compare on besides ``inference.probes``.
        finish: Called with the folder when it has been compared; may change it. What it returns is
            described in ``export.json``.
        settings: Stand in ``config.json`` beside the network's.

    Returns:
        The largest difference.

    Raises:
        InputError: The answers differ by more than rounding; ``target`` is left as it was.
    """
    target = Path(target)
    check_target(target)
    check_packages(kind)
    config = model.config
    length = min(config.max_tokens, MAX_PROBE)
    batches = list(probe_batches(tokenizer, length, config.pad_token_id, rows))
    with _locked(target), atomic_folder(target) as folder:
        graph = _write_graph(folder, model, kind)
        write_json(folder / "config.json", {**to_json(config), **settings})
        tokenizer.save(folder)
        exported = ExportedModel(folder, config, kind, head_of(model), graph, digest)
        comparison, limits = check_graph(open_engine(exported), model, batches, target)
        description = {
            "format": kind, "head": exported.head, "graph": graph, "checkpoint_digest": digest,
            "paddle_version": paddle.__version__, "largest_difference": comparison.largest, "limits": limits,
        }  # fmt: skip
        write_json(folder / DESCRIPTION, {**description, **(finish(exported) if finish else {})})
    return comparison.largest


def check_graph(
    engine: Engine, model: "paddle.nn.Layer", batches: Sequence[Batch], target: Path
) -> tuple[Comparison, dict[str, float]]:
    """Compare a graph with its network: the comparison and its limits; InputError beyond rounding."""
    expected = [NetworkEngine(model)(batch) for batch in batches]
    comparison = compare(engine, batches, expected)
    limits = comparison.limits()
    if comparison.fault(limits):  # a network of many layers, or large numbers within: measure its rounding
        limits = comparison.limits(measure_rounding(model, batches, expected))
    if fault := comparison.fault(limits):
        reason = f"the graph's answers differ from the network's {fault}; nothing was written"
        raise InputError(f"{reason}; take the other format, and report this", path=target)
    return comparison, limits


def measure_rounding(
    model: "paddle.nn.Layer", batches: Sequence[Batch], expected: Sequence[Outputs]
) -> Comparison:
    """Compare a network's float32 answers (expected) with its float64 ones: what rounding alone does."""
    model.to(dtype="float64")
    try:
        return compare(NetworkEngine(model, "float64"), batches, expected)
    finally:
        model.to(dtype="float32")  # every float32 is a float64: nothing is lost on the way


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Nobody else exports to the same folder; InputError if somebody does."""
    path = target.absolute().with_name(f".{target.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with Lock(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _write_graph(folder: Path, model: "paddle.nn.Layer", kind: str) -> str:
    """Write the graph; returns the name of its file."""
    if kind == "paddle":
        return write_paddle_graph(folder, copy.deepcopy(model))  # which becomes a static one
    arrays = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    head = head_of(model)
    beam = model.span_head.beam if head == "beams" else 0
    write_onnx_graph(folder / "model.onnx", model.config, arrays, head, beam)
    return "model.onnx"


def missing_package(kind: str) -> str:
    """What writing and running a kind of graph needs besides Paddle, and is not installed; or empty."""
    packages = ("onnx", "onnxruntime") if kind == "onnx" else ()
    return next((name for name in packages if importlib.util.find_spec(name) is None), "")


def check_packages(kind: str) -> None:
    """InputError if a package is missing that a kind of graph needs."""
    if package := missing_package(kind):
        raise InputError(f"{package} is not installed, which {kind} graphs need: pip install -e '.[onnx]'")


def check_target(target: Path) -> None:
    """InputError unless ``target`` is absent, empty, or an earlier export."""
    if target.exists() and not is_exported(target) and (not target.is_dir() or any(target.iterdir())):
        raise InputError("holds other things than an export; name a new folder", path=target)
