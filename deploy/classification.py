"""Answers of a sentence model: label and probabilities, or a score. No Paddle but the engine's."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from checkpoints.validation import check_length, check_pairs
from common.errors import InputError
from deploy.rows import Row
from encoders.batching import pack
from encoders.tokenizer import Tokenizer
from glue.tasks import Task, find_task
from inference.engine import Engine, predict_logits

DEFAULT_LENGTH = 128


class SentenceModel:
    """A classifier or a regression over one text or a pair.

    task: of the benchmark, None where it is not known. max_length: of an input in tokens; None: as trained.
    """

    kind = "sentence"

    def __init__(
        self, engine: Engine, tokenizer: Tokenizer, digest: str, max_length: int | None = None
    ) -> None:
        config = engine.config
        self.engine, self.tokenizer, self.digest, self.config = engine, tokenizer, digest, config
        self.task: Task | None = find_task(config.finetuning_task)
        self.labels = [config.id2label[number] for number in sorted(config.id2label)]
        self.is_regression = len(self.labels) <= 1
        positions = config.max_position_embeddings
        self.max_length = max_length or config.max_seq_length or min(DEFAULT_LENGTH, positions)
        check_length(self.max_length, config)
        if 1 not in self.texts:
            check_pairs(config)
        self._tokenising = threading.Lock()  # of the tokeniser's settings; graphs run side by side

    @property
    def texts(self) -> tuple[int, ...]:
        """How many texts a row may have: as the task says, else 1 or, where the model reads pairs, 2."""
        if self.task is None:
            return (1, 2) if self.config.type_vocab_size > 1 else (1,)
        return (len(self.task.text_columns),)

    def answer(self, rows: Sequence[Row], batch_size: int = 64, progress: str = "") -> list[dict[str, Any]]:
        """Of every row ``label_id``, ``label``, ``prob`` and ``probabilities`` by label; of a regression
        ``score``, in the task's range where it has one."""
        if not rows:
            return []
        with self._tokenising:
            features = pack(self.tokenizer.encode(rows, self.max_length))
        logits = predict_logits(self.engine, features, batch_size, progress).astype(np.float64)
        if not np.isfinite(logits).all():
            raise InputError("the model's answer is not a number; are its weights sound?")
        if self.is_regression:
            return [{"score": score} for score in self._scores(logits[:, 0])]
        return [self._labelled(row) for row in softmax(logits)]

    def _scores(self, values: np.ndarray) -> list[float]:
        values = values * self.config.target_scale
        if self.task is not None and self.task.target_range is not None:
            values = np.clip(values, *self.task.target_range)
        return [float(value) for value in values]

    def _labelled(self, row: np.ndarray) -> dict[str, Any]:
        best = int(row.argmax())
        probabilities = {label: float(value) for label, value in zip(self.labels, row, strict=True)}
        return {
            "label_id": best,
            "label": self.labels[best],
            "prob": float(row[best]),
            "probabilities": probabilities,
        }


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, L) → (N, L) probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
