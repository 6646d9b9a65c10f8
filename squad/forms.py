"""The forms in which people keep SQuAD data, as one stream of questions. No Paddle, no NumPy.

Read are the official form (articles, their paragraphs, questions of each), any inner part of it by itself,
and flat rows as the datasets library has them (``id``, ``context``, ``question``, ``answers`` as two lists):
one JSON value, or one a line. What is in a file is told by its content, not by its name.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import InputError
from common.json_files import parse_json
from common.messages import shortened
from common.plain_files import read_plain
from common.text import decode_text

_MISSING = object()
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


class JsonValue(NamedTuple):
    """A value, and where it stands: file, line of a file of JSON lines, and the keys that lead there."""

    value: Any
    path: str | Path
    line: int | None = None
    name: str = ""

    def at(self, key: str | int) -> "JsonValue":
        """An item of a list, or what an object has under a key, which may be nothing."""
        if isinstance(key, int):
            return self._replace(value=self.value[key], name=f"{self.name}[{key}]")
        name = f"{self.name}.{key}" if self.name else key
        return self._replace(value=self.value.get(key, _MISSING), name=name)

    def items(self) -> "list[JsonValue]":
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        return [self.at(number) for number in range(len(self.value))]

    def as_object(self) -> "JsonValue":
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.wrong("a text")
        return self.value

    @property
    def is_given(self) -> bool:
        return self.value is not _MISSING

    def wrong(self, expected: str, remedy: str = "") -> InputError:
        """The error for a value that is not what was expected."""
        actual = f"found {shortened(self.value)}" if self.is_given else "absent"
        return self.refused(f"expected {expected}, {actual}{remedy}")

    def refused(self, why: str) -> InputError:
        """The error for a value that cannot be taken."""
        return InputError(f"{self.name}: {why}" if self.name else why, path=self.path, line=self.line)


class RawAnswer(NamedTuple):
    """The text of an answer, and what the file has as its start; None in a form that can do without."""

    text: str
    start: JsonValue | None


@dataclass(frozen=True)
class Entry:
    """A question as it stands in a file: its object, and the one that has its context."""

    values: JsonValue
    paragraph: JsonValue

    @property
    def context(self) -> str:
        return self.paragraph.at("context").text()

    @property
    def question(self) -> str:
        return self.values.at("question").text()

    @property
    def name(self) -> str:
        """Its id, which may be a whole number."""
        name = self.values.at("id")
        return str(name.value) if type(name.value) is int else name.text()

    @property
    def is_marked(self) -> bool:
        """Whether it says if it is answerable, as SQuAD 2.0 does."""
        return "is_impossible" in self.values.value

    @property
    def is_impossible(self) -> bool:
        return self.values.at("is_impossible").value is True

    @property
    def is_null(self) -> bool:
        """Whether it says that there is nothing where answers would be: unanswerable, if others have some."""
        return "answers" in self.values.value or "answer" in self.values.value

    def answers(self) -> list[RawAnswer] | None:
        """Its answers; None if it gives none, not even an empty list."""
        for key in ("answers", "answer"):
            if self.values.value.get(key) is not None:
                return _answers(self.values, key)
        return [] if self.is_impossible else None

    def without_answers(self) -> InputError:
        """The error for a question that has no answers where they are needed."""
        return self.values.at("answers").refused(
            "expected a list, absent; questions alone can be answered (run_squad --do_predict), not trained "
            "on or scored"
        )


def read_entries(path: str | Path) -> Iterator[Entry]:
    """Every question of a file, in its order; InputError for what is in none of the forms."""
    try:
        text = decode_text(read_plain(path, _MAX_BYTES), path)
    except FileNotFoundError:
        raise InputError("no such file", path=path, code="missing") from None
    if not _is_lines(text):
        yield from _entries(JsonValue(parse_json(text, path), path))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield from _entries(JsonValue(parse_json(line, path, number), path, number))


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


def _entries(value: JsonValue, lists: tuple[str, ...] = _LISTS) -> Iterator[Entry]:
    """The questions in a value. lists: the keys that can still lead further in."""
    if isinstance(value.value, list):
        for item in value.items():
            yield from _entries(item.as_object(), lists)
        return
    key = next((key for key in lists if key in value.as_object().value), "")
    if key == "qas":
        for item in value.at(key).items():
            _refuse_foreign(item.as_object())
            yield Entry(item, value)
    elif key:
        inner = value.at(key)
        for item in inner.items():
            yield from _entries(item.as_object(), lists[lists.index(key) + 1 :])
    else:
        _refuse_foreign(value)
        if not value.value.keys() & {"question", "answers", "answer"}:
            raise _unknown(value)
        yield Entry(value, value)


def _refuse_foreign(entry: JsonValue) -> None:
    for key, form in _FOREIGN.items():
        if key in entry.value and not {"question", "id"} <= {*entry.value}:
            raise entry.refused(
                f"is in the form of {form} ({key!r}), which is not read; write its questions as rows {_ROW}, "
                "one a line"
            )


def _unknown(value: JsonValue) -> InputError:
    inside = value.name.rstrip("0123456789[]")
    wanted = "paragraphs" if inside.endswith("data") else "qas" if inside.endswith("paragraphs") else "data"
    keys = ", ".join(list(value.value)[:_MAX_KEYS]) or "nothing"
    return value.at(wanted).wrong(
        "a list", f"; there is {keys}: neither an official SQuAD file nor rows {_ROW}"
    )


def _answers(values: JsonValue, key: str) -> list[RawAnswer]:
    """Answers in any form: a list of objects or texts, two lists, one object, one text."""
    answers = values.at(key)
    if isinstance(answers.value, str) and key == "answer":
        return [RawAnswer(answers.value, _if_given(values.at("answer_start")))]
    if isinstance(answers.value, dict) and "text" in answers.value:
        return _two_lists(answers.at("text"), _if_given(answers.at("answer_start")))
    if not isinstance(answers.value, list):
        raise answers.wrong("a list", "; is it an official SQuAD file?")
    return [
        RawAnswer(item.value, None)
        if isinstance(item.value, str)
        else RawAnswer(item.as_object().at("text").text(), item.at("answer_start"))
        for item in answers.items()
    ]


def _two_lists(texts: JsonValue, starts: JsonValue | None) -> list[RawAnswer]:
    if isinstance(texts.value, str):
        return [RawAnswer(texts.value, starts)]
    if not isinstance(texts.value, list) or not all(isinstance(text, str) for text in texts.value):
        raise texts.wrong("a list of texts")
    if starts is None:
        return [RawAnswer(text, None) for text in texts.value]
    if not isinstance(starts.value, list) or len(starts.value) != len(texts.value):
        raise starts.wrong(f"a list of {len(texts.value)} numbers, as there are texts")
    return list(map(RawAnswer, texts.value, starts.items()))


def _if_given(value: JsonValue) -> JsonValue | None:
    return value if value.is_given else None
