"""What classification and question answering have in common: rows of texts in, answers out. No Paddle."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from checkpoints.folder import check_length
from deploy.rows import TextRow
from encoders.tokenizer import Tokenizer
from inference.engine import Engine


class Model(ABC):
    """A fine-tuned model that answers rows.

    Args:
        engine: Runs the network.
        tokenizer: Of the network.
        digest: Of the model folder.
        max_length: Of an input in tokens; None: as trained.
    """

    kind: str  # ``sentence`` or ``question``
    default_length: int  # where neither the caller nor the checkpoint says
    text_columns: tuple[str, ...] = ()  # the texts' names in the files of the model's task, if known
    texts: tuple[int, ...]  # how many texts a row may have

    def __init__(
        self, engine: Engine, tokenizer: Tokenizer, digest: str, max_length: int | None = None
    ) -> None:
        config = engine.config
        self.engine, self.tokenizer, self.digest, self.config = engine, tokenizer, digest, config
        default = min(self.default_length, config.max_position_embeddings)
        self.max_length = max_length or config.max_seq_length or default
        check_length(self.max_length, config)
        self.tokenizer_lock = threading.Lock()  # of the tokenizer's settings; graphs run side by side

    @abstractmethod
    def answer(
        self, rows: Sequence[TextRow], batch_size: int = 64, progress: str = ""
    ) -> list[dict[str, Any]]:
        """Answer rows, in their order. progress: title of the progress bar, if there is to be one."""
