"""Data and predictions full of what the official scripts treat in a way of their own, made from a number."""

import random
from dataclasses import dataclass
from typing import Any

# What normalising drops, keeps or changes: articles alone and inside words, ASCII punctuation and its
# look-alikes, an article that appears only once the punctuation is gone, spaces of every kind, letters
# whose lower case is longer or of another script.
PIECES = (
    "", "a", "an", "the", "The", "THE", "a.n", "t-h-e", "_a_", "theory", "an’t", "à", "cat", "Cat.",
    "cat cat", "dog", "the dog", "a the an", ".", "!?", "…", "—", "“cat”", "'cat'", "U.S.", "1,000", "1000",
    "3.5%", "½", "İstanbul", "ẞ", "ß", "ΣΑΣ", "Łódź", "e\u0301", "é", "東京", "한국", "ไทย", "🙂", "\u200b",
    "\ufeff", "n/a", "null", "x" * 60, "cat\tdog", "cat\ndog", "cat\u00a0dog", "cat\u2003dog", "cat\x1cdog",
    "cat  dog",
)  # fmt: skip
THRESHOLDS = (1.0, 1.0, 0.5, 0.0, -1.0, 2.5)
SCORES = (0, 1, 0.0, 0.25, 0.5, 0.5, 0.75, 1.0, -3.5, 7.25, 1e-9)


@dataclass(frozen=True)
class Pair:
    data: dict[str, Any]
    predictions: dict[str, str]
    no_answer: dict[str, float] | None
    threshold: float
    curves: bool

    @property
    def golds(self) -> list[tuple[str, list[str]]]:
        return [
            (entry["id"], [answer["text"] for answer in entry["answers"]])
            for article in self.data["data"]
            for paragraph in article["paragraphs"]
            for entry in paragraph["qas"]
        ]


def make_pair(number: int, version_2: bool = True) -> Pair:
    """The same pair for the same number, with any Python; as SQuAD 1.1 hardly a question is unanswerable."""
    draw = random.Random(number)

    def text() -> str:
        words = [PIECES[draw.randrange(len(PIECES))] for _ in range((1, 1, 2, 3)[draw.randrange(4)])]
        return " ".join(words)

    kind = ("all answerable", "none answerable", "mixed", "mixed")[draw.randrange(4)]
    if not version_2:
        kind = "mixed" if draw.random() < 0.03 else "all answerable"
    count = 0 if draw.random() < 0.02 else 1 + draw.randrange(12)
    entries: list[dict[str, Any]] = []
    for i in range(count):
        name = f"q{i}" if draw.random() > 0.02 or not i else f"q{draw.randrange(i)}"  # some ids twice
        empty = kind == "none answerable" or (kind == "mixed" and draw.random() < 0.4)
        answers = [] if empty else [{"text": text(), "answer_start": 0} for _ in range(1 + draw.randrange(4))]
        entries.append({"id": name, "question": "?", "answers": answers, "is_impossible": empty})
    paragraphs = [{"context": "", "qas": entries[at : at + 3]} for at in range(0, count, 3)]
    data = {"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs[at : at + 2]}
                                       for at in range(0, len(paragraphs), 2)]}  # fmt: skip
    predictions = {}
    for entry in draw.sample(entries, len(entries)):
        golds = [answer["text"] for answer in entry["answers"]]
        chance = draw.random()
        copied = golds[draw.randrange(len(golds))] if golds and chance < 0.5 else text()
        predictions[entry["id"]] = "" if chance > 0.85 else copied + (" cat" if 0.4 < chance < 0.5 else "")
    if draw.random() < 0.05 and predictions:
        del predictions[next(iter(predictions))]
    if draw.random() < 0.1:
        predictions["nobody asked"] = text()
    no_answer = None
    if draw.random() < 0.8:
        names = [entry["id"] for entry in draw.sample(entries, len(entries))]
        # Few values give ties, many give thresholds between all questions.
        few = draw.random() < 0.5
        no_answer = {
            name: SCORES[draw.randrange(len(SCORES))] if few else draw.random() * 2 - 0.5 for name in names
        }
        if draw.random() < 0.05:
            no_answer["nobody asked"] = 0.1
        if draw.random() < 0.05 and no_answer:
            del no_answer[next(iter(no_answer))]
    threshold = THRESHOLDS[draw.randrange(len(THRESHOLDS))]
    return Pair(data, predictions, no_answer, threshold, no_answer is not None and draw.random() < 0.6)
