"""When two engines give the same answers: how far rounding may move a number, and what it may not change.

A graph is compared with its network output by output, because the outputs of a joint head differ in size. A
difference is allowed up to ``inference.limits.limit_of``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from encoders.batching import Batch
from inference.limits import NEAR_TIE, limit_of
from inference.running import Engine, Outputs, mask_of

_NO_CHANCE = -50.0  # a logarithm; below it, where no answer may be, engines end at different numbers
_POSITIONS = ("start_at", "end_at")
_Pairs = dict[str, tuple[np.ndarray, np.ndarray]]  # output → an engine's numbers, the expected ones


def near_tie(size: np.ndarray) -> np.ndarray:
    """The distance below which two numbers may change places. size: of the largest number among them."""
    return np.asarray(NEAR_TIE * np.maximum(1.0, size))


@dataclass(frozen=True)
class Comparison:
    """Of an engine's answers with the expected ones.

    sizes: output → the largest expected number. differences: output → the largest difference.
    changed: a label or span that is another one although there was no near tie; empty if there is none.
    """

    sizes: Mapping[str, float]
    differences: Mapping[str, float]
    changed: str = ""

    @property
    def largest(self) -> float:
        """The largest difference of all outputs; NaN if one is."""
        return float(np.max(list(self.differences.values())))

    def limits(self, rounding: "Comparison | None" = None) -> dict[str, float]:
        """Output → how far apart it may be. rounding: the same answers compared with float64 ones."""
        measured = rounding.differences if rounding else {}
        return {name: limit_of(size, measured.get(name, 0.0)) for name, size in self.sizes.items()}

    def fault(self, limits: Mapping[str, float]) -> str:
        """What differs by more than rounding; empty if nothing does."""
        for name, difference in self.differences.items():
            if not difference <= limits[name]:  # a NaN is not
                return f"{name} by {difference:.2g}, more than {limits[name]:.2g}"
        return self.changed


def compare(engine: Engine, batches: Sequence[Batch], expected: Sequence[Outputs]) -> Comparison:
    """Compare an engine's answers with the expected ones of the same batches.

    A difference is NaN where an answer is not a number and infinite where shapes differ. Padding, and tokens
    where no answer may be, are not compared as long as no answer is there.
    """
    sizes = {name: 0.0 for name in expected[0] if name not in _POSITIONS}
    differences, changed = dict(sizes), ""
    for batch, wanted in zip(batches, expected, strict=True):
        outputs = engine(batch)
        if any(outputs[name].shape != array.shape for name, array in wanted.items()):
            return Comparison(sizes, dict.fromkeys(sizes, math.inf), changed)
        pairs, other = _PAIRS[engine.head](batch, outputs, wanted)
        changed = changed or other
        for name, (found, right) in pairs.items():
            sizes[name] = max(sizes[name], _largest(right))
            differences[name] = float(np.maximum(differences[name], _largest(found - right)))
    return Comparison(sizes, differences, changed)


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max(initial=0.0))


def _sentence(batch: Batch, outputs: Outputs, wanted: Outputs) -> tuple[_Pairs, str]:
    found, right = outputs["logits"], wanted["logits"]
    return {"logits": (found, right)}, _other_choice("a label", found, right)


def _spans(batch: Batch, outputs: Outputs, wanted: Outputs) -> tuple[_Pairs, str]:
    """Only where an answer may be; elsewhere logits are lowered by 1000, where float32 has four decimals."""
    allowed = (batch.token_types > 0) | (np.arange(batch.ids.shape[1]) == 0)
    allowed &= mask_of(batch) > 0
    pairs, changed = {}, ""
    for name, right in wanted.items():
        pairs[name] = (outputs[name][allowed], right[allowed])
        inside = np.where(allowed, right, -np.inf)
        # An engine's answer anywhere counts, but what it holds at padding means nothing.
        ours = np.where(mask_of(batch) > 0, outputs[name], -np.inf)
        changed = changed or _other_choice(f"a span's {name}", ours, inside)
    return pairs, changed


def _other_choice(noun: str, found: np.ndarray, right: np.ndarray) -> str:
    """(N, L) each: a row whose best column is another one although the two are no near tie."""
    rows, ours, theirs = np.arange(len(right)), found.argmax(axis=1), right.argmax(axis=1)
    gap = right[rows, theirs] - right[rows, ours]
    size = np.abs(np.where(np.isfinite(right), right, 0.0)).max(axis=1)
    other = np.flatnonzero(gap > near_tie(size))
    return f"in {noun}: {ours[other[0]]} instead of {theirs[other[0]]}" if len(other) else ""


def _beams(batch: Batch, outputs: Outputs, wanted: Outputs) -> tuple[_Pairs, str]:
    """Logarithms of chances, the best first, and their positions.

    Ends are not compared for a start where no answer may be: it may be at padding.
    """
    start, end = (_chances(outputs[name], wanted[name]) for name in ("start", "end"))
    same, possible = outputs["start_at"] == wanted["start_at"], wanted["start"] > _NO_CHANCE
    begins = (same & possible)[..., None]
    other_start = ~same & ~_tied(wanted["start"])
    other_end = begins & (outputs["end_at"] != wanted["end_at"]) & ~_tied(wanted["end"])
    pairs = {
        "start": start,
        "end": (np.where(begins, end[0], end[1]), end[1]),
        "impossible": (outputs["impossible"], wanted["impossible"]),
    }
    changed = "in a span's start" if other_start.any() else "in a span's end" if other_end.any() else ""
    return pairs, changed


def _chances(found: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as they are compared: from −50 up, where what is expected to have no chance counts 0."""
    none = np.where(right > _NO_CHANCE, 0.0, _NO_CHANCE)
    return np.maximum(found, _NO_CHANCE) - none, np.maximum(right, _NO_CHANCE) - none


def _tied(chances: np.ndarray) -> np.ndarray:
    """Which of the best, in descending order, have a neighbour that rounding may put in their place; the
    last one's neighbour is not seen."""
    size = np.where(chances > _NO_CHANCE, np.abs(chances), 0.0).max(axis=-1, keepdims=True)
    close = np.diff(np.maximum(chances, _NO_CHANCE), axis=-1) > -near_tie(size)
    edge = np.zeros((*chances.shape[:-1], 1), dtype=bool)
    tied = np.concatenate([edge, close], axis=-1) | np.concatenate([close, edge], axis=-1)
    tied[..., -1] = True
    return np.asarray(tied | (chances <= _NO_CHANCE))


_PAIRS = {"sentence": _sentence, "spans": _spans, "beams": _beams}  # of inference.exported.HEADS
