"""What one hand-in has over another on the dev files, and how sure that is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from glue.tasks import TASKS, Task
from lab.ensemble_io import gold_values, values_of
from lab.ensemble_selection import scores_of
from metrics.bootstrap import resampled_scores
from metrics.prediction_file import Form, read_predictions

_RESAMPLES, _SEED = 2000, 42


@dataclass(frozen=True)
class Gain:
    """difference: of the leaderboard averages, after less before, as a fraction of 1. interval: 95 %."""

    difference: float
    interval: tuple[float, float]

    def moved_to(self, difference: float | None) -> "Gain":
        """The same uncertainty around a better estimate; this one if there is none."""
        if difference is None:
            return self
        low, high = (end + difference - self.difference for end in self.interval)
        return Gain(difference, (low, high))


def average_gain(before: Path, after: Path, data_dir: Path) -> Gain:
    """Compare two folders of dev predictions, ``dev-NAME.tsv`` of every task.

    The dev files are the rows: each is resampled on its own, for both at once (metrics/bootstrap.py), and
    the tasks' differences are averaged as the leaderboard averages scores. InputError for a missing file.
    """
    generator = np.random.default_rng(_SEED)
    observed, drawn = 0.0, np.zeros(_RESAMPLES)
    for task in TASKS.values():
        golds = [gold_values(task, split, data_dir) for split in task.of_kind("dev")]
        both = [_values(folder, task, golds) for folder in (before, after)]
        a, b = (scores_of(task, golds, values)["main"] for values in both)
        observed += (b - a) / len(TASKS)
        draws = [
            part[metric][:, 1] - part[metric][:, 0]
            for gold, old, new in zip(golds, *both, strict=True)
            for part in [resampled_scores(task.metrics, gold, (old, new), _RESAMPLES, generator)]
            for metric in task.metrics
        ]
        drawn += np.mean(draws, axis=0) / len(TASKS)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Gain(observed, (float(low), float(high)))


def _values(folder: Path, task: Task, golds: list[np.ndarray]) -> list[np.ndarray]:
    form, found = Form(task.labels, task.target_range), []
    for split, gold in zip(task.of_kind("dev"), golds, strict=True):
        path = folder / f"dev-{split.submission_file}"
        if not path.is_file():
            raise InputError(f"{path}: is missing: these answers cannot be compared")
        found.append(values_of(task, read_predictions(path, form, len(gold))))
    return found
