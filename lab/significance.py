"""Is A better than B? Asked of configurations, whose runs are paired by seed, and of two submissions.

Configurations: the differences of main scores of the same task and seed, with the 95 % interval of Student's
t. Of many intervals some miss 0 by chance, so p is corrected for their number (Holm 1979, A Simple
Sequentially Rejective Multiple Test Procedure), once for the lines of tasks and once for those of all tasks.

Submissions: the rows of the dev files are resampled for both at once (``metrics/bootstrap.py``), each file by
itself, and the tasks' differences are averaged as the leaderboard averages scores.
"""

import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pandas import DataFrame, Series

from common.errors import InputError
from common.json_files import read_json_object
from common.messages import say
from common.tables import render
from glue.file_scoring import resample
from glue.tasks import TASKS, Task
from lab.ensemble_io import gold_values
from lab.ensemble_selection import score_splits
from lab.results import done_runs, print_summary, trials_table
from lab.trial_store import read_results
from metrics.bootstrap import compare_scores
from metrics.prediction_file import Form, read_predictions

ALL_TASKS = "all tasks"
_LEVEL, _ROUNDING = 0.05, 1e-9
_FROM_TASK = re.compile(rf"-from-({'|'.join(TASKS)})(?=-|$)")
_RESAMPLES, _SEED = 2000, 42


def print_results(flags: Namespace) -> None:
    """Carry out ``lab.selection``."""
    results = read_results(flags.runs)
    if not results:
        raise InputError("no trials of a sweep; python -m lab.sweep makes some", path=flags.runs)
    trials = trials_table(results)
    if flags.against is None:
        print_summary(trials, flags.format)
        return
    compared = compare_configurations(trials, flags.against)
    if flags.format not in ("csv", "json"):
        print_summary(trials, flags.format)
        print()
    for key in ("mean", "low", "high"):
        compared[key] *= 100
    compared = compared.rename(columns={"configuration": f"minus {flags.against}"})
    print(render(compared, flags.format, {"mean": "+.2f", "low": "+.2f", "high": "+.2f", "p": ".3f"}))
    for task in trials["task"].unique():
        if task not in set(compared["task"]):
            say(f"{task}: nothing to compare with {flags.against}")


def compare_configurations(table: DataFrame, against: str) -> DataFrame:
    """Compare every configuration with one of them, within each task and over all together.

    Args:
        table: The runs (``lab/results.py``).
        against: The plain configuration, without its task, and without the ``-from-TASK`` of those tasks
            whose trials all begin with another one's best run. InputError if no such run is done.

    Returns:
        Rows of ``configuration``, ``task`` (also ``ALL_TASKS`` where there are several), ``pairs``, and in
        fractions of 1 ``mean``, ``low`` and ``high``; ``p``, and ``verdict``: better, worse or empty.
        Differences that are all equal say nothing about chance: they have neither interval nor p.
    """
    rows = []
    for name, pairs in _seed_pairs(table, against).groupby("name", sort=False):
        by_task = list(pairs.groupby("task", sort=False)["difference"])
        by_task += [(ALL_TASKS, pairs["difference"])] if len(by_task) > 1 else []
        rows += [{"configuration": name, "task": task, **_t_test(values)} for task, values in by_task]
    columns = ["configuration", "task", "pairs", "mean", "low", "high", "p"]
    compared = DataFrame(rows, columns=columns)
    for _, group in compared.groupby(compared["task"] == ALL_TASKS):
        compared.loc[group.index, "p"] = holm(group["p"])
    verdict = np.where(compared["mean"] > 0, "better", "worse")
    compared["verdict"] = np.where(compared["p"] < _LEVEL, verdict, "")
    return compared


def _seed_pairs(table: DataFrame, against: str) -> DataFrame:
    """Each run beside the plain one of its task and seed, with the ``difference`` of their main scores."""
    done = done_runs(table)
    names = done.groupby("task")["configuration"].transform(lambda column: _short_names(column, against))
    done = done.assign(name=names)[["task", "seed", "name", "main"]]
    plain = done[done["name"] == against]
    if plain.empty:
        known = ", ".join(sorted(set(done["name"]))) or "none"
        raise InputError(f"--against {against}: no such configuration is done; done ones: {known}")
    pairs = done[done["name"] != against].merge(plain, on=["task", "seed"], suffixes=("", "_plain"))
    return pairs.assign(difference=pairs["main"] - pairs["main_plain"])


def _short_names(configurations: Series, against: str) -> Series:
    """The configurations of a task without it; without ``-from-TASK`` too, where that is needed and clear."""
    names = configurations.str.partition("/")[2]
    if against in set(names):
        return names
    short = names.str.replace(_FROM_TASK, "", regex=True)
    return short if short.nunique() == names.nunique() else names


def _t_test(differences: Series) -> dict[str, Any]:
    from scipy.stats import ttest_1samp

    row = {"pairs": len(differences), "mean": differences.mean()}
    if differences.max() - differences.min() <= _ROUNDING:
        return row
    test = ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval()
    return {**row, "low": float(low), "high": float(high), "p": float(test.pvalue)}


def holm(chances: Series) -> Series:
    """Correct p values for how many they are; missing ones do not count and stay missing."""
    ranked = chances.dropna().sort_values()
    return (ranked * np.arange(len(ranked), 0, -1)).cummax().clip(upper=1.0).reindex(chances.index)


@dataclass(frozen=True)
class SubmissionGain:
    """What one submission has over another, in leaderboard averages as fractions of 1."""

    on_dev: float  # on the dev files, which also holds the luck of the choice made on them
    expected: float | None  # by their manifests; None where one does not say
    interval: tuple[float, float]  # 95 %, as wide as the bootstrap's, around ``expected`` (else ``on_dev``)
    is_same: bool  # no dev row is answered otherwise


def compare_submissions(before: Path, after: Path, data_dir: Path) -> SubmissionGain:
    """Compare two folders of a history, by ``dev-NAME.tsv`` of every task and the manifests; InputError if a
    file is missing or does not fit the dev files."""
    generator = np.random.default_rng(_SEED)
    on_dev, resampled = 0.0, np.zeros(_RESAMPLES)
    for task in TASKS.values():
        golds = [gold_values(task, split, data_dir) for split in task.of_kind("dev")]
        old, new = (_values(folder, task, golds) for folder in (before, after))
        a, b = (score_splits(task, golds, values)["main"] for values in (old, new))
        on_dev += (b - a) / len(TASKS)
        draws = resample(task, list(zip(golds, old, new, strict=True)), _RESAMPLES, generator)["main"]
        resampled += (draws[:, 1] - draws[:, 0]) / len(TASKS)
    interval = compare_scores(on_dev, 0.0, resampled)["interval_95"]
    expected = expected_gain(before, after)
    shift = 0.0 if expected is None else expected - on_dev
    return SubmissionGain(on_dev, expected, (interval[0] + shift, interval[1] + shift), not any(interval))


def expected_gain(before: Path, after: Path) -> float | None:
    """What the leaderboard average is expected to gain, by the manifests in two folders of a history.

    A task answered alike counts 0: that it was chosen among others is no news. None where one does not say.
    """
    folders = (before, after)
    tasks = [read_json_object(folder / "submission.manifest.json").get("tasks") for folder in folders]
    gain = 0.0
    for task in TASKS.values():
        files = [f"dev-{split.submission_file}" for split in task.of_kind("dev")]
        if all((before / name).read_bytes() == (after / name).read_bytes() for name in files):
            continue
        try:
            entries: Any = [of_all[task.name] for of_all in tasks]  # type: ignore[index]
            old, new = (float((entry.get("expected") or entry["dev"])["main"]) for entry in entries)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
        gain += (new - old) / len(TASKS)
    return gain


def _values(folder: Path, task: Task, golds: Sequence[np.ndarray]) -> list[np.ndarray]:
    form, values = Form(task.labels, task.target_range), []
    for split, gold in zip(task.of_kind("dev"), golds, strict=True):
        path = folder / f"dev-{split.submission_file}"
        if not path.is_file():
            raise InputError("is missing: these answers cannot be compared", path=path)
        values.append(task.values_of(read_predictions(path, form, len(gold))))
    return values
