"""A task's scores, and the signature that says how they were computed."""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from common.provenance import code_version
from metrics.scores import METRICS

Pair = tuple[ArrayLike, ArrayLike]  # gold, predicted: label ids, or numbers for a regression


class ScoredTask(Protocol):
    """What scoring needs to know of a task; the rows of the benchmark's table have it."""

    @property
    def name(self) -> str: ...

    @property
    def metrics(self) -> tuple[str, ...]: ...

    @property
    def score_keys(self) -> tuple[str, ...]: ...

    @property
    def main(self) -> str: ...


def score_task(task: ScoredTask, parts: Sequence[Pair]) -> dict[str, float]:
    """The dev scores of a task, fractions of 1, more is better.

    parts: one (gold, predicted) pair per dev file, in the table's order. Returns ``task.score_keys``
    and ``main``, their mean: what the leaderboard counts and what picks the best checkpoint.
    Errors: InputError as in ``metrics.scores``; ValueError if the number of parts is not the task's.
    """
    values = [METRICS[metric](gold, predicted) for gold, predicted in parts for metric in task.metrics]
    scores = dict(zip(task.score_keys, values, strict=True))
    return {**scores, "main": sum(values) / len(values)}


def signature(task: ScoredTask, split: str, golds: Sequence[ArrayLike]) -> str:
    """One line that is equal for two scores exactly when they may be compared.

    split: what the gold is (``dev``; several files joined by ``+``). golds: the gold arrays that were
    scored; their digest tells a subset or another version of the file from the official one.
    The form follows sacreBLEU's signatures.
    """
    arrays = [np.asarray(gold, dtype="<f8") for gold in golds]
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    fields = {
        "split": split,
        "rows": "+".join(str(len(array)) for array in arrays),
        "gold": digest[:8],
        "metrics": "+".join(task.metrics),
        "main": task.main or "none",
        "scikit-learn": version("scikit-learn"),
        "scipy": version("scipy"),
        "toolkit": code_version(),
    }
    return "|".join([task.name, *(f"{name}:{value}" for name, value in fields.items())])
