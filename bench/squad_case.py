"""SQuAD's work around the network, beside the loop over examples of Hugging Face's example script.

Processor seconds of one core and the peak of memory: cutting a dev set of the full size into
windows, and finding, writing and scoring its answers, from random logits. The texts are those of the file,
repeated with ids of their own until there are 10 570 questions. The loop is written anew after the
description of ``utils_qa.py`` in transformers' examples; the best answers of both are compared. They differ
where the best span's start or end is not among the window's 20 best: the loop does not see such spans.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bench.protocol import peak_memory
from bench.workload import Setup
from scripts.sample_language import all_words
from squad.answers import Rules, write_answers
from squad.data import Dataset, read_squad
from squad.official import score_v11
from squad.spans import best_answers
from squad.windows import Windows, make_windows

T = TypeVar("T")
_QUESTIONS = 10_570


def enlarged(path: str, folder: Path, questions: int) -> Path:
    """The file's paragraphs again and again, each copy a text and ids of its own."""
    articles = json.loads(Path(path).read_text("utf-8"))["data"]
    paragraphs: list[dict[str, Any]] = []
    missing, copy = questions, 0
    while missing > 0:
        for article in articles:
            for paragraph in article["paragraphs"]:
                asked = [{**entry, "id": f"{entry['id']}-{copy}"} for entry in paragraph["qas"][:missing]]
                missing -= len(asked)
                if asked:
                    paragraphs.append({"context": paragraph["context"] + " " * copy, "qas": asked})
        copy += 1
    target = folder / "data.json"
    target.write_text(
        json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]}), encoding="utf-8"
    )
    return target


def made_up(folder: Path) -> str:
    """A file of 240 texts with five questions each, as long as SQuAD's."""
    draw, vocabulary = random.Random(0), sorted(all_words())
    paragraphs: list[dict[str, Any]] = []
    for number in range(240):
        text = draw.choices(vocabulary, k=draw.randint(60, 250))
        asked = [
            {"id": f"{number}-{i}", "question": " ".join(draw.choices(vocabulary, k=10)) + " ?",
             "answers": [{"text": text[0], "answer_start": 0}]}
            for i in range(5)
        ]  # fmt: skip
        paragraphs.append({"context": " ".join(text), "qas": asked})
    target = folder / "made_up.json"
    target.write_text(
        json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]}), encoding="utf-8"
    )
    return str(target)


def timed(what: str, work: Callable[[], T], each: int = 0) -> T:
    begun = time.process_time()
    result = work()
    seconds = time.process_time() - begun
    rate = f"  {each / seconds:8.0f} questions/s" if each else ""
    print(f"{what:56} {seconds:7.2f} s{rate}", flush=True)
    return result


def example_loop(
    windows: Windows, data: Dataset, start: np.ndarray, end: np.ndarray, rules: Rules
) -> dict[str, str]:
    """Example by example: each window's 20 best starts with its 20 best ends, pair by pair."""
    features = windows.features
    of_question: dict[int, list[int]] = {}
    for window, question in enumerate(windows.question.tolist()):
        of_question.setdefault(question, []).append(window)
    best_texts = {}
    for number, question in enumerate(data.questions):
        candidates = []
        for window in of_question[number]:
            row = slice(features.starts[window], features.starts[window + 1])
            lead, size, token = features.first_lengths[window], windows.count[window], windows.token[window]
            offsets: list[tuple[int, int] | None] = [None] * lead
            offsets += zip(
                windows.texts.first[token : token + size].tolist(),
                windows.texts.behind[token : token + size].tolist(),
                strict=True,
            )
            offsets.append(None)
            s, e = start[row], end[row]
            for i in np.argsort(s)[-1 : -rules.n_best - 1 : -1].tolist():
                for j in np.argsort(e)[-1 : -rules.n_best - 1 : -1].tolist():
                    first, last = offsets[i], offsets[j]
                    if first is None or last is None or j < i or j - i + 1 > rules.max_length:
                        continue
                    candidates.append({"offsets": (first[0], last[1]), "score": s[i] + e[j]})
        best = sorted(candidates, key=lambda row: row["score"], reverse=True)[: rules.n_best]
        context = data.contexts[question.context]
        texts = [context[row["offsets"][0] : row["offsets"][1]] for row in best]
        scores = np.array([row["score"] for row in best])
        shares = np.exp(scores - scores.max()) if len(scores) else scores
        shares = shares / shares.sum() if len(scores) else shares
        best_texts[question.name] = texts[0] if texts else "empty"
    return best_texts


def squad(setup: Setup, sizes: Sequence[str]) -> None:
    """Windows and answers of a dev set of the official size."""
    print("\nsquad: processor seconds of one core")
    rules = Rules(max_context=False)  # the loop knows no such choice
    with tempfile.TemporaryDirectory() as name:
        folder, tokenizer = Path(name), setup.tokenizer
        path = enlarged(setup.squad_file or made_up(folder), folder, _QUESTIONS)
        data = timed("read", lambda: read_squad(path))
        windows = timed(
            "windows of 384, step 128", lambda: make_windows(data, tokenizer, 384, 128), len(data.questions)
        )
        print(f"  {len(windows)} windows of {len(data.questions)} questions on {len(data.contexts)} texts")
        start, end = np.random.default_rng(0).normal(size=(2, len(windows.features.ids))).astype(np.float32)
        answers = timed("answers", lambda: best_answers(windows, data, start, end, rules))
        timed("answers written", lambda: write_answers(answers, folder))
        scores = timed("scored", lambda: score_v11(data.golds, answers.predictions()))
        peak = peak_memory()["megabytes"]
        print(f"  {scores}; peak memory {peak:.0f} MB")
        looped = timed(
            "answers by the loop over examples, not written",
            lambda: example_loop(windows, data, start, end, rules),
        )
        ours = answers.not_null()
        print(f"  the same best answer: {sum(ours[key] == looped[key] for key in ours)} of {len(ours)}")
