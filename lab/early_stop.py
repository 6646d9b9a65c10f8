"""The median rule: a trial that is worse half-way than most were need not go on.

At an evaluation, a trial is stopped if its best score so far is below the median of what the finished
trials of its task had at that step (Golovin et al. 2017, Google Vizier, section 3.2.1; the form of Optuna's
MedianPruner). With trials side by side it depends on their speed which of them are finished, so a plan
with this rule need not give the same trials twice.
"""

import statistics
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from training.run_state import read_history

_LARGEST = 1e6  # of a score or a loss; what is larger, or no number, is no honest one
FEWEST = 5  # finished trials before anybody is stopped; Optuna's default

Curve = list[tuple[int, float]]  # (step, main score) of each evaluation


def read_curve(run: Path) -> Curve:
    """The evaluations in a run's history, also while it is being written."""
    return _read(run, lambda line: line["evaluation"]["main"])


def read_losses(run: Path) -> Curve:
    """(step, training loss) of each window in a run's history, also while it is being written."""
    return _read(run, lambda line: line["loss"])


def _read(run: Path, value_of: Callable[[Any], Any]) -> Curve:
    curve: Curve = []
    for line in read_history(run):
        with suppress(ValueError, KeyError, TypeError):  # a line of another kind
            value = float(value_of(line))
            if abs(value) <= _LARGEST:
                curve.append((line["step"], value))
    return curve


def is_hopeless(own: Curve, finished: Sequence[Curve], fewest: int = FEWEST) -> bool:
    """Whether the rule stops a trial that has come as far as ``own``."""
    if not own:
        return False
    step = own[-1][0]
    others = [score for curve in finished for at, score in curve if at == step]
    return len(others) >= fewest and max(score for _, score in own) < statistics.median(others)
