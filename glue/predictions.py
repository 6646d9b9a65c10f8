"""Logits → what the hand-in files say, and those files. No Paddle."""

import io
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.files import atomic_write, write_through
from glue.tasks import Task


@dataclass(frozen=True)
class Answers:
    """What goes into one hand-in file, ``submission_file``, and into the .npz beside it.

    logits: (N, L) float32, for a regression (N, 1) in the task's own range. labels: names of the columns.
    answers: a label or a number a row. data_digest: SHA-256 of the official file that was answered, or empty.
    """

    submission_file: str
    logits: np.ndarray
    labels: Sequence[str]
    answers: Sequence[str]
    data_digest: str = ""


def answers_of(task: Task, logits: np.ndarray, labels: Sequence[str]) -> list[str]:
    """(N, L) logits → each row's label, or its number, clipped to the task's range and with five decimals."""
    if task.target_range is None:
        return [labels[best] for best in logits.argmax(axis=1)]
    clipped = np.clip(logits[:, 0].astype(np.float64), *task.target_range)
    return [f"{score:.5f}" for score in clipped]


def write_answers(folder: Path, parts: Sequence[Answers], digest: str) -> None:
    """Write a task's hand-in files and the .npz of what they were made from: all of them, or none.

    digest: of the checkpoint, or of all those that answered together.
    """
    with ExitStack() as files:  # they take their names when every byte of all is on the disk
        for part in parts:
            target = folder / part.submission_file
            lines = [f"{row}\t{answer}\n" for row, answer in enumerate(part.answers)]
            text = "index\tprediction\n" + "".join(lines)
            write_through(files.enter_context(atomic_write(target)), text.encode())
            content = io.BytesIO()
            np.savez(
                content, logits=part.logits, labels=np.array(part.labels),
                checkpoint_digest=np.array(digest), data_digest=np.array(part.data_digest),
            )  # fmt: skip
            write_through(files.enter_context(atomic_write(target.with_suffix(".npz"))), content.getvalue())
