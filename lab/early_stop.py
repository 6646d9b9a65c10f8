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

from common.errors import InputError
from lab.trial_store import DONE, read_status
from training.run_state import read_history, read_run_state

_MAX_VALUE = 1e6  # of a score or a loss; what is larger, or no number, is no honest one
MIN_FINISHED = 5  # trials before any is stopped; Optuna's default

Curve = list[tuple[int, float]]  # (step, value)


def read_curve(run: Path) -> Curve:
    """Read the main score of each evaluation in a run's history, also while it is being written."""
    return _read(run, lambda line: line["evaluation"]["main"])


def read_losses(run: Path) -> Curve:
    """Read the training loss of each window in a run's history, also while it is being written."""
    return _read(run, lambda line: line["loss"])


def _read(run: Path, value_in: Callable[[Any], Any]) -> Curve:
    curve: Curve = []
    for line in read_history(run):
        with suppress(ValueError, KeyError, TypeError):  # a line of another kind
            value = float(value_in(line))
            if abs(value) <= _MAX_VALUE:
                curve.append((line["step"], value))
    return curve


def should_prune(curve: Curve, finished: Sequence[Curve], min_finished: int = MIN_FINISHED) -> bool:
    """Whether the rule stops a trial that has come as far as ``curve``."""
    if not curve:
        return False
    last = curve[-1][0]
    others = [score for other in finished for step, score in other if step == last]
    return len(others) >= min_finished and max(score for _, score in curve) < statistics.median(others)


class MedianRule:
    """Watches a run that is being trained, beside the folders of the trials to compare with.

    It decides once an evaluation, when the save of that step is there, and never about the last step: what is
    trained to its end is kept.
    """

    def __init__(self, folder: Path, peers: Sequence[Path]) -> None:
        self._folder, self._peers, self._evaluations = folder, peers, 0

    def reason_to_stop(self) -> str:
        """Why the run is to be stopped now; empty if it is not."""
        curve = read_curve(self._folder)
        if len(curve) == self._evaluations:
            return ""
        try:
            state = read_run_state(self._folder)
        except (InputError, OSError):  # being saved now
            return ""
        if state.step != curve[-1][0] or state.took_last_step:
            return ""
        self._evaluations, finished = len(curve), []
        for peer in self._peers:
            with suppress(InputError, OSError):  # a damaged record concerns its own trial
                finished += [read_curve(peer)] if read_status(peer) == DONE else []
        if not should_prune(curve, finished):
            return ""
        return f"below the median of {len(finished)} trials at step {curve[-1][0]}"
