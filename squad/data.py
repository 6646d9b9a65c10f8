"""The official SQuAD files, 1.1 and 2.0: JSON → texts, questions, answers. No Paddle, no NumPy.

Nothing is stripped or cleaned, so that a character's number in a text stays what the file says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands.errors import InputError
from commands.files import read_json_object


@dataclass(frozen=True)
class Answer:
    """A gold answer. start: number of its first character in the text; None: it is not there."""

    text: str
    start: int | None

    @property
    def end(self) -> int | None:
        """Number of the character behind its last one."""
        return None if self.start is None else self.start + len(self.text)


@dataclass(frozen=True)
class Question:
    """name: its id. context: number of its text among the file's. answers: none if unanswerable."""

    name: str
    text: str
    context: int
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Dataset:
    """A file's questions in its order. contexts: every text once, however many questions it has.

    has_unanswerable: whether this is SQuAD 2.0. mended, not_found: ids of questions with an answer whose
    start in the file is wrong, where its text occurs once (that place is taken) or not once (no start).
    """

    path: Path
    contexts: list[str]
    questions: list[Question]
    has_unanswerable: bool
    mended: list[str] = field(default_factory=list)
    not_found: list[str] = field(default_factory=list)

    @property
    def version(self) -> str:
        return "2.0" if self.has_unanswerable else "1.1"

    @property
    def golds(self) -> list[tuple[str, list[str]]]:
        """Id and gold answers of every question, as ``squad.official`` takes them."""
        return [(question.name, [answer.text for answer in question.answers]) for question in self.questions]

    def notes(self) -> list[str]:
        """What there is to say about the file, a line each."""
        impossible = sum(not question.answers for question in self.questions)
        lines = [
            f"{self.path}: SQuAD {self.version}, {len(self.questions)} questions ({impossible} unanswerable) "
            f"on {len(self.contexts)} texts"
        ]
        for names, what in (
            (self.mended, "their answer's start was wrong, and taken from the one place of its text"),
            (self.not_found, "their answer is not where the file says, nor in just one other place"),
        ):
            if names:
                lines.append(f"{self.path}: {len(names)} questions: {what}: {', '.join(names)}")
        return lines


def read_squad(path: str | Path, version_2: bool | None = None) -> Dataset:
    """Read a file. version_2: what it is claimed to be (None: no claim); a wrong claim is an InputError.

    It is SQuAD 2.0 if a question has no answer or says ``is_impossible``. Whether a question is answerable
    is told by its answers, as in the official script. A repeated id, a missing or wrong field: InputError
    with its place in the JSON.
    """
    numbers: dict[str, int] = {}
    questions: dict[str, Question] = {}
    mended: list[str] = []
    not_found: list[str] = []
    marked = False
    for place, paragraph, entry in _entries(path):
        context = _text(paragraph, "context", place.rpartition(".")[0])
        name, text = _text(entry, "id", place), _text(entry, "question", place)
        if name in questions:
            raise InputError(f"{place}: the id {name!r} stands already further up")
        answers = []
        for inner, raw in _listed(entry, "answers", place):
            answer, fault = _answer(raw, context, inner)
            answers.append(answer)
            if fault:
                (mended if answer.start is not None else not_found).append(name)
        number = numbers.setdefault(context, len(numbers))
        questions[name] = Question(name, text, number, tuple(answers))
        marked = marked or "is_impossible" in entry
    if not questions:
        raise InputError(f"{path}: there is no question in it")
    version = marked or any(not question.answers for question in questions.values())
    _check_version(path, version, version_2)
    return Dataset(
        Path(path), list(numbers), list(questions.values()), version, _once(mended), _once(not_found)
    )


def read_golds(path: str | Path) -> list[tuple[str, list[str]]]:
    """Id and gold answers of every question, reading only what the official scripts read.

    A repeated id stays, since the scripts let it pass.
    """
    return [
        (_text(entry, "id", place), [_text(raw, "text", at) for at, raw in _listed(entry, "answers", place)])
        for place, _, entry in _entries(path)
    ]


def _once(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _check_version(path: str | Path, found: bool, claimed: bool | None) -> None:
    if claimed is not None and claimed != found:
        holds = "is SQuAD 2.0" if found else "is SQuAD 1.1: every question has an answer"
        remedy = "give --version_2_with_negative or leave it to the data" if found else "leave it out"
        raise InputError(f"{path}: {holds}; --version_2_with_negative {str(claimed).lower()}: {remedy}")


def _answer(raw: dict[str, Any], context: str, place: str) -> tuple[Answer, bool]:
    """An answer, its start put right where that can be done, and whether the file's start was wrong."""
    text, start = _text(raw, "text", place), raw.get("answer_start")
    if not isinstance(start, int) or isinstance(start, bool):
        raise InputError(f"{place}.answer_start: expected a whole number, found {start!r}")
    if text and start >= 0 and context.startswith(text, start):
        return Answer(text, start), False
    first = context.find(text) if text else -1
    # Searched from the next character on, not behind the first hit: occurrences may overlap.
    once = first >= 0 and context.find(text, first + 1) < 0
    return Answer(text, first if once else None), True


def _entries(path: str | Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Place in the JSON, paragraph and entry of every question."""
    for place, article in _listed(read_json_object(path), "data", f"{path}: "):
        for inner, paragraph in _listed(article, "paragraphs", place):
            for innermost, entry in _listed(paragraph, "qas", inner):
                yield innermost, paragraph, entry


def _listed(values: dict[str, Any], key: str, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and object of everything in a list of objects."""
    found = values.get(key)
    where = f"{place}{key}" if place.endswith(": ") else f"{place}.{key}"
    if not isinstance(found, list):
        remedy = "absent" if key not in values else f"found a {type(found).__name__}"
        raise InputError(f"{where}: expected a list, {remedy}; is it an official SQuAD file?")
    for number, value in enumerate(found):
        if not isinstance(value, dict):
            raise InputError(f"{where}[{number}]: expected an object, found a {type(value).__name__}")
        yield f"{where}[{number}]", value


def _text(values: dict[str, Any], key: str, place: str) -> str:
    found = values.get(key)
    if not isinstance(found, str):
        what = "absent" if key not in values else f"found {found!r}"
        raise InputError(f"{place}.{key}: expected a text, {what}")
    return found
