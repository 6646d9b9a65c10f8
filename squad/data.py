"""SQuAD files, 1.1 and 2.0, in the forms of ``squad.forms`` → texts, questions, answers. No Paddle, no NumPy.

Nothing is stripped or cleaned, so that a character's number in a text stays what the file says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import InputError
from squad.forms import Entry, RawAnswer, read_entries

# What may be odd about a question → what is done about it.
_REMARKS = {
    "emptied": "their answer is empty, so they count as unanswerable",
    "contradictory": "they are marked as impossible but have answers, which count",
    "mended": "their answer's start was wrong or not given, and taken from the one place of its text",
    "not_found": "their answer is not where the file says, nor in just one other place",
}


@dataclass(frozen=True)
class Answer:
    """A gold answer."""

    text: str
    start: int | None  # the number of its first character in the question's text; None: it is not there

    @property
    def end(self) -> int | None:
        """Number of the character behind its last one."""
        return None if self.start is None else self.start + len(self.text)


@dataclass(frozen=True)
class Question:
    """A question of a file."""

    name: str
    text: str  # what is asked
    context: int  # the number of its text among the file's
    answers: tuple[Answer, ...]  # none if it is unanswerable, or they are not known
    # The answers' texts as the file has them, where some are empty and so no answers; else None
    golds: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Dataset:
    """A file's questions in its order."""

    path: Path
    contexts: list[str]  # every text once, however many questions it has
    questions: list[Question]
    has_unanswerable: bool  # whether this is SQuAD 2.0
    # Ids of the questions that were ``emptied`` and so on, as ``_REMARKS`` explains
    remarks: Mapping[str, list[str]] = field(default_factory=dict)
    has_answers: bool = True  # false for questions alone, which nobody can score

    @property
    def version(self) -> str:
        return "2.0" if self.has_unanswerable else "1.1"

    @property
    def golds(self) -> list[tuple[str, list[str]]]:
        """Id and gold answers of every question as the file has them, which the official scripts score."""
        return [
            (question.name, list(question.golds or (answer.text for answer in question.answers)))
            for question in self.questions
        ]

    @property
    def answerable_golds(self) -> list[tuple[str, list[str]]]:
        """The same without empty texts: a question that has no other answer has none."""
        return [(question.name, [answer.text for answer in question.answers]) for question in self.questions]

    def notes(self) -> list[str]:
        """What there is to say about the file, a line each."""
        impossible = f"{sum(not question.answers for question in self.questions)} unanswerable"
        lines = [
            f"{self.path}: SQuAD {self.version}, {len(self.questions)} questions "
            f"({impossible if self.has_answers else 'no answers'}) on {len(self.contexts)} texts"
        ]
        for key, what in _REMARKS.items():
            if names := self.remarks.get(key):
                lines.append(f"{self.path}: {len(names)} questions: {what}: {', '.join(names)}")
        return lines


def version_of(task: str) -> str:
    """``1.1`` or ``2.0``, as the name of a model's task says (``squad_2.0``, ``squad_v2``); else empty."""
    name = re.fullmatch(r"squad[\W_]*v?([12])([\W_]*[01])?", task.strip(), re.ASCII | re.IGNORECASE)
    return {"1": "1.1", "2": "2.0"}[name[1]] if name else ""


def read_squad(path: str | Path, version_2: bool | None = None) -> Dataset:
    """Read a file of questions.

    It is SQuAD 2.0 if a question has no answer or says ``is_impossible``. Whether a question is answerable is
    decided by its answers, as in the official script; an empty text is none.

    Args:
        path: The file.
        version_2: Whether it is claimed to be SQuAD 2.0; None: no claim.

    Raises:
        InputError: The claim is wrong, an id stands twice, or a field is missing or wrong; says where.
    """
    reading = _Reading()
    for entry in read_entries(path):
        reading.add(entry)
    return reading.dataset(Path(path), version_2)


def read_golds(path: str | Path) -> list[tuple[str, list[str]]]:
    """Id and gold answers of every question, reading only what the official scripts read.

    A repeated id stays, since the scripts let it pass.
    """
    entries = [(entry, entry.answers()) for entry in read_entries(path)]
    scored = any(answers is not None for _, answers in entries)
    for entry, answers in entries:
        if answers is None and not (scored and entry.is_null):
            raise entry.without_answers()
    return [(entry.name, [answer.text for answer in answers or ()]) for entry, answers in entries]


class _Reading:
    """What was read of a file so far."""

    def __init__(self) -> None:
        self._contexts: dict[str, int] = {}
        self._questions: dict[str, Question] = {}
        self._remarks: dict[str, list[str]] = {key: [] for key in _REMARKS}
        self._marked = False
        self._alone: list[Entry] = []  # those without a list of answers
        self._says_something = False  # also that there is no answer, in whatever words

    def add(self, entry: Entry) -> None:
        context, name, text = entry.context, entry.name, entry.question
        if name in self._questions:
            raise entry.values.refused(f"the id {name!r} stands already further up")
        raw = entry.answers()
        if raw is None:
            self._alone.append(entry)
        self._says_something = self._says_something or bool(raw) or (raw == [] and entry.is_marked)
        answers = tuple(self._answer(one, context, name) for one in raw or () if one.text.strip())
        golds = None if raw is None or len(answers) == len(raw) else tuple(one.text for one in raw)
        if golds and not answers:
            self._remarks["emptied"].append(name)
        if answers and entry.is_impossible:
            self._remarks["contradictory"].append(name)
        number = self._contexts.setdefault(context, len(self._contexts))
        self._questions[name] = Question(name, text, number, answers, golds)
        self._marked = self._marked or entry.is_marked

    def _answer(self, raw: RawAnswer, context: str, name: str) -> Answer:
        """An answer, its start put right where that can be done."""
        start = -1 if raw.start is None else raw.start.value
        if raw.start is not None and type(start) is not int:
            raise raw.start.wrong("a whole number")
        if start >= 0 and context.startswith(raw.text, start):
            return Answer(raw.text, start)
        first = context.find(raw.text)
        # Searched from the next character on, not behind the first hit: occurrences may overlap.
        once = first >= 0 and context.find(raw.text, first + 1) < 0
        self._remarks["mended" if once else "not_found"].append(name)
        return Answer(raw.text, first if once else None)

    def dataset(self, path: Path, claimed: bool | None) -> Dataset:
        """The whole, and its version checked against what is claimed."""
        questions = list(self._questions.values())
        if not questions:
            raise InputError("there is no question in it", path=path)
        has_answers = self._says_something  # empty lists alone are how a test set withholds its answers
        if has_answers:
            for entry in self._alone:
                if not entry.is_null:
                    raise entry.without_answers()
                self._remarks["emptied"].append(entry.name)
            version_2 = self._marked or any(not question.answers for question in questions)
            _check_version(path, version_2, claimed)
        else:
            version_2 = self._marked if claimed is None else claimed
        remarks = {key: list(dict.fromkeys(names)) for key, names in self._remarks.items()}
        return Dataset(path, list(self._contexts), questions, version_2, remarks, has_answers)


def _check_version(path: Path, version_2: bool, claimed: bool | None) -> None:
    if claimed in (None, version_2):
        return
    if version_2:
        holds, remedy = "is SQuAD 2.0", "give --version_2_with_negative or leave it to the data"
    else:
        holds, remedy = "is SQuAD 1.1: every question has an answer", "leave it out"
    raise InputError(f"{holds}; --version_2_with_negative {str(claimed).lower()}: {remedy}", path=path)
