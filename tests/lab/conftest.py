"""Trials as a sweep leaves them, made up: right as often as is asked for; and the runs of a report."""

import functools
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints.folder import digest_of
from common.files import sha256_of
from common.files import write_manifest as write_folder_manifest
from common.provenance import Provenance, recorded_digest
from glue import predictions as glue_predictions
from glue.data import find_file, read_split
from glue.predictions import SplitPredictions
from glue.tasks import TASKS, Split, Task
from lab.ensemble_io import gold_values
from lab.plan import PlannedCheckpoint, Trial
from lab.report_page import page as render_page
from lab.trial_config import TrialResolver
from metrics.task_scores import score_task
from submission import pack
from submission.manifest import write_manifest
from tests.lab.page_reader import Element, read_page
from tests.lab.report_samples import NASTY, NLI, gold_rows, write_predictions, write_run
from tests.lab.submissions import PLAN, WritePlan
from training.run_state import FINISHED

FakeTrial = Callable[..., Path]


def _logits(task: Task, gold: np.ndarray, right: float, draw: np.random.Generator) -> np.ndarray:
    """Logits whose argmax is gold in a share of ``right`` of the rows; numbers: that near."""
    if task.is_regression:
        return (gold + draw.normal(size=len(gold)) * (1 - right) * 2)[:, None].astype(np.float32)
    wrong = draw.integers(1, len(task.labels), len(gold))
    predicted = np.where(draw.random(len(gold)) < right, gold, (gold + wrong) % len(task.labels))
    logits = draw.normal(size=(len(gold), len(task.labels))).astype(np.float32)
    logits[np.arange(len(gold)), predicted] = logits.max(axis=1) + 1
    return logits


def _answers(
    task: Task, split: Split, data: Path, right: float, draw: np.random.Generator
) -> SplitPredictions:
    rows = len(read_split(task, split, data).examples)
    if split.kind == "dev":
        gold = gold_values(task, split, data)
    else:
        gold = draw.uniform(0, 5, rows) if task.is_regression else draw.integers(0, len(task.labels), rows)
    logits = _logits(task, gold, right, draw)
    order = list(reversed(range(len(task.labels)))) or [0]  # a checkpoint's own order of labels
    labels = [task.labels[number] for number in order] if task.labels else ["score"]
    source = Provenance(data={split.file: sha256_of(find_file(data, split))})
    return SplitPredictions(task, split, logits[:, order], labels, source)


@functools.cache
def _args(task: str, data: Path) -> dict[str, Any]:
    """What args.json says of a run from the sample's model with the default recipe."""
    checkpoint = PlannedCheckpoint("base", str(data / "tiny-convbert"), from_scratch=True)
    files = [split for kind in ("train", "dev") for split in TASKS[task].of_kind(kind)]
    return {
        "task_name": task,
        "model_name_or_path": checkpoint.model,
        "model_sha256": digest_of(checkpoint.model),
        "recipe": vars(TrialResolver(data, data).resolve(Trial(task, checkpoint, "", 1)).run.training),
        "data": {split.file: {"sha256": sha256_of(find_file(data, split))} for split in files},
    }


def fake(
    runs: Path,
    name: str,
    data: Path,
    right: float = 0.8,
    seed: int = 0,
    args: Mapping[str, Any] | None = None,
) -> Path:
    """A trial that is done, ``TASK/CONFIGURATION-seedN``; returns its folder. seed: of the random draws.
    args: what its args.json says; None: as one from the sample's model with the default recipe."""
    task_name, _, rest = name.partition("/")
    task, folder = TASKS[task_name], runs / name
    draw = np.random.default_rng([seed, *map(ord, name)])
    best_folder = folder / "best"
    best_folder.mkdir(parents=True, exist_ok=True)
    for file in ("model.safetensors", "config.json", "vocab.txt"):
        (best_folder / file).write_text(f"{file} of {name}", encoding="utf-8")
    write_folder_manifest(best_folder)
    digest = recorded_digest(best_folder)
    pairs = []
    for kind in ("dev", "test"):
        parts = [_answers(task, split, data, right, draw) for split in task.of_kind(kind)]
        signed = [part.made_by(digest) for part in parts]
        glue_predictions.write_predictions(folder / "predictions" / kind, signed)
        if kind == "dev":
            for split, part in zip(task.of_kind(kind), parts, strict=True):
                pairs.append((gold_values(task, split, data), task.values_of(part.values)))
    best = {"step": 40, **score_task(task, pairs), "loss": 1.0}
    (folder / "scores.json").write_text(
        json.dumps({"task": task_name, "best": best, "last": best}), encoding="utf-8"
    )
    (folder / FINISHED).touch()
    args = dict(args or _args(task_name, data))
    args["recipe"] = {**args["recipe"], "seed": int(rest.rpartition("-seed")[2])}
    (folder / "args.json").write_text(json.dumps(args), encoding="utf-8")
    record = {"trial": name, "task": task_name, "configuration": f"{task_name}/{rest.rpartition('-')[0]}"}
    trial_record = {**record, "status": "done", "message": "", "seconds": 1.0}
    folder.with_name(folder.name + ".trial.json").write_text(json.dumps(trial_record), encoding="utf-8")
    return folder


@pytest.fixture
def fake_trial(sample_dir: Path) -> FakeTrial:
    """``fake_trial(runs, "rte/base-seed1", right=0.8)``: see ``fake``; the data is the embedded sample."""
    assert find_file(sample_dir, TASKS["rte"].of_kind("dev")[0])

    def make(runs: Path, name: str, right: float = 0.8, seed: int = 0) -> Path:
        return fake(runs, name, sample_dir, right, seed)

    return make


@pytest.fixture
def write_plan(sample_dir: Path) -> WritePlan:
    """``write_plan(folder, "rte: , cola: ", size=1)``: the path of a plan for made-up trials."""

    def write(folder: Path, tasks: str, size: int = 3) -> str:
        path = folder / "plan.yaml"
        text = PLAN.replace("MODEL", str(sample_dir / "tiny-convbert")).replace("TASKS", tasks)
        path.write_text(text.replace("size: 3", f"size: {size}"), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture(scope="session")
def made_runs(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three trials of every task; of RTE one is far better than the others. Not to be written to."""
    runs = tmp_path_factory.mktemp("made") / "runs"
    for task in TASKS:
        for seed in (1, 2, 3):
            right = (0.55, 0.95, 0.6)[seed - 1] if task == "rte" else 0.75
            fake(runs, f"{task}/base-seed{seed}", sample_dir, right, seed)
    return runs


@pytest.fixture
def runs(made_runs: Path, tmp_path: Path) -> Path:
    """A copy of ``made_runs``, to be changed."""
    shutil.copytree(made_runs, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def report_data(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, with a nasty first dev row of RTE, and a labelled diagnostic set."""
    folder = tmp_path_factory.mktemp("report") / "data"
    folder.mkdir()
    for part in sample_dir.iterdir():
        if part.is_dir() and part.name not in ("RTE", "diagnostic"):
            (folder / part.name).symlink_to(part)
    for part in ("RTE", "diagnostic"):
        (folder / part).mkdir()
        for file in (sample_dir / part).iterdir():
            (folder / part / file.name).write_bytes(file.read_bytes())
    header, first, *others = (folder / "RTE" / "dev.tsv").read_text(encoding="utf-8").split("\n")
    cells = first.split("\t")
    cells[1] = NASTY
    (folder / "RTE" / "dev.tsv").write_text("\n".join([header, "\t".join(cells), *others]), encoding="utf-8")
    official = (
        (folder / "diagnostic" / "diagnostic.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")[1:]
    )
    draw = np.random.default_rng(8)
    lines = [
        "Lexical Semantics\tPredicate-Argument Structure\tLogic\tKnowledge\tDomain\tPremise\tHypothesis"
        "\tLabel"
    ]
    for row, texts in enumerate(line.split("\t")[1:] for line in official):
        tags = [
            draw.choice(["", "Negation;Quantifiers", "Negation"]),
            draw.choice(["", "Core <args>"]),
            "",
            "",
        ]
        label = "entailment" if row % 9 == 0 else draw.choice(NLI)
        lines.append("\t".join([*tags, "News", *texts, label]))
    (folder / "diagnostic" / "diagnostic-full.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def report_runs(report_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of RTE (two configurations), STS-B and MNLI with dev predictions; a zip and its manifest."""
    folder = tmp_path_factory.mktemp("report") / "runs"
    for seed, values in enumerate([(0.71, 0.5), (0.6, 0.55), (0.62, 0.66)]):
        write_run(folder, f"rte/base-seed{seed}", "rte", seed, [{"accuracy": value} for value in values])
    write_run(folder, "rte/other-seed7", "rte", 7, [{"accuracy": 0.64}])
    write_run(folder, "sts-b", "sts-b", 1, [{"pearson": 0.81, "spearman": 0.79}])
    write_run(folder, "mnli", "mnli", 2, [{"accuracy_matched": 0.51, "accuracy_mismatched": 0.53}])
    for task, name in (("rte", "rte/base-seed0"), ("sts-b", "sts-b"), ("mnli", "mnli")):
        for split in TASKS[task].of_kind("dev"):
            rows = len(gold_rows(report_data, split.submission_file))
            labels = list(TASKS[task].labels)[::-1]  # the checkpoint's own order
            write_predictions(
                folder / name / "predictions" / "dev", split.submission_file, labels, rows, rows
            )
    predictions = folder.parent / "predictions"
    for task in TASKS.values():
        for split in task.of_kind("test"):
            write_predictions(
                predictions, split.submission_file, list(task.labels), 75, len(split.submission_file)
            )
    archive = folder / "submission.zip"
    pack.main(["--predictions", str(predictions), "--output", str(archive), "--data_dir", str(report_data)])
    dev = {"main": 0.71, "accuracy": 0.71}
    one = {"run": "rte/base-seed0", "seed": 0, "step": 20, "dev": dev}
    members = [{"run": "mnli-1"}, {"run": "mnli-2"}]
    every = {name: {"dev": dict.fromkeys((*task.score_keys, "main"), 0.66)} for name, task in TASKS.items()}
    several = {
        "ensemble": {"method": "mean"},
        "members": members,
        "dev": dev,
        "expected": {**every["mnli"]["dev"], "main": 0.6125},
    }
    write_manifest(archive, [], {
        **every, "rte": one, "mnli": {**several, **every["mnli"]},
        "wnli": {**every["wnli"], "note": "every row is 0"},
    })  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def report_page(report_runs: Path, report_data: Path) -> Element:
    return read_page(render_page(report_runs, report_data, report_runs / "submission.zip"))
