"""The two averages over tasks that are published for this benchmark. They are different numbers.

Both take ``tasks``, the benchmark's table (name → row), and ``scores``, task name → score key → value
(fractions or percent: the average is in the same unit). Neither ever averages fewer tasks than it is
defined over: with a score missing it is None, and ``missing_scores`` names what is missing.
"""

import math
from collections.abc import Mapping
from typing import Protocol

from common.errors import InputError

Scores = Mapping[str, Mapping[str, float]]


class AveragedTask(Protocol):
    """What averaging needs to know of a task; the rows of the benchmark's table have it."""

    @property
    def score_keys(self) -> tuple[str, ...]: ...

    @property
    def paper_score(self) -> str: ...


def leaderboard_average(scores: Scores, tasks: Mapping[str, AveragedTask]) -> float | None:
    """The GLUE leaderboard's "Score": the mean over all nine tasks.

    A task with two scores counts as their mean, so MNLI counts once; WNLI counts; the diagnostic
    set AX has no score here. Source: the leaderboard's rules; reproduces its published rows.
    """
    return _average(scores, {name: task.score_keys for name, task in tasks.items()})


def paper_average(scores: Scores, tasks: Mapping[str, AveragedTask]) -> float | None:
    """The average of the ConvBERT paper (arXiv:2008.02496, table 4): one score of each of eight tasks.

    No WNLI; accuracy for MRPC and QQP, Spearman for STS-B, matched accuracy for MNLI. Not comparable
    with the leaderboard's number.
    """
    return _average(scores, _paper_keys(tasks))


def missing_scores(scores: Scores, tasks: Mapping[str, AveragedTask], paper: bool = False) -> list[str]:
    """The scores that an average lacks, as ``task/key``, in the order of the table."""
    wanted = _paper_keys(tasks) if paper else {name: task.score_keys for name, task in tasks.items()}
    return [
        f"{name}/{key}" for name, keys in wanted.items() for key in keys if key not in scores.get(name, {})
    ]


def _paper_keys(tasks: Mapping[str, AveragedTask]) -> dict[str, tuple[str, ...]]:
    return {name: (task.paper_score,) for name, task in tasks.items() if task.paper_score}


def _average(scores: Scores, wanted: Mapping[str, tuple[str, ...]]) -> float | None:
    means = []
    for name, keys in wanted.items():
        values = [scores[name][key] for key in keys if key in scores.get(name, {})]
        if len(values) < len(keys):
            return None
        if not all(math.isfinite(value) for value in values):
            raise InputError(f"{name}: scores {values} are not all finite numbers; score that run again")
        means.append(sum(values) / len(values))
    return sum(means) / len(means) if means else None
