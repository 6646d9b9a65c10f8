"""The forms in which people keep SQuAD data, as one stream of questions. No Paddle, no NumPy.

Read are the official form (articles, their paragraphs, questions of each), any inner part of it by itself,
and flat rows as the datasets library has them (``id``, ``context``, ``question``, ``answers`` as two lists):
one JSON value, or one a line. What is in a file is told by its content, not by its name.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.json_files import parse_json
from common.messages import shortened
from common.plain_files import read_plain
from common.text import decode_text

MISSING = object()  # a start that is not given

# A key that only another collection has → what its form is called.
_FOREIGN = {
    "header": "MRQA", "detected_answers": "MRQA", "QuestionId": "TriviaQA", "Data": "TriviaQA",
    "supporting_facts": "HotpotQA", "storyId": "NewsQA", "story": "CoQA", "qa_pairs": "DROP",
    "document_text": "Natural Questions", "document_tokens": "Natural Questions",
    "passage": "BoolQ or ReCoRD", "options": "RACE",
}  # fmt: skip
_LISTS = ("data", "paragraphs", "qas")  # from the outside in
_MAX_BYTES = 1 << 31
_MAX_KEYS = 8  # keys in a message
_ROW = '{"id": …, "context": …, "question": …, "answers": {"text": […], "answer_start": […]}}'


@dataclass(frozen=True)
class RawAnswer:
    """An answer as it stands in a file.

    Attributes:
        text: Its text.
        start: What the file gives as its start; MISSING if it gives nothing.
        location: Where it stands, for messages.
    """

    text: str
    start: Any
    location: str


@dataclass(frozen=True)
class Entry:
    """A question as it stands in a file.

    Attributes:
        location: Where it stands, for messages.
        values: Its object.
        paragraph: The object that has its context.
        paragraph_location: Where that stands.
    """

    location: str
    values: dict[str, Any]
    paragraph: dict[str, Any]
    paragraph_location: str

    @property
    def context(self) -> str:
        return text_of(self.paragraph, "context", self.paragraph_location)

    @property
    def question(self) -> str:
        return text_of(self.values, "question", self.location)

    @property
    def name(self) -> str:
        """Its id, which may be a whole number."""
        value = self.values.get("id")
        return str(value) if type(value) is int else text_of(self.values, "id", self.location)

    @property
    def is_marked(self) -> bool:
        """Whether it says if it is answerable, as SQuAD 2.0 does."""
        return "is_impossible" in self.values

    @property
    def is_null(self) -> bool:
        """Whether it says that there is nothing where answers would be: unanswerable, if others have some."""
        return "answers" in self.values or "answer" in self.values

    def answers(self) -> list[RawAnswer] | None:
        """Its answers; None if it gives none, not even an empty list."""
        for key in ("answers", "answer"):
            if self.values.get(key) is not None:
                return _answers(self.values, key, self.location)
        return [] if self.values.get("is_impossible") is True else None


def read_entries(path: str | Path) -> Iterator[Entry]:
    """Every question of a file, in its order; InputError for what is in none of the forms."""
    for location, value in _values(path):
        yield from _entries(value, location)


def without_answers(entry: Entry) -> InputError:
    """The error for a question that has no answers where they are needed."""
    return InputError(
        f"{_at(entry.location, 'answers')}: expected a list, absent; questions alone can be answered "
        "(run_squad --do_predict), not trained on or scored"
    )


def _values(path: str | Path) -> Iterator[tuple[str, Any]]:
    """Location and value of everything in a file of JSON, or of JSON lines."""
    try:
        text = decode_text(read_plain(path, _MAX_BYTES), path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    if not _is_lines(text):
        yield f"{path}: ", parse_json(text, str(path))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}: ", parse_json(line, f"{path}:{number}")


def _is_lines(text: str) -> bool:
    """Whether a text has a JSON value a line: the first line is one by itself, and there is more."""
    first, _, rest = text.lstrip().partition("\n")
    if not rest.strip():
        return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True


def _entries(value: Any, location: str, lists: tuple[str, ...] = _LISTS) -> Iterator[Entry]:
    """The questions in a value. lists: the keys that can still lead further in."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _entries(_object(item, f"{location}[{number}]"), f"{location}[{number}]", lists)
        return
    values = _object(value, location)
    for depth, key in enumerate(lists, 1):
        if key in values:
            inner = _at(location, key)
            if not isinstance(values[key], list):
                raise InputError(f"{inner}: expected a list, found a {type(values[key]).__name__}")
            if key != "qas":
                yield from _entries(values[key], inner, lists[depth:])
                return
            for number, item in enumerate(values[key]):
                at = f"{inner}[{number}]"
                entry = _object(item, at)
                _refuse_foreign(entry, at)
                yield Entry(at, entry, values, location)
            return
    _refuse_foreign(values, location)
    if not values.keys() & {"question", "answers", "answer"}:
        raise _unknown(values, location)
    yield Entry(location, values, values, location)


def _object(value: Any, location: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{location.removesuffix(': ')}: expected an object, found a {type(value).__name__}")
    return value


def _refuse_foreign(values: dict[str, Any], location: str) -> None:
    for key, form in _FOREIGN.items():
        if key in values and not {"question", "id"} <= {*values}:
            raise InputError(
                f"{location.removesuffix(': ')}: is in the form of {form} ({key!r}), which is not read; "
                f"write its questions as rows {_ROW}, one a line"
            )


def _unknown(values: dict[str, Any], location: str) -> InputError:
    inside = location.rstrip("0123456789[]")
    wanted = "paragraphs" if inside.endswith("data") else "qas" if inside.endswith("paragraphs") else "data"
    keys = ", ".join(list(values)[:_MAX_KEYS]) or "nothing"
    return InputError(
        f"{_at(location, wanted)}: expected a list, absent; there is {keys}: neither an official SQuAD file "
        f"nor rows {_ROW}"
    )


def _answers(values: dict[str, Any], key: str, location: str) -> list[RawAnswer]:
    """Answers in any form: a list of objects or texts, two lists, one object, one text."""
    value, at = values[key], _at(location, key)
    if isinstance(value, str) and key == "answer":
        return [RawAnswer(value, values.get("answer_start", MISSING), location)]
    if isinstance(value, dict) and "text" in value:
        return _two_lists(value, at)
    if not isinstance(value, list):
        raise InputError(
            f"{at}: expected a list, found a {type(value).__name__}; is it an official SQuAD file?"
        )
    answers = []
    for number, item in enumerate(value):
        inner = f"{at}[{number}]"
        if isinstance(item, str):
            answers.append(RawAnswer(item, MISSING, inner))
        else:
            raw = _object(item, inner)
            answers.append(RawAnswer(text_of(raw, "text", inner), raw.get("answer_start"), inner))
    return answers


def _two_lists(columns: dict[str, Any], location: str) -> list[RawAnswer]:
    texts, starts = columns["text"], columns.get("answer_start", MISSING)
    if isinstance(texts, str):
        return [RawAnswer(texts, starts, location)]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{location}.text: expected a list of texts, found {shortened(texts)}")
    if starts is MISSING:
        starts = [MISSING] * len(texts)
    if not isinstance(starts, list) or len(starts) != len(texts):
        raise InputError(
            f"{location}.answer_start: expected a list of {len(texts)} numbers, as there are texts"
        )
    return [
        RawAnswer(text, start, f"{location}[{number}]")
        for number, (text, start) in enumerate(zip(texts, starts, strict=True))
    ]


def text_of(values: dict[str, Any], key: str, location: str) -> str:
    """A text; InputError with its location where it is absent or something else."""
    value = values.get(key)
    if not isinstance(value, str):
        what = "absent" if key not in values else f"found {shortened(value)}"
        raise InputError(f"{_at(location, key)}: expected a text, {what}")
    return value


def _at(location: str, key: str) -> str:
    return f"{location}{key}" if location.endswith(": ") else f"{location}.{key}"
