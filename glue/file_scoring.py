"""Prediction files against official dev files: scored, and two systems' compared."""

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError, UsageError
from common.messages import say
from glue.arguments import chosen_task
from glue.data import read_gold
from glue.tasks import Split, Task
from metrics.bootstrap import compare_scores, resampled_scores
from metrics.prediction_file import Form, read_predictions
from metrics.task_scores import ScoredTask, score_task, signature

Array = np.ndarray[Any, np.dtype[Any]]
Triple = tuple[Array, Array, Array]  # gold, A, B of one dev file
_DISCERNIBLE = 0.05


def score(args: Namespace) -> None:
    """Carry out ``glue.score``."""
    task = chosen_task(args)
    golds = read_golds(task, args.gold)
    scored = splits_scored(task, golds)
    predicted = read_predicted(task, golds, args.predictions)
    parts = [(gold.values, values) for gold, values in zip(golds, predicted, strict=True)]
    scores = score_task(scored, parts)
    if not scored.main:
        del scores["main"]
    line = signature(scored, scored.split, [gold.values for gold in golds])
    print(json.dumps({"task": task.name, **scores, "signature": line}, indent=2))


def compare(args: Namespace) -> None:
    """Carry out ``glue.compare``, which describes the method."""
    task = chosen_task(args)
    golds = read_golds(task, args.gold)
    scored = splits_scored(task, golds)
    systems = [read_predicted(task, golds, paths) for paths in (args.a, args.b)]
    parts = [(gold.values, a, b) for gold, a, b in zip(golds, *systems, strict=True)]
    result = compare_systems(scored, parts, args.resamples, args.seed)
    tests = {} if task.is_regression else {"mcnemar": mcnemar(parts)}
    line = signature(scored, scored.split, [gold.values for gold in golds])
    line += f"|bootstrap:paired|resamples:{args.resamples}|seed:{args.seed}|numpy:{np.__version__}"
    print(json.dumps({"task": task.name, **result, **tests, "signature": line}, indent=2))
    say(_verdict(result))


@dataclass(frozen=True)
class ScoredSplits:
    """Part of a task, as scoring sees it: the dev files that were given, not all it has."""

    name: str
    metrics: tuple[str, ...]
    score_keys: tuple[str, ...]
    main: str
    split: str  # for the signature


@dataclass(frozen=True)
class Gold:
    """A gold file."""

    position: int  # which of the files on the command line it is
    split: Split | None  # the dev file that it is taken for; None if that cannot be told
    values: Array  # (N,) label ids or numbers


def read_golds(task: Task, paths: Sequence[str]) -> list[Gold]:
    """Read gold files and bring them into the table's order; InputError for two of the same split."""
    golds = [_read_gold(task, path, position) for position, path in enumerate(paths)]
    splits = task.of_kind("dev")
    known = [gold.split for gold in golds if gold.split]
    if len(golds) > 1 and (len(known) < len(golds) or len(set(known)) < len(known)):
        names = " ".join(Path(split.file).name for split in splits)
        raise InputError(f"{' '.join(paths)}: not {task.name}'s dev files, one of each; give {names}")
    return sorted(golds, key=lambda gold: splits.index(gold.split) if gold.split else 0)


def splits_scored(task: Task, golds: Sequence[Gold]) -> ScoredSplits:
    """What of the task these gold files cover: all of it, or one of two dev files (no ``main`` then)."""
    splits = task.of_kind("dev")
    if len(golds) == len(splits):
        name = "+".join(split.name for split in splits)
        return ScoredSplits(task.name, task.metrics, task.score_keys, task.main, name)
    split = golds[0].split
    keys = tuple(f"{metric}_{split.part}" if split else metric for metric in task.metrics)
    return ScoredSplits(task.name, task.metrics, keys, "", split.name if split else "dev_unknown")


def read_predicted(task: Task, golds: Sequence[Gold], paths: Sequence[str]) -> list[Array]:
    """Prediction files, given in the order the gold files were, as ids or numbers in ``golds``' order."""
    if len(paths) != len(golds):
        raise UsageError(f"{len(paths)} prediction files but {len(golds)} gold files; give one for each")
    form = Form(task.labels, task.target_range, task.label_meant)
    return [task.values_of(read_predictions(paths[gold.position], form, len(gold.values))) for gold in golds]


def _read_gold(task: Task, path: str, position: int) -> Gold:
    splits = task.of_kind("dev")
    if not Path(path).is_file():
        message = f"no such file; --gold names an official dev file, e.g. {splits[0].file}"
        raise InputError(message, path=path, code="missing")
    by_name = [split for split in splits if Path(path).name == Path(split.file).name]
    values = task.values_of([str(label) for label in read_gold(task, (by_name or splits)[0], path)])
    by_rows = [split for split in splits if split.rows == len(values)]
    for candidates, how in ((by_name, "its name"), (by_rows, "its row count"), (splits, "")):
        if len(candidates) == 1:
            if len(splits) > 1:
                say(f"{path}: taken for the {candidates[0].part} dev file by {how}")
            return Gold(position, candidates[0], values)
    names = " or ".join(Path(split.file).name for split in splits)
    say(f"{path}: neither name nor row count tells whether this is {names}")
    return Gold(position, None, values)


def compare_systems(
    scored: ScoredSplits, parts: Sequence[Triple], resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Score key → ``a``, ``b``, ``difference``, ``interval_95``, ``p``; one (gold, A, B) per dev file.

    Dev files are resampled each on its own; ``main`` is the mean of all scores in every resample.
    """
    observed_a = score_task(scored, [(gold, a) for gold, a, _ in parts])
    observed_b = score_task(scored, [(gold, b) for gold, _, b in parts])
    resampled = resample(scored, parts, resamples, np.random.default_rng(seed))
    return {
        key: compare_scores(observed_a[key], observed_b[key], pairs[:, 0] - pairs[:, 1])
        for key, pairs in resampled.items()
    }


def resample(
    scored: ScoredTask, parts: Sequence[Triple], resamples: int, generator: np.random.Generator
) -> dict[str, Array]:
    """Score key, and ``main`` where there is one → (resamples, 2): each resample's score of A and of B."""
    draws = [
        part_draws[metric]
        for gold, a, b in parts
        for part_draws in [resampled_scores(scored.metrics, gold, (a, b), resamples, generator)]
        for metric in scored.metrics
    ]
    resampled = dict(zip(scored.score_keys, draws, strict=True))
    return {**resampled, **({"main": np.mean(draws, axis=0)} if scored.main else {})}


def mcnemar(parts: Sequence[Triple]) -> dict[str, Any]:
    """``only_a``, ``only_b``: rows that only A, or only B, has right; ``p``: two-sided, of the exact test.

    p is the chance that a fair coin, tossed once for each of these rows, falls as unevenly; 1 without any.
    """
    from scipy.stats import binomtest

    only_a = sum(int(((a == gold) & (b != gold)).sum()) for gold, a, b in parts)
    only_b = sum(int(((a != gold) & (b == gold)).sum()) for gold, a, b in parts)
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return {"only_a": only_a, "only_b": only_b, "p": p}


def _verdict(result: dict[str, dict[str, Any]]) -> str:
    key = "main" if "main" in result else next(iter(result))
    difference, p = result[key]["difference"], result[key]["p"]
    if p >= _DISCERNIBLE:
        return f"{key}: no difference shown (p {p:.3g})"
    better, worse = ("A", "B") if difference > 0 else ("B", "A")
    return f"{key}: {better} is better than {worse} by {abs(difference):.4f} (p {p:.3g})"
