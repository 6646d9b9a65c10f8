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
from inference.dynamic import DynamicEngine, ExactEngine, head_of
from inference.exported import DESCRIPTION, Exported, is_exported
from inference.onnx_heads import write_network
from inference.paddle_static import write_graph
from inference.probes import probe_batches
from inference.running import Engine, Outputs, open_engine

_PACKAGES = {"onnx": ("onnx", "onnxruntime")}


def export(
    model: "paddle.nn.Layer",
    tokenizer: Tokenizer,
    digest: str,
    target: str | Path,
    kind: str,
    rows: Sequence[tuple[str, ...]] = (),
    finish: Callable[[Exported], dict[str, object]] | None = None,
    settings: Mapping[str, object] = {},
) -> float:
    """Write a network as the exported folder ``target`` and return the largest difference found.

    kind: ``paddle`` or ``onnx``. digest: of the model folder. rows: texts to compare on besides our own.
    A difference beyond rounding (see ``inference.agreement``) is an InputError, and ``target`` is left as it
    was. finish: called then with the folder, which it may change; what it returns is described in
    ``export.json``. settings: stand in ``config.json`` beside the network's. The network must be in
    evaluation mode.
    """
    target = Path(target)
    check_target(target)
    check_packages(kind)
    config = model.config
    longest = config.max_position_embeddings
    batches = list(probe_batches(tokenizer, longest, config.pad_token_id, rows))
    expected = [DynamicEngine(model)(batch) for batch in batches]
    with _alone(target), atomic_folder(target) as folder:
        graph = _write_graph(folder, model, kind)
        write_json(folder / "config.json", {**to_json(config), **settings})
        tokenizer.save(folder)
        exported = Exported(folder, config, kind, head_of(model), graph, digest)
        found, limits = check_graph(open_engine(exported), model, batches, expected, target)
        differences = {"largest_difference": found.largest, "limits": limits}
        describe(exported, **differences, **(finish(exported) if finish else {}))
    return found.largest


def check_graph(
    engine: Engine,
    model: "paddle.nn.Layer",
    batches: Sequence[Batch],
    expected: Sequence[Outputs],
    target: Path,
) -> tuple[Comparison, dict[str, float]]:
    """A graph compared with its network, and the limits; InputError if it differs by more than rounding."""
    found = compare(engine, batches, expected)
    limits = found.limits()
    if found.fault(limits):  # a network of many layers, or large numbers within: measure its rounding
        limits = found.limits(rounding_of(model, batches, expected))
    if fault := found.fault(limits):
        raise InputError(
            f"{target}: the graph's answers differ from the network's {fault}; nothing was written; take the "
            "other format, and report this"
        )
    return found, limits


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Nobody else exports to the same folder; InputError if somebody does."""
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    path = target.absolute().with_name(f".{target.name}.lock")
    with Lock(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _write_graph(folder: Path, model: "paddle.nn.Layer", kind: str) -> str:
    if kind == "paddle":
        return write_graph(folder, copy.deepcopy(model))  # which becomes a static one
    arrays = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    head = head_of(model)
    beam = model.span_head.beam if head == "beams" else 0
    write_network(folder / "model.onnx", model.config, arrays, head, beam)
    return "model.onnx"


def describe(exported: Exported, **more: object) -> None:
    """Write ``export.json``."""
    values = {
        "format": exported.format,
        "head": exported.head,
        "graph": exported.graph,
        "checkpoint_digest": exported.digest,
        "paddle_version": paddle.__version__,
        **more,
    }
    write_json(exported.folder / DESCRIPTION, values)


def missing_package(kind: str) -> str:
    """What writing and running a kind of graph needs besides Paddle, and is not installed; or empty."""
    absent = (name for name in _PACKAGES.get(kind, ()) if importlib.util.find_spec(name) is None)
    return next(absent, "")


def check_packages(kind: str) -> None:
    """InputError if a package is missing that a kind of graph needs."""
    if package := missing_package(kind):
        raise InputError(f"{package} is not installed, which {kind} graphs need: pip install -e '.[onnx]'")


def check_target(target: Path) -> None:
    """InputError unless ``target`` is absent, empty, or an earlier export."""
    if target.exists() and not is_exported(target) and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target}: holds other things than an export; name a new folder")


def rounding_of(
    model: "paddle.nn.Layer", batches: Sequence[Batch], expected: Sequence[Outputs]
) -> Comparison:
    """A network's answers (expected) compared with those it gives in float64: what rounding alone does."""
    model.to(dtype="float64")
    try:
        return compare(ExactEngine(model), batches, expected)
    finally:
        model.to(dtype="float32")  # every float32 is a float64: nothing is lost on the way
