"""Trials as a sweep leaves them, made up: answers that are right as often as is asked for."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glue.answers import Answers, answers_of, write_answers
from glue.data import find_file, read_split
from glue.tasks import TASKS, Split, Task
from lab.joining import gold_values
from metrics.task_scores import score_task

FakeTrial = Callable[..., Path]


def _logits(task: Task, gold: np.ndarray, right: float, draw: np.random.Generator) -> np.ndarray:
    """Logits whose argmax is gold in a share of ``right`` of the rows; numbers: that near."""
    if task.is_regression:
        return (gold + draw.normal(size=len(gold)) * (1 - right) * 2)[:, None].astype(np.float32)
    wrong = draw.integers(1, len(task.labels), len(gold))
    said = np.where(draw.random(len(gold)) < right, gold, (gold + wrong) % len(task.labels))
    logits = draw.normal(size=(len(gold), len(task.labels))).astype(np.float32)
    logits[np.arange(len(gold)), said] = logits.max(axis=1) + 1
    return logits


def _answers(task: Task, split: Split, data: Path, right: float, draw: np.random.Generator) -> Answers:
    rows = len(read_split(task, split, data).examples)
    if split.kind == "dev":
        gold = gold_values(task, split, data)
    else:
        gold = draw.uniform(0, 5, rows) if task.is_regression else draw.integers(0, len(task.labels), rows)
    logits = _logits(task, gold, right, draw)
    order = list(reversed(range(len(task.labels)))) or [0]  # a checkpoint's own order of labels
    labels = [task.labels[number] for number in order] if task.labels else ["score"]
    return Answers(split.hand_in, logits[:, order], labels, answers_of(task, logits[:, order], labels))


def fake(runs: Path, name: str, data: Path, right: float = 0.8, seed: int = 0) -> Path:
    """A trial that is done, ``TASK/CONFIGURATION-seedN``; returns its run's folder."""
    task_name, _, rest = name.partition("/")
    task, folder = TASKS[task_name], runs / name
    draw = np.random.default_rng([seed, *map(ord, name)])
    digest = hashlib.sha256(name.encode()).hexdigest()
    pairs = []
    for kind in ("dev", "test"):
        parts = [_answers(task, split, data, right, draw) for split in task.of_kind(kind)]
        write_answers(folder / "predictions" / kind, parts, digest)
        if kind == "dev":
            for split, part in zip(task.of_kind(kind), parts, strict=True):
                said = [float(a) if task.is_regression else task.labels.index(a) for a in part.answers]
                pairs.append((gold_values(task, split, data), np.array(said)))
    best = {"step": 40, **score_task(task, pairs), "loss": 1.0}
    (folder / "scores.json").write_text(json.dumps({"task": task_name, "best": best, "last": best}))
    (folder / "args.json").write_text(json.dumps({"recipe": {"seed": seed}}))
    record = {"trial": name, "task": task_name, "configuration": f"{task_name}/{rest.rpartition('-')[0]}"}
    about = {**record, "status": "done", "message": "", "seconds": 1.0}
    folder.with_name(folder.name + ".trial.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def fake_trial(sample_dir: Path) -> FakeTrial:
    """``fake_trial(runs, "rte/base-seed1", right=0.8)``: see ``fake``; the data is the embedded sample."""
    assert find_file(sample_dir, TASKS["rte"].of_kind("dev")[0])

    def make(runs: Path, name: str, right: float = 0.8, seed: int = 0) -> Path:
        return fake(runs, name, sample_dir, right, seed)

    return make
