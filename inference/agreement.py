"""When two engines give the same answers: how far rounding may move a number, and what it may not change.

A graph is compared with its network output by output, because the outputs of a joint head differ in size.
``inference.limits`` says how large a difference may be.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from encoders.batching import Batch
from inference.engine import Engine, Outputs, dense_mask
from inference.limits import max_difference
from inference.tie_breaking import tie_margin

_NO_CHANCE = -50.0  # a logarithm; below it, where no answer may be, engines end at different numbers
_POSITIONS = ("start_at", "end_at")
_Pairs = dict[str, tuple[np.ndarray, np.ndarray]]  # output → an engine's numbers, the expected ones


@dataclass(frozen=True)
class Comparison:
    """An engine's answers compared with the expected ones."""

    sizes: Mapping[str, float]  # output → the largest expected number
    differences: Mapping[str, float]  # output → the largest difference
    changed: str = ""  # a label or span that changed although there was no near tie

    @property
    def largest(self) -> float:
        """The largest difference of all outputs; NaN if one is."""
        return float(np.max(list(self.differences.values())))

    def limits(self, rounding: "Comparison | None" = None) -> dict[str, float]:
        """Output → how far apart it may be. rounding: the same answers compared with float64 ones."""
        measured = rounding.differences if rounding else {}
        return {name: max_difference(size, measured.get(name, 0.0)) for name, size in self.sizes.items()}

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
    for batch, reference in zip(batches, expected, strict=True):
        outputs = engine(batch)
        if any(outputs[name].shape != array.shape for name, array in reference.items()):
            return Comparison(sizes, dict.fromkeys(sizes, math.inf), changed)
        pairs, change = _PAIRS[engine.head](batch, outputs, reference)
        changed = changed or change
        for name, (ours, theirs) in pairs.items():
            sizes[name] = float(np.abs(theirs).max(initial=sizes[name]))
            differences[name] = float(np.abs(ours - theirs).max(initial=differences[name]))
    return Comparison(sizes, differences, changed)


def _sentence_pairs(batch: Batch, outputs: Outputs, reference: Outputs) -> tuple[_Pairs, str]:
    ours, theirs = outputs["logits"], reference["logits"]
    return {"logits": (ours, theirs)}, _changed_choice("a label", ours, theirs)


def _span_pairs(batch: Batch, outputs: Outputs, reference: Outputs) -> tuple[_Pairs, str]:
    """Only where an answer may be; elsewhere logits are lowered by 1000, where float32 has four decimals."""
    real = dense_mask(batch) > 0
    allowed = ((batch.token_types > 0) | (np.arange(batch.ids.shape[1]) == 0)) & real
    pairs, changed = {}, ""
    for name, theirs in reference.items():
        pairs[name] = (outputs[name][allowed], theirs[allowed])
        # An engine's answer anywhere counts, but what it holds at padding means nothing.
        ours = np.where(real, outputs[name], -np.inf)
        changed = changed or _changed_choice(f"a span's {name}", ours, np.where(allowed, theirs, -np.inf))
    return pairs, changed


def _changed_choice(noun: str, ours: np.ndarray, theirs: np.ndarray) -> str:
    """(N, L) each: a row whose best column changed although the two columns are not nearly tied."""
    rows, chosen, expected = np.arange(len(theirs)), ours.argmax(axis=1), theirs.argmax(axis=1)
    gap = theirs[rows, expected] - theirs[rows, chosen]
    size = np.abs(np.where(np.isfinite(theirs), theirs, 0.0)).max(axis=1)
    changed = np.flatnonzero(gap > tie_margin(size))
    return f"in {noun}: {chosen[changed[0]]} instead of {expected[changed[0]]}" if len(changed) else ""


def _beam_pairs(batch: Batch, outputs: Outputs, reference: Outputs) -> tuple[_Pairs, str]:
    """Logarithms of chances, the best first, and their positions.

    Ends are not compared for a start where no answer may be: it may be at padding.
    """
    start, end = (_clipped_chances(outputs[name], reference[name]) for name in ("start", "end"))
    same, possible = outputs["start_at"] == reference["start_at"], reference["start"] > _NO_CHANCE
    begins = (same & possible)[..., None]
    other_start = ~same & ~_tied(reference["start"])
    other_end = begins & (outputs["end_at"] != reference["end_at"]) & ~_tied(reference["end"])
    pairs = {
        "start": start,
        "end": (np.where(begins, end[0], end[1]), end[1]),
        "impossible": (outputs["impossible"], reference["impossible"]),
    }
    return pairs, "in a span's start" if other_start.any() else "in a span's end" if other_end.any() else ""


def _clipped_chances(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as they are compared: from −50 up, where what is expected to have no chance counts 0."""
    none = np.where(theirs > _NO_CHANCE, 0.0, _NO_CHANCE)
    return np.maximum(ours, _NO_CHANCE) - none, np.maximum(theirs, _NO_CHANCE) - none


def _tied(chances: np.ndarray) -> np.ndarray:
    """Which of the best, in descending order, have a neighbour that rounding may put in their place; the
    last one's neighbour is not seen."""
    size = np.where(chances > _NO_CHANCE, np.abs(chances), 0.0).max(axis=-1, keepdims=True)
    close = np.diff(np.maximum(chances, _NO_CHANCE), axis=-1) > -tie_margin(size)
    edge = np.zeros((*chances.shape[:-1], 1), dtype=bool)
    tied = np.concatenate([edge, close], axis=-1) | np.concatenate([close, edge], axis=-1)
    tied[..., -1] = True
    return np.asarray(tied | (chances <= _NO_CHANCE))


# Of inference.exported.HEADS.
_PAIRS = {"sentence": _sentence_pairs, "spans": _span_pairs, "beams": _beam_pairs}
