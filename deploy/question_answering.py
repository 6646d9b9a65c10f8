"""Answers of a question model: a passage of any length, cut into windows, and the best span of it."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from checkpoints.validation import check_length, check_pairs
from deploy.rows import Row
from encoders.tokenizer import Tokenizer
from inference.engine import Engine, run_batches
from squad.answers import Answers, Rules, best_answers, best_of_beams
from squad.data import Dataset, Question, version_of
from squad.windows import Windows, make_windows

DEFAULT_LENGTH = 384
_CUTTING = {"doc_stride": 128, "max_query_length": 64}  # tokens; Google's, where a folder says nothing
_BEAM_ROWS = 8  # windows of a batch with the joint head, which needs much room for each


class QuestionModel:
    """A span model. threshold: for SQuAD 2.0 models, of how much more there must be for no answer.

    max_length: of a window in tokens; None: as trained. cutting: as ``squad.windows.saved_cutting`` found it.
    """

    kind = "question"
    texts = (2,)

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        digest: str,
        max_length: int | None = None,
        threshold: float = 0.0,
        cutting: Mapping[str, int] = {},
    ) -> None:
        config = engine.config
        self.engine, self.tokenizer, self.digest, self.config = engine, tokenizer, digest, config
        positions = config.max_position_embeddings
        self.max_length = max_length or config.max_seq_length or min(DEFAULT_LENGTH, positions)
        check_length(self.max_length, config)
        check_pairs(config)
        self._cutting = {**_CUTTING, **cutting}
        self._tokenising = threading.Lock()  # of the tokeniser's settings; graphs run side by side
        self.rules = Rules(nullable=version_of(config.finetuning_task) == "2.0", threshold=threshold)

    def answer(self, rows: Sequence[Row], batch_size: int = 64, progress: str = "") -> list[dict[str, Any]]:
        """Of every (question, passage) ``answer``, ``start`` and ``end`` (characters of the passage, −1 where
        nothing is the answer), ``prob`` among the best spans; of SQuAD 2.0 models ``null_odds`` too."""
        if not rows:
            return []
        answers = self.answers(_dataset(rows, self.rules.nullable), batch_size, progress)
        return [self._best(answers, number) for number in range(len(rows))]

    def answers(self, data: Dataset, batch_size: int = 64, progress: str = "") -> Answers:
        """The best spans of all questions of a file."""
        step, question = self._cutting["doc_stride"], self._cutting["max_query_length"]
        with self._tokenising:
            windows = make_windows(
                data, self.tokenizer, self.max_length, step, min(question, self.max_length // 2)
            )
        return self._run(windows, data, batch_size, progress)

    def _run(self, windows: Windows, data: Dataset, batch_size: int, progress: str) -> Answers:
        if self.engine.head == "beams":
            return self._run_beams(windows, data, batch_size, progress)
        features = windows.features
        flat = {name: np.zeros(len(features.ids), dtype=np.float32) for name in ("start", "end")}
        for batch, outputs in run_batches(self.engine, features, batch_size, progress):
            columns = np.arange(batch.ids.shape[1])
            real = columns < features.lengths[batch.rows][:, None]
            places = (features.starts[batch.rows][:, None] + columns)[real]
            for name, logits in flat.items():
                logits[places] = outputs[name][real]
        return best_answers(windows, data, flat["start"], flat["end"], self.rules)

    def _run_beams(self, windows: Windows, data: Dataset, batch_size: int, progress: str) -> Answers:
        answered = run_batches(self.engine, windows.features, min(batch_size, _BEAM_ROWS), progress)
        beams = [(batch.rows, list(outputs.values())) for batch, outputs in answered]
        return best_of_beams(beams, windows, data, self.rules)

    def _best(self, answers: Answers, number: int) -> dict[str, Any]:
        low, high = int(answers.starts[number]), int(answers.starts[number + 1])
        odds = float(answers.odds[number])
        found: dict[str, Any] = {"answer": "", "start": -1, "end": -1, "prob": _share(answers, number)}
        if low < high and not (self.rules.nullable and odds > self.rules.threshold):
            start, end = int(answers.first[low]), int(answers.behind[low])
            found |= {"answer": answers.text(low, number), "start": start, "end": end}
        elif low < high:
            found["prob"] = 1.0 - found["prob"]
        return {**found, "null_odds": odds} if self.rules.nullable else found


def _share(answers: Answers, number: int) -> float:
    """The best span's probability among the question's best, and no answer where that can be one."""
    rows = slice(int(answers.starts[number]), int(answers.starts[number + 1]))
    scores = (answers.start[rows] + answers.end[rows]).astype(np.float64)
    if not len(scores):
        return 1.0
    best = float(scores.max())
    others = float(np.exp(scores - best).sum())
    return 1.0 / (
        others + (np.exp(min(float(answers.odds[number]), 700.0)) if answers.rules.nullable else 0.0)
    )


def _dataset(rows: Sequence[Row], nullable: bool) -> Dataset:
    numbers: dict[str, int] = {}
    questions = []
    for name, (question, context) in enumerate(rows):
        number = numbers.setdefault(context, len(numbers))
        questions.append(Question(str(name), question, number, ()))
    return Dataset(Path("the rows"), list(numbers), questions, nullable)
