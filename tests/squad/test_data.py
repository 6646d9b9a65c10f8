"""Reading the official files: versions, wrong starts, faults with their place; the real files."""

import json
import os
from pathlib import Path

import pytest

from common.errors import InputError
from squad.data import read_golds, read_squad

TEXT = "  A cat, a  cat\u0301 and a 🙂 dog."


def question(name="a", answers=((6, "t, a"),), **more):
    listed = [{"text": text, "answer_start": start} for start, text in answers]
    return {"id": name, "question": f"{name}?", "answers": listed, **more}


@pytest.fixture
def write(tmp_path):
    def write(*questions, context=TEXT):
        path = tmp_path / "data.json"
        paragraphs = [{"context": context, "qas": [entry]} for entry in questions]
        path.write_text(json.dumps({"version": "x", "data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
        return path

    return write


def test_texts_stay_as_they_are_and_stand_once(write):
    data = read_squad(write(question("a"), question("b", [(19, "\u0301"), (4, "cat")])))
    assert data.contexts == [TEXT]
    assert [(entry.name, entry.text, entry.context) for entry in data.questions] == [
        ("a", "a?", 0),
        ("b", "b?", 0),
    ]
    assert [[TEXT[answer.start : answer.end] for answer in entry.answers] for entry in data.questions] == [
        ["t, a"], ["\u0301", "cat"]
    ]  # fmt: skip
    assert data.golds == [("a", ["t, a"]), ("b", ["\u0301", "cat"])]
    assert data.golds == read_golds(data.path)


@pytest.mark.parametrize(
    ("questions", "version"),
    [
        ([question()], "1.1"),
        ([question(is_impossible=False)], "2.0"),
        ([question(), question("b", [])], "2.0"),
    ],
)
def test_the_version_is_told_by_the_data(write, questions, version):
    path = write(*questions)
    assert read_squad(path).version == version
    assert read_squad(path, version_2=version == "2.0").version == version
    with pytest.raises(InputError, match=rf"data.json: is SQuAD {version}.*--version_2_with_negative"):
        read_squad(path, version_2=version == "1.1")


@pytest.mark.parametrize(
    ("start", "text", "actual"),
    [
        (4, "cat", 4),
        (5, "dog", TEXT.index("dog")),  # elsewhere, once
        (-4, "dog", TEXT.index("dog")),  # a negative number is no place
        (999, "dog", TEXT.index("dog")),
        (5, "cat", None),  # twice
        (0, "mouse", None),
        (0, "Cat", None),
    ],
)
def test_wrong_starts_are_mended_where_the_text_occurs_once(write, start, text, actual):
    data = read_squad(write(question("a", [(start, text)]), question("b", [(4, "cat")])))
    assert data.questions[0].answers[0].start == actual
    assert data.remarks["mended"] == (["a"] if actual not in (None, start) else [])
    assert data.remarks["not_found"] == (["a"] if actual is None else [])
    notes = "\n".join(data.notes())
    assert ("1 questions" in notes and notes.endswith(": a")) == (actual != start)


def test_overlapping_occurrences_are_two(write):
    assert (
        read_squad(write(question("a", [(9, "aba")]), context="xababa")).questions[0].answers[0].start is None
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ({"data": {}}, r"data.json: data: expected a list, found \{"),
        ({"data": [1]}, r"data\[0\]: expected an object, found 1"),
        ({"data": [{}]}, r"data\[0\].paragraphs: expected a list, absent"),
        ({"data": []}, "no question in it"),
        (
            {"data": [{"paragraphs": [{"qas": [question()]}]}]},
            r"\[0\].context: expected a text, absent",
        ),
        ([{"question": 7}], r"qas\[0\].question: expected a text, found 7"),
        ([{"id": None}], r"qas\[0\].id: expected a text, found None"),
        ([{"answers": [{"text": "cat"}]}], r"answers\[0\].answer_start: expected a whole number, absent"),
        ([{"answers": [{"text": "cat", "answer_start": "4"}]}], "found '4'"),
        ([{}, {}], r"qas\[1\]: the id 'a' stands already"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path, content, message):
    if isinstance(content, list):
        entries = [{**question(), **changes} for changes in content]
        content = {"data": [{"paragraphs": [{"context": TEXT, "qas": entries}]}]}
    path = tmp_path / "data.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        read_squad(path)
    assert str(path) in str(caught.value)


FOLDER = Path(os.environ.get("SQUAD_DATA_DIR") or "-")


class TestRealData:
    pytestmark = pytest.mark.real_data("SQUAD_DATA_DIR")

    @pytest.mark.parametrize(
        ("file", "version", "questions", "impossible", "contexts"),
        [
            ("dev-v1.1.json", "1.1", 1190, 0, 240),
            ("dev-v2.0.json", "2.0", 6078, 3168, 646),
            ("train-v1.1.json", "1.1", 4371, 0, 694),
            ("train-v2.0.json", "2.0", 4719, 348, 694),
        ],
    )
    def test_counts(self, file, version, questions, impossible, contexts):
        data = read_squad(FOLDER / file)
        assert (data.version, len(data.questions), len(data.contexts)) == (version, questions, contexts)
        assert sum(not question.answers for question in data.questions) == impossible
        assert not any(data.remarks.values())
