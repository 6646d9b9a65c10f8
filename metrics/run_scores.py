"""What ``scores.json`` of a run must hold, whoever reads it."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.messages import shortened

_MOST_STEPS = 10**12


def scores_fault(
    scores: Mapping[str, Any], keys: Sequence[str], most: float = 1.0, kinds: Sequence[str] = ("best", "last")
) -> str:
    """What is wrong with a run's evaluations; empty if nothing is.

    Args:
        scores: the file's object.
        keys: the scores that each evaluation must have, besides its ``main`` one and its ``step``.
        most: every score lies between the negative of this and this; 1 for fractions, 100 for percent.
        kinds: the evaluations that must be there.
    """
    for kind in kinds:
        evaluation = scores.get(kind)
        if not isinstance(evaluation, dict):
            return f"{kind} is {shortened(evaluation, 60)}, not an evaluation"
        for key in ("step", *dict.fromkeys(("main", *keys))):
            value, low, high = evaluation.get(key), -most, most
            if key == "step":
                low, high = 0, _MOST_STEPS
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                found = shortened(value, 60)
                return f"{kind}: {key} is {found}, not a number from {low:g} to {high:g}"
    return ""
