"""What classification and question answering have in common: rows of texts in, answers out. No Paddle."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from checkpoints.folder import check_length
from common.errors import InputError
from deploy.rows import TextRow, check_row
from encoders.tokenizer import Tokenizer
from inference.engine import Engine


class Model(ABC):
    """A fine-tuned model that answers rows. max_length: of an input in tokens; None: as trained."""

    kind: str  # ``sentence`` or ``question``
    default_length: int  # where neither the caller nor the checkpoint says
    text_columns: tuple[str, ...] = ()  # the texts' names in the files of the model's task, if known
    texts: tuple[int, ...]  # how many texts a row may have

    def __init__(
        self, engine: Engine, tokenizer: Tokenizer, digest: str, max_length: int | None = None
    ) -> None:
        config = engine.config
        self.engine, self.tokenizer, self.digest, self.config = engine, tokenizer, digest, config
        default = min(self.default_length, config.max_tokens)
        self.max_length = max_length or config.max_seq_length or default
        check_length(self.max_length, config)
        self.tokenizer_lock = threading.Lock()  # of the tokenizer's settings; graphs run side by side

    def __call__(
        self, texts: str | Sequence[str | Sequence[str]], batch_size: int = 64
    ) -> list[dict[str, Any]]:
        """Answer texts, or pairs of texts, in their order; a lone text counts as a list of one.

        Returns:
            For each what ``deploy.infer --json`` prints: of a classifier ``label``, ``prob``,
            ``probabilities`` and ``label_id``, of a regression ``score``, of a question model ``answer``,
            ``start``, ``end`` and ``prob``.

        Raises:
            InputError: A text is empty or too long, or there are more or fewer of them than the model takes.
        """
        listed = [texts] if isinstance(texts, str) else texts
        rows = [(row,) if isinstance(row, str) else tuple(row) for row in listed]
        for number, row in enumerate(rows):
            if len(row) not in self.texts:
                counts = " or ".join(map(str, self.texts))
                raise InputError(f"row {number}: the model takes {counts} texts, not {len(row)}")
            check_row(row, [f"row {number}: text {position + 1}" for position in range(len(row))])
        return self.answer(rows, batch_size)

    @abstractmethod
    def answer(
        self, rows: Sequence[TextRow], batch_size: int = 64, progress: str = ""
    ) -> list[dict[str, Any]]:
        """Answer rows, in their order. progress: title of the progress bar, if there is to be one."""
