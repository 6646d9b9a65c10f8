"""Network → exported folder, compared with the network before it takes its name; all of it or nothing."""

import importlib.util
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from commands.errors import InputError
from commands.files import atomic_folder, write_json
from commands.locks import Lock
from convbert.batching import Batch
from convbert.config import to_json
from convbert.framework import paddle
from convbert.tokenizer import Tokenizer
from engines.dynamic import DynamicEngine, ExactEngine, head_of
from engines.exported import DESCRIPTION, Exported, is_exported
from engines.onnx_heads import write_network
from engines.paddle_static import write_graph
from engines.probes import probe_batches
from engines.running import Engine, Outputs, mask_of, open_engine

LARGEST_DIFFERENCE = 1e-5
_PACKAGES = {"onnx": ("onnx", "onnxruntime")}
_LOWERED = 500.0  # span heads lower logits by 1000
_NO_CHANCE = -50.0  # the logarithm of a chance
_TIE = 1e-4  # of logarithms of chances


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
    A difference above 1e-5 in any output, beyond what the network's own rounding explains, is an InputError,
    and what stood at ``target`` is untouched. finish: called then with the folder, which it may change; what
    it returns is described in ``export.json``. settings: stand in ``config.json`` beside the network's. The
    network must be in evaluation mode; with ``paddle`` it is a static one afterwards.
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
        difference = largest_difference(open_engine(exported), batches, expected)
        allowed = LARGEST_DIFFERENCE
        if difference > allowed and kind == "onnx":
            allowed += 2 * rounding_of(model, batches, expected)  # the graph rounds as well
        if not difference <= allowed:
            raise InputError(
                f"{target}: the {kind} graph's answers differ from the network's by {difference:.2g}, more "
                f"than {allowed:.2g}; nothing was written; take the other format, and report this"
            )
        describe(exported, difference, **(finish(exported) if finish else {}))
    return difference


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
        return write_graph(folder, model)
    arrays = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    head = head_of(model)
    beam = model.span_head.beam if head == "beams" else 0
    write_network(folder / "model.onnx", model.config, arrays, head, beam)
    return "model.onnx"


def describe(exported: Exported, difference: float, **more: object) -> None:
    """Write ``export.json``."""
    values = {
        "format": exported.format,
        "head": exported.head,
        "graph": exported.graph,
        "checkpoint_digest": exported.digest,
        "largest_difference": difference,
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


def largest_difference(engine: Engine, batches: Sequence[Batch], expected: Sequence[Outputs]) -> float:
    """The largest difference of any number in any output; NaN where an answer is not a number, infinite
    where shapes differ. Of a logit that was lowered by 1000, where no answer may be, its part of it; what
    stands at padding means nothing."""
    found = [0.0]
    for batch, wanted in zip(batches, expected, strict=True):
        outputs = engine(batch)
        if any(outputs[name].shape != array.shape for name, array in wanted.items()):
            return math.inf
        if engine.head == "beams":
            found.append(_difference_of_beams(outputs, wanted))
        else:
            real = mask_of(batch) > 0 if engine.head == "spans" else ...
            found += [_difference(outputs[name][real], array[real]) for name, array in wanted.items()]
    return float(np.max(found))  # of a NaN and others: NaN


def _difference_of_beams(found: Outputs, wanted: Outputs) -> float:
    """Of chances, best first. Places must be equal, but for those whose chances are.

    Chances where no answer may be are not compared, nor the ends for a start there: Paddle's log-softmax ends
    at −64, others' do not, and such a start may be at padding.
    """
    chances = {name: np.maximum(found[name], _NO_CHANCE) for name in ("start", "end")}
    start, end = (np.maximum(wanted[name], _NO_CHANCE) for name in ("start", "end"))
    same = found["start_at"] == wanted["start_at"]
    begins = (same & (start > _NO_CHANCE))[..., None]
    other = [~same & ~_tied(start), begins & (found["end_at"] != wanted["end_at"]) & ~_tied(end)]
    if any(places.any() for places in other):
        return math.inf
    ends = np.where(begins, chances["end"], end)
    doubt = _difference(found["impossible"], wanted["impossible"])
    return max(_difference(chances["start"], start), _difference(ends, end), doubt)


def _tied(chances: np.ndarray) -> np.ndarray:
    """Which of the best, in descending order, have a neighbour that rounding may put in their place; the
    last one's neighbour is not seen."""
    close = np.diff(chances, axis=-1) > -_TIE
    edge = np.zeros((*chances.shape[:-1], 1), dtype=bool)
    tied = np.concatenate([edge, close], axis=-1) | np.concatenate([close, edge], axis=-1)
    tied[..., -1] = True
    return np.asarray(tied | (chances <= _NO_CHANCE))


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    size = np.abs(wanted)
    return float((np.abs(found - wanted) / np.where(size > _LOWERED, size, 1.0)).max())


def rounding_of(model: "paddle.nn.Layer", batches: Sequence[Batch], expected: Sequence[Outputs]) -> float:
    """How far a network's answers (expected) are from those it gives in float64: what rounding alone does."""
    model.to(dtype="float64")
    try:
        return largest_difference(ExactEngine(model), batches, expected)
    finally:
        model.to(dtype="float32")  # every float32 is a float64: nothing is lost on the way
