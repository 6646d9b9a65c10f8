"""Answers of a sentence model: label and probabilities, or a score. No Paddle but the engine's."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from checkpoints.folder import check_pairs
from checkpoints.labels import label_names
from common.errors import InputError
from deploy.model import Model
from deploy.rows import TextRow
from encoders.batching import pack
from encoders.tokenizer import Tokenizer
from glue.tasks import find_task
from inference.engine import Engine, predict_logits


class ClassificationModel(Model):
    """A classifier or a regression over one text or a pair."""

    kind = "sentence"
    default_length = 128

    def __init__(
        self, engine: Engine, tokenizer: Tokenizer, digest: str, max_length: int | None = None
    ) -> None:
        super().__init__(engine, tokenizer, digest, max_length)
        self.task, self.labels = find_task(self.config.finetuning_task), label_names(self.config)
        self.texts = (1, 2) if self.config.reads_pairs else (1,)
        if self.task is not None or self.config.text_columns:
            self.text_columns = self.task.text_columns if self.task else self.config.text_columns or ()
            self.texts = (len(self.text_columns),)
        if 1 not in self.texts:
            check_pairs(self.config)

    def answer(
        self, rows: Sequence[TextRow], batch_size: int = 64, progress: str = ""
    ) -> list[dict[str, Any]]:
        """Of every row ``label_id``, ``label``, ``prob`` and ``probabilities`` by label; of a regression
        ``score``, in the task's range if it has one."""
        if not rows:
            return []
        with self.tokenizer_lock:
            features = pack(self.tokenizer.encode(rows, self.max_length))
        logits = predict_logits(self.engine, features, batch_size, progress).astype(np.float64)
        if not np.isfinite(logits).all():
            raise InputError("the model's answer is not a number; are its weights sound?")
        if len(self.labels) > 1:
            return [self._labelled(row) for row in softmax(logits)]
        scores = logits[:, 0] * self.config.target_scale
        if self.task is not None and self.task.target_range is not None:
            scores = np.clip(scores, *self.task.target_range)
        return [{"score": float(score)} for score in scores]

    def _labelled(self, row: np.ndarray) -> dict[str, Any]:
        best = int(row.argmax())
        return {
            "label_id": best,
            "label": self.labels[best],
            "prob": float(row[best]),
            "probabilities": {label: float(value) for label, value in zip(self.labels, row, strict=True)},
        }


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, L) → (N, L) probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
