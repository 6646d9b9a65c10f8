"""Runs and predictions made by hand for the report page, and the official files read without our code."""

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from common.files import write_json, write_text
from glue.tasks import TASKS
from training.run_state import FINISHED

NASTY = "<script>alert('x')</script> & \"quotes\" <b>bold</b>"
NLI = ["contradiction", "entailment", "neutral"]


def write_run(runs: Path, name: str, task: str, seed: int, scores: list[dict[str, float]]) -> None:
    """A run's files. scores: of its evaluations, one every 10 steps; main is added."""
    evaluations = [{"step": 10 * i, **values, "main": statistics.fmean(values.values()), "loss": 0.5 / i}
                   for i, values in enumerate(scores, 1)]  # fmt: skip
    best = max(evaluations, key=lambda line: line["main"])
    recipe = {"recipe": {"seed": seed}}
    write_json(runs / name / "args.json", recipe)
    run_scores = {"task": task, "main": TASKS[task].main, "best": best, "last": evaluations[-1]}
    write_json(runs / name / "scores.json", run_scores)
    write_text(runs / name / FINISHED, "")
    draw = np.random.default_rng(seed)
    lines: list[dict[str, Any]] = []
    for line in evaluations:
        lines += [{"step": line["step"] - k, "loss": float(draw.uniform(0.1, 0.9))} for k in (5, 0)]
        lines.append({"step": line["step"], "evaluation": line})
    (runs / name / "history.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )


def write_predictions(folder: Path, name: str, labels: list[str], rows: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(rows, max(1, len(labels)))).astype(np.float32)
    if labels:
        answers = [labels[i] for i in logits.argmax(axis=1)]
    else:
        logits = np.clip(2.5 + 2 * logits, 0, 5)
        answers = [f"{value:.5f}" for value in logits[:, 0].astype(float)]
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{row}\t{answer}\n" for row, answer in enumerate(answers)]
    (folder / name).write_text("index\tprediction\n" + "".join(lines), encoding="utf-8")
    np.savez(
        folder / Path(name).with_suffix(".npz"), logits=logits, labels=np.array(labels), checkpoint_digest="d"
    )


def read_tsv(path: Path) -> list[list[str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def gold_rows(data: Path, submission_file: str) -> list[tuple[str, list[str]]]:
    """(label, texts) of the dev rows behind a submission file."""
    file, label, texts = {
        "RTE.tsv": ("RTE/dev.tsv", "label", ["sentence1", "sentence2"]),
        "STS-B.tsv": ("STS-B/dev.tsv", "score", ["sentence1", "sentence2"]),
        "MNLI-m.tsv": ("MNLI/dev_matched.tsv", "gold_label", ["sentence1", "sentence2"]),
        "MNLI-mm.tsv": ("MNLI/dev_mismatched.tsv", "gold_label", ["sentence1", "sentence2"]),
    }[submission_file]
    header, *rows = read_tsv(data / file)
    return [(row[header.index(label)], [row[header.index(name)] for name in texts]) for row in rows]
