"""The answers to a file's questions, as slices of their texts, and the files of them. No Paddle.

Q questions.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.files import atomic_write, write_through
from squad.data import Dataset

# What ``write_answers`` leaves in a folder; the two last are of SQuAD 2.0 alone.
ANSWER_FILES = ("predictions.json", "nbest_predictions.json", "predictions_not_null.json", "null_odds.json")


@dataclass(frozen=True)
class Rules:
    """How answers are chosen."""

    n_best: int = 20  # how many spans of a question are kept
    max_length: int = 30  # the longest answer in tokens
    # Whether a span begins only in the window that shows most around its first token
    max_context: bool = True
    nullable: bool = False  # whether the answer may be nothing
    threshold: float = 0.0  # the answer is nothing where the null odds are above this


@dataclass(frozen=True)
class Answers:
    """The best spans, question by question and best first."""

    data: Dataset
    rules: Rules  # how the spans were chosen
    starts: np.ndarray  # (Q + 1,); question q has the spans ``starts[q]:starts[q + 1]``
    first: np.ndarray  # where a span begins in its text, in characters
    behind: np.ndarray  # where it ends
    start: np.ndarray
    end: np.ndarray  # start and end, float32: the scores of a span
    null_start: np.ndarray | None
    null_end: np.ndarray | None  # both (Q,) float32 or None: the scores of no answer
    odds: np.ndarray  # (Q,) float64, how much more there is for no answer than for the best span

    def text(self, span: int, question: int) -> str:
        """A span's text: a slice of the context, whatever the model said."""
        context = self.data.contexts[self.data.questions[question].context]
        return context[self.first[span] : self.behind[span]]

    def not_null(self) -> dict[str, str]:
        """Question id → the best span, also where nothing is the better answer; "" if it has no token."""
        return {
            question.name: self.text(low, number) if low < high else ""
            for number, (question, low, high) in enumerate(
                zip(self.data.questions, self.starts[:-1], self.starts[1:], strict=True)
            )
        }

    def predictions(self) -> dict[str, str]:
        """Question id → the answer; for SQuAD 2.0 nothing, "", where the odds are above the threshold."""
        answers = self.not_null()
        if not self.rules.nullable:
            return answers
        emptied = self.odds > self.rules.threshold
        return {name: "" if no else text for (name, text), no in zip(answers.items(), emptied, strict=True)}

    def null_odds(self) -> dict[str, float]:
        return {
            question.name: float(odds) for question, odds in zip(self.data.questions, self.odds, strict=True)
        }

    def n_best(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Id and n best of every question: text, probability among these, start and end score."""
        for number, question in enumerate(self.data.questions):
            low, high = self.starts[number : number + 2]
            rows = [
                (self.text(span, number), float(self.start[span]), float(self.end[span]))
                for span in range(low, high)
            ]
            if self.rules.nullable and self.null_start is not None and self.null_end is not None:
                rows.append(("", float(self.null_start[number]), float(self.null_end[number])))
            rows = sorted(rows, key=lambda row: -(row[1] + row[2])) or [("", 0.0, 0.0)]
            score = np.array([start + end for _, start, end in rows])
            share = np.exp(score - score.max())
            share /= share.sum()
            yield (
                question.name,
                [
                    {"text": text, "probability": float(p), "start_logit": start, "end_logit": end}
                    for (text, start, end), p in zip(rows, share, strict=True)
                ],
            )


def write_answers(answers: Answers, folder: str | Path) -> None:
    """Write ``ANSWER_FILES``, the two last for SQuAD 2.0 alone, as ASCII: all of them, or none.

    Where the two last do not belong, those of earlier answers are removed.
    """
    folder = Path(folder)
    plain: dict[str, Any] = {"predictions.json": answers.predictions()}
    if answers.rules.nullable:
        plain |= dict(zip(ANSWER_FILES[2:], (answers.not_null(), answers.null_odds()), strict=True))
    with ExitStack() as files:  # they take their names when every byte of all is on the disk
        for name, values in plain.items():
            text = json.dumps(values, indent=2) + "\n"
            write_through(files.enter_context(atomic_write(folder / name)), text.encode("ascii"))
        file = files.enter_context(atomic_write(folder / "nbest_predictions.json"))
        lead = b"{\n"
        for name, rows in answers.n_best():
            file.write(lead + f"{json.dumps(name)}: {json.dumps(rows)}".encode("ascii"))
            lead = b",\n"
        write_through(file, b"\n}\n")
    if not answers.rules.nullable:
        for name in ANSWER_FILES[2:]:
            (folder / name).unlink(missing_ok=True)
