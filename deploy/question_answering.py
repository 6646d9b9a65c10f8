"""Answers of a question model: a passage of any length, cut into windows, and the best span of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from checkpoints.folder import check_pairs
from deploy.model import Model
from deploy.rows import TextRow
from encoders.tokenizer import Tokenizer
from inference.engine import Engine, run_batches
from squad.answers import Answers, Rules
from squad.data import Dataset, Question, version_of
from squad.spans import best_answers, best_of_beams, collect_outputs
from squad.windows import make_windows

_CUTTING = {"doc_stride": 128, "max_query_length": 64}  # tokens; Google's, if a folder says nothing
MAX_BEAM_ROWS = 8  # windows of a batch with the joint head, which needs much room for each


class QuestionModel(Model):
    """A span model. cutting: how passages are cut, as ``squad.windows.saved_cutting`` returns it."""

    kind = "question"
    texts = (2,)
    default_length = 384

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        digest: str,
        max_length: int | None = None,
        cutting: Mapping[str, int] = {},
    ) -> None:
        super().__init__(engine, tokenizer, digest, max_length)
        check_pairs(self.config)
        self._cutting = {**_CUTTING, **cutting}
        self.rules = Rules(nullable=version_of(self.config.finetuning_task) == "2.0", threshold=0.0)

    def answer(
        self, rows: Sequence[TextRow], batch_size: int = 64, progress: str = ""
    ) -> list[dict[str, Any]]:
        """Of every (question, passage) ``answer``, ``start`` and ``end`` (characters of the passage, −1 where
        nothing is the answer), ``prob`` among the best spans; of SQuAD 2.0 models ``null_odds`` too."""
        if not rows:
            return []
        answers = self.answers(_dataset(rows, self.rules.nullable), batch_size, progress)
        return [self._best(answers, number) for number in range(len(rows))]

    def answers(self, data: Dataset, batch_size: int = 64, progress: str = "") -> Answers:
        """The best spans of all questions of a file."""
        stride = self._cutting["doc_stride"]
        question_length = min(self._cutting["max_query_length"], self.max_length // 2)
        with self.tokenizer_lock:
            windows = make_windows(data, self.tokenizer, self.max_length, stride, question_length)
        size = min(batch_size, MAX_BEAM_ROWS) if self.engine.head == "beams" else batch_size
        batches = run_batches(self.engine, windows.features, size, progress)
        (start, end), beams = collect_outputs(batches, windows)
        if beams:
            return best_of_beams(beams, windows, data, self.rules)
        return best_answers(windows, data, start, end, self.rules)

    def _best(self, answers: Answers, number: int) -> dict[str, Any]:
        low, high = int(answers.starts[number]), int(answers.starts[number + 1])
        odds, prob = float(answers.odds[number]), _probability(answers, number)
        best: dict[str, Any] = {"answer": "", "start": -1, "end": -1, "prob": prob}
        if low < high and not (self.rules.nullable and odds > self.rules.threshold):
            start, end = int(answers.first[low]), int(answers.behind[low])
            best |= {"answer": answers.text(low, number), "start": start, "end": end}
        elif low < high:
            best["prob"] = 1.0 - prob
        return {**best, "null_odds": odds} if self.rules.nullable else best


def _probability(answers: Answers, number: int) -> float:
    """The best span's among the question's best spans, and no answer if that can be one."""
    rows = slice(int(answers.starts[number]), int(answers.starts[number + 1]))
    scores = (answers.start[rows] + answers.end[rows]).astype(np.float64)
    if not len(scores):
        return 1.0
    spans = float(np.exp(scores - float(scores.max())).sum())
    null = np.exp(min(float(answers.odds[number]), 700.0)) if answers.rules.nullable else 0.0
    return 1.0 / (spans + null)


def _dataset(rows: Sequence[TextRow], nullable: bool) -> Dataset:
    numbers: dict[str, int] = {}
    questions = []
    for name, (question, context) in enumerate(rows):
        number = numbers.setdefault(context, len(numbers))
        questions.append(Question(str(name), question, number, ()))
    return Dataset(Path("the rows"), list(numbers), questions, nullable)
