"""SQuAD data as people keep it: every form of the same questions is read as the official one."""

import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from squad import evaluate
from squad.data import Dataset, read_golds, read_squad, version_of

TEXT = "Mara keeps nine grey goats. The goats eat thistles."
NINE, THISTLES = TEXT.find("nine"), TEXT.find("thistles")


def qa(name: Any, *answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    listed = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": name, "question": f"{name}?", "answers": listed, **more}


def row(name: str, *answers: tuple[str, int]) -> dict[str, Any]:
    """As the datasets library has it: the answers as two lists."""
    lists = {"text": [text for text, _ in answers], "answer_start": [start for _, start in answers]}
    return {"id": name, "title": "t", "context": TEXT, "question": f"{name}?", "answers": lists}


QUESTIONS = [qa("a", ("nine", NINE), ("nine grey", NINE)), qa("b", ("thistles", THISTLES))]
ROWS = [row("a", ("nine", NINE), ("nine grey", NINE)), row("b", ("thistles", THISTLES))]
PARAGRAPH = {"context": TEXT, "qas": QUESTIONS}
OFFICIAL = {"version": "1.1", "data": [{"title": "t", "paragraphs": [PARAGRAPH]}]}


def written(folder: Path, *values: Any) -> Path:
    path = folder / "data.json"
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def content(data: Dataset) -> Any:
    return data.contexts, data.questions, data.version, data.golds


FORMS: dict[str, list[Any]] = {
    "rows, one a line": ROWS,
    "rows in a list": [ROWS],
    "rows below data": [{"version": "1", "data": ROWS}],
    "rows whose answers are a list": [[{**ROWS[at], "answers": QUESTIONS[at]["answers"]} for at in (0, 1)]],
    "articles without a title": [{"data": [{"paragraphs": [PARAGRAPH]}]}],
    "a list of articles": [OFFICIAL["data"]],
    "articles, one a line": OFFICIAL["data"],
    "paragraphs below data": [{"data": [PARAGRAPH]}],
    "paragraphs alone": [[PARAGRAPH]],
    "one paragraph": [PARAGRAPH],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_as_the_official_one(tmp_path: Path, form: str) -> None:
    official = content(read_squad(written(tmp_path, OFFICIAL)))
    golds = read_golds(written(tmp_path, OFFICIAL))
    path = written(tmp_path, *FORMS[form])
    assert content(read_squad(path)) == official
    assert read_golds(path) == golds == official[-1]


def test_pretty_printed_files_and_blank_lines_between_rows(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(OFFICIAL, indent=2), encoding="utf-8")
    official = content(read_squad(path))
    path.write_text("\n\n".join(map(json.dumps, ROWS)) + "\n\n", encoding="utf-8")
    assert content(read_squad(path)) == official


@pytest.mark.parametrize(
    "answers",
    [
        {"answer": {"text": "nine", "answer_start": NINE}},
        {"answer": "nine", "answer_start": NINE},
        {"answer": "nine"},
        {"answers": ["nine"]},
        {"answers": {"text": "nine", "answer_start": NINE}},
        {"answers": {"text": ["nine"]}},
        {"answers": [{"text": "nine", "answer_start": NINE}], "plausible_answers": [{"text": "x"}]},
    ],
)
def test_one_answer_in_any_form(tmp_path: Path, answers: dict[str, Any]) -> None:
    path = written(tmp_path, {"id": 7, "context": TEXT, "question": "How many?", **answers})
    [question] = read_squad(path).questions
    assert (question.name, [(one.text, one.start) for one in question.answers]) == ("7", [("nine", NINE)])
    assert read_golds(path) == [("7", ["nine"])]


@pytest.mark.parametrize(
    "nothing",
    [
        {"answers": [{"text": "", "answer_start": -1}]},
        {"answers": [{"text": "", "answer_start": 0}], "is_impossible": False},
        {"answers": [{"text": " ", "answer_start": -1}, {"text": "", "answer_start": -1}]},
        {"answers": {"text": [""], "answer_start": [-1]}},
        {"answers": {"text": [], "answer_start": []}},
        {"answers": []},
        {"answers": None},
        {"answers": None, "is_impossible": True},
        {"answer": ""},
        {"is_impossible": True},
    ],
)
def test_no_answer_in_any_form_is_unanswerable(tmp_path: Path, nothing: dict[str, Any]) -> None:
    path = written(tmp_path, ROWS[0], {"id": "n", "context": TEXT, "question": "Who?", **nothing})
    data = read_squad(path)
    assert data.version == "2.0"
    assert [bool(question.answers) for question in data.questions] == [True, False]
    assert data.answerable_golds[1] == ("n", [])


def test_an_empty_text_beside_an_answer_is_left_out_but_scored(tmp_path: Path) -> None:
    path = written(
        tmp_path, {"data": [{"paragraphs": [{"context": TEXT, "qas": [qa("a", ("", -1), ("nine", NINE))]}]}]}
    )
    data = read_squad(path)
    assert [answer.text for answer in data.questions[0].answers] == ["nine"]
    assert data.version == "1.1"
    assert data.golds == read_golds(path) == [("a", ["", "nine"])]


def test_empty_texts_score_as_in_the_official_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """evaluate-v2.0.py asks whether there are answers, not what they say: HasAns is all of them."""
    qas = [qa("a", ("nine", NINE)), qa("b", ("", -1)), qa("c", ("", -1), is_impossible=True)]
    path = written(tmp_path, {"data": [{"paragraphs": [{"context": TEXT, "qas": qas}]}]})
    assert read_golds(path) == [("a", ["nine"]), ("b", [""]), ("c", [""])]
    (tmp_path / "p.json").write_text(json.dumps({"a": "nine", "b": "", "c": "goats"}), encoding="utf-8")
    evaluate.main([str(path), str(tmp_path / "p.json")])
    out, err = capsys.readouterr()
    scores = json.loads(out)
    assert list(scores) == ["exact", "f1", "total", "HasAns_exact", "HasAns_f1", "HasAns_total"]
    assert (scores["exact"], scores["HasAns_total"]) == (pytest.approx(200 / 3), 3)
    assert "2 questions have an empty text as answer" in err
    notes = "\n".join(read_squad(path).notes())
    assert "3 questions (2 unanswerable)" in notes
    assert "2 questions: their answer is empty, so they count as unanswerable: b, c" in notes


def test_answers_of_a_question_marked_impossible_are_said(tmp_path: Path) -> None:
    data = read_squad(written(tmp_path, {**ROWS[0], "is_impossible": True}))
    assert data.questions[0].answers
    assert "1 questions: they are marked as impossible but have answers, which count: a" in data.notes()[1]


def test_questions_alone_are_read_and_not_scored(tmp_path: Path) -> None:
    alone = [{"id": name, "question": "How many?"} for name in "ab"]
    for values in (
        [{"data": [{"paragraphs": [{"context": TEXT, "qas": alone}]}]}],
        [{**question, "context": TEXT} for question in alone],
        [{**question, "context": TEXT, "answers": None} for question in alone],
        [{**question, "context": TEXT, "answers": []} for question in alone],
        [{**question, "context": TEXT, "answers": {"text": [], "answer_start": []}} for question in alone],
    ):
        path = written(tmp_path, *values)
        data = read_squad(path)
        assert (data.has_answers, data.version, len(data.questions)) == (False, "1.1", 2)
        assert read_squad(path, version_2=True).version == "2.0"
        assert "(no answers)" in data.notes()[0]
        if values[0].get("answers") is None:
            with pytest.raises(InputError, match="answers: expected a list, absent; questions alone"):
                read_golds(path)
        else:  # for the official script they are unanswerable
            assert read_golds(path) == [("a", []), ("b", [])]


def test_one_question_without_answers_among_others_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, ROWS[0], {"id": "n", "context": TEXT, "question": "Who?"})
    for read in (read_squad, read_golds):
        with pytest.raises(InputError, match=r"data\.json:2: answers: expected a list, absent"):
            read(path)


OTHERS: dict[str, tuple[str, list[Any]]] = {
    "MRQA": ("data.json:1: ", [{"header": {"dataset": "NewsQA"}}, {"context": "x", "qas": []}]),
    "MRQA without header": (
        r"MRQA.*one a line", [{"context": "x", "qas": [{"qid": "1", "detected_answers": []}]}]
    ),
    "TriviaQA": ("TriviaQA", [{"Data": [{"Question": "?", "QuestionId": "1", "Answer": {}}], "Version": 1}]),
    "NewsQA": ("NewsQA", [{"data": [{"storyId": "1", "text": "x", "questions": []}]}]),
    "HotpotQA": ("HotpotQA", [[{"_id": "1", "supporting_facts": [], "context": [["t", ["x"]]]}]]),
    "CoQA": ("CoQA", [{"data": [{"story": "x", "questions": []}]}]),
    "DROP": (r"data: expected a list, absent; there is nfl_1", [{"nfl_1": {"passage": "x", "qa_pairs": []}}]),
    "BoolQ": ("BoolQ", [{"question": "x", "passage": "y", "answer": True}]),
    "predictions": (r"data: expected a list, absent; there is a, b", [{"a": "x", "b": "y"}]),
    "sentences": ("neither an official SQuAD file nor rows", [{"text": "x", "label": 1}]),
    "a number": ("expected an object, found 7", [7]),
    "a broken line": (r"data\.json:2: not JSON", [ROWS[0], "@"]),
}  # fmt: skip


@pytest.mark.parametrize("form", OTHERS)
def test_other_forms_are_named_in_one_line(tmp_path: Path, form: str) -> None:
    message, values = OTHERS[form]
    path = tmp_path / "data.json"
    path.write_text(
        "".join((value if value == "@" else json.dumps(value)) + "\n" for value in values), encoding="utf-8"
    )
    with pytest.raises(InputError, match=message) as caught:
        read_squad(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"text": ["nine"], "answer_start": [1, 2]}, "answer_start: expected a list of 1 numbers"),
        ({"text": ["nine"], "answer_start": ["x"]}, r"answer_start\[0\]: expected a whole number, found 'x'"),
        ({"text": ["nine", 7], "answer_start": [1, 2]}, "text: expected a list of texts"),
        ({"start": [1]}, r"answers: expected a list, found \{"),
        ("nine", "answers: expected a list, found 'nine'"),
        ([7], r"answers\[0\]: expected an object, found 7"),
    ],
)  # fmt: skip
def test_answers_in_no_form_are_named_with_their_place(tmp_path: Path, answers: Any, message: str) -> None:
    path = written(tmp_path, ROWS[1], {**ROWS[0], "answers": answers})
    with pytest.raises(InputError, match=message) as caught:
        read_squad(path)
    assert str(caught.value).startswith(f"{path}:2: answers")


@pytest.mark.parametrize(
    ("task", "version"),
    [
        ("squad_1.1", "1.1"), ("squad_2.0", "2.0"), ("squad_v2", "2.0"), ("SQuAD2.0", "2.0"),
        ("squadv2", "2.0"), ("squad-v1.1", "1.1"), ("squad_v1", "1.1"),
        ("squad", ""), ("squad_it", ""), ("", ""), ("squad_2021", ""),
    ],
)  # fmt: skip
def test_versions_in_the_names_of_tasks(task: str, version: str) -> None:
    assert version_of(task) == version


def test_endless_nesting_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('{"data": [' * 400 + "]}" * 400, encoding="utf-8")
    with pytest.raises(InputError, match=r"data\[0\]\.paragraphs: expected a list, absent"):
        read_squad(path)
