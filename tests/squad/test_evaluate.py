"""squad.evaluate: the same numbers as the official scripts print, and one clear line for every bad file."""

import importlib.util
import json

import pytest

from common.errors import InputError
from squad import evaluate

QUESTIONS = [
    {"id": "a", "question": "?", "answers": [{"text": "the red cat", "answer_start": 0}]},
    {"id": "b", "question": "?", "answers": []},
]
PREDICTIONS = {"a": "red dog", "b": "\u00e9"}
CHANCES = {"a": 0.25, "b": 0.75}


@pytest.fixture
def files(tmp_path):
    """Write JSON, text or bytes and give the paths."""

    def write(**contents):
        paths = []
        for name, content in contents.items():
            path = tmp_path / f"{name}.json"
            if not isinstance(content, bytes):
                content = (content if isinstance(content, str) else json.dumps(content)).encode()
            path.write_bytes(content)
            paths.append(str(path))
        return paths

    return write


def data(questions=QUESTIONS):
    return {"version": "v2.0", "data": [{"title": "t", "paragraphs": [{"context": "", "qas": questions}]}]}


def test_v20_prints_the_official_object(files, capsys):
    evaluate.main(files(data=data(), predictions=PREDICTIONS))
    printed = capsys.readouterr()
    # F1 of "red dog" and "red cat" (the article falls away): ½
    assert printed.out == json.dumps({
        "exact": 0.0, "f1": 25.0, "total": 2, "HasAns_exact": 0.0, "HasAns_f1": 50.0, "HasAns_total": 1,
        "NoAns_exact": 0.0, "NoAns_f1": 0.0, "NoAns_total": 1,
    }, indent=2) + "\n"  # fmt: skip
    assert "answering nothing, always: exact 50.00, f1 50.00" in printed.err
    assert "exact 0.00 is worse than answering nothing, always" in printed.err


@pytest.mark.parametrize(("scores", "flags", "is_warned"), [
    ({"a": -3.0, "b": 2.5}, [], True),
    ({"a": -3.0, "b": 2.5}, ["--na-prob-thresh", "0"], False),
    ({"a": 0.1, "b": 0.9}, [], False),
])  # fmt: skip
def test_odds_with_the_threshold_of_probabilities_are_warned_of(files, capsys, scores, flags, is_warned):
    given = files(data=data(), predictions=PREDICTIONS, na=scores)
    evaluate.main([*given[:2], "--na-prob-file", given[2], *flags])
    assert ("these are odds" in capsys.readouterr().err) == is_warned


def test_v11_prints_one_line_and_says_what_is_unanswered(files, capsys):
    evaluate.main([*files(data=data(QUESTIONS[:1] * 2), predictions={"a": "cat"}), "--script", "v1.1"])
    printed = capsys.readouterr()
    # "cat" against "red cat": precision 1, recall ½
    assert json.loads(printed.out) == {"exact_match": 0.0, "f1": pytest.approx(200 / 3)}
    assert printed.out.count("\n") == 1
    evaluate.main([*files(data=data(QUESTIONS[:1]), predictions={}), "--script", "v1.1"])
    assert "1 of 1 questions are unanswered and score 0, first 'a'" in capsys.readouterr().err


def test_answerable_is_what_has_answers_whatever_is_impossible_says(files, capsys):
    answers = [{"text": "red", "answer_start": 0}]
    questions = [
        {"id": "a", "question": "?", "answers": answers, "is_impossible": True},
        {"id": "b", "question": "?", "answers": [], "is_impossible": False},
        {"id": "c", "question": "?", "answers": [{"text": "The", "answer_start": 0}]},  # an empty gold is one
    ]
    evaluate.main(files(data=data(questions), predictions={"a": "red", "b": "x", "c": ""}))
    scores = json.loads(capsys.readouterr().out)
    groups = [scores[key] for key in ("HasAns_total", "HasAns_exact", "NoAns_total", "NoAns_exact")]
    assert groups == [2, 100, 1, 0]


def test_out_file_and_thresholds(files, tmp_path, capsys):
    argv = files(data=data(), predictions=PREDICTIONS, chances=CHANCES)
    out = tmp_path / "new" / "eval.json"
    evaluate.main([*argv[:2], "--na-prob-file", argv[2], "--na_prob_thresh", "0.5", "-o", str(out)])
    assert capsys.readouterr().out == ""
    scores = json.loads(out.read_text(encoding="utf-8"))
    assert (scores["f1"], scores["NoAns_f1"], scores["best_f1"]) == (75, 100, 75)
    assert (scores["best_exact_thresh"], scores["best_f1_thresh"]) == (0.0, 0.25)


def test_without_matplotlib_pictures_are_one_clear_line(files, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    argv = files(data=data(), predictions=PREDICTIONS, chances=CHANCES)
    with pytest.raises(InputError, match=r"matplotlib is not installed: pip install -e '\.\[plots\]'"):
        evaluate.main([*argv[:2], "-n", argv[2], "-p", str(tmp_path / "images")])


@pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="matplotlib is not installed")
@pytest.mark.parametrize(
    "chances",
    [
        CHANCES,
        {"a": -3.5, "b": 12},
        {"a": -1.7e308, "b": 1.7e308},  # their difference is no number
        {"a": 10**300, "b": 10**300 + 1},  # nor has any float place for 20 bins between them
        {"a": -5e-324, "b": 0},
        {"a": -7, "b": -6.9999999999999991},
    ],
)
def test_pictures(files, tmp_path, capsys, chances):
    argv = files(data=data(), predictions=PREDICTIONS, chances=chances)
    folder = tmp_path / "images"
    evaluate.main([*argv[:2], "-n", argv[2], "-p", str(folder)])
    scores = json.loads(capsys.readouterr().out)
    assert list(scores)[-3:] == ["pr_exact_ap", "pr_f1_ap", "pr_oracle_ap"]
    assert scores["pr_f1_ap"] == 25  # after a precision ½ at recall ½, b adds no recall
    names = ["na_prob_hist", "pr_exact", "pr_f1", "pr_oracle"]
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.png" for name in names]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.iterdir())


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"data": data(), "predictions": {"a": "x"}}, "'b' has no prediction"),
        ({"data": data(), "predictions": {}}, "2 of 2 have none"),
        ({"data": data(), "predictions": ""}, "predictions.json: not JSON"),
        ({"data": data(), "predictions": "[]"}, "predictions.json: expected a JSON object"),
        ({"data": data(), "predictions": '{"a": "é", "b": ""}'.encode("latin-1")}, "predictions.json"),
        ({"data": data(), "predictions": '{"a": "é", "b": ""}'.encode("utf-16")}, "predictions.json"),
        ({"data": data(), "predictions": {"a": None, "b": ""}}, "'a': expected a text, found null"),
        ({"data": "", "predictions": PREDICTIONS}, "data.json: not JSON"),
        ({"data": {}, "predictions": PREDICTIONS}, r"data.json: data: expected a list, absent"),
        ({"data": data([]), "predictions": {}}, "no question in the data"),
        ({"data": data([{"id": "a"}]), "predictions": {}}, r"qas\[0\].answers: expected a list, absent"),
    ],
)
def test_a_bad_file_is_one_clear_line(files, contents, message):
    argv = files(**contents)
    with pytest.raises(InputError, match=message) as caught:
        evaluate.main([*argv[:2], *(["-n", argv[2]] if len(argv) > 2 else [])])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": NaN, "b": 1}', "question 'a': expected a finite number, found NaN"),
        ('{"a": 1, "b": Infinity}', "question 'b': expected a finite number, found Infinity"),
        ('{"a": -1e999, "b": 1}', "question 'a': expected a finite number, found -Infinity"),
        ('{"a": ' + "9" * 400 + ', "b": 1}', "na.json: not JSON: a whole number of 400 digits"),
        ('{"a": "0.1", "b": 1}', "question 'a': expected a finite number, found \"0.1\""),
        ('{"a": true, "b": 1}', "question 'a': expected a finite number, found true"),
        ('{"a": null, "b": 1}', "question 'a': expected a finite number, found null"),
        ('{"a": 0.1}', r"question 'b' has no no-answer score \(1 of 2"),
        ("[0.1]", "expected a JSON object, found a list"),
        ("", "not JSON"),
    ],
)
@pytest.mark.parametrize("pictures", [False, True])
def test_a_bad_no_answer_score_is_one_line_with_file_and_id(files, tmp_path, content, message, pictures):
    argv = files(data=data(), predictions=PREDICTIONS, na=content)
    with pytest.raises(InputError, match=message) as caught:
        evaluate.main([*argv[:2], "-n", argv[2], *(["-p", str(tmp_path / "images")] if pictures else [])])
    assert str(caught.value).startswith(f"{argv[2]}: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "images").exists()


def test_large_scores_are_compared_exactly(files, capsys):
    """Whole numbers beyond what a float can hold, and a threshold between two of them."""
    argv = files(data=data(), predictions={"a": "red cat", "b": "x"}, na={"a": 10**17, "b": 10**17 + 1})
    evaluate.main([*argv[:2], "-n", argv[2], "-t", "1e17"])
    scores = json.loads(capsys.readouterr().out)
    assert (scores["exact"], scores["best_exact"], scores["best_exact_thresh"]) == (100, 100, 10**17)


def test_what_is_for_no_question_is_said(files, tmp_path, capsys):
    more = {"zz": 1, "a": 0.1, "b": 0.2}
    argv = files(data=data(), predictions={**PREDICTIONS, "yy": "x"}, na=more)
    evaluate.main([*argv[:2], "-n", argv[2]])
    lines = capsys.readouterr().err.splitlines()
    for line, name in zip(lines, ("yy", "zz"), strict=False):
        assert line.endswith(f"1 of 3 are for no question of the data and do not count, first '{name}'")
    with pytest.raises(InputError, match=r"na\.json: no-answer score for 'zz', which is no question"):
        evaluate.main([*argv[:2], "-n", argv[2], "-p", str(tmp_path / "images")])


@pytest.mark.parametrize(
    "argv",
    [
        ["--script", "v1.1", "-n", "x"],
        ["--script", "v1.1", "-t", "1.0"],
        ["--script", "v1.1", "-p", "x"],
        ["--out-image-dir", "x"],
        ["--na-prob-file", ""],
        ["-o", ""],
        ["-t", "nan"],
        ["-t", "high"],
    ],
)
def test_flags_that_would_do_nothing_are_wrong_usage(files, argv):
    with pytest.raises(SystemExit) as left:
        evaluate.main([*files(data=data(), predictions=PREDICTIONS), *argv])
    assert left.value.code == 2


def test_as_a_command(files, run_module):
    done = run_module("squad.evaluate", *files(data=data(), predictions={"a": "x"}))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_file_whose_answers_are_withheld_is_named(files, capsys):
    questions = [{"id": "a", "question": "?", "answers": []}]
    data_file, predictions = files(data=data(questions), predictions={"a": "red"})
    evaluate.main([data_file, predictions])
    printed = capsys.readouterr()
    assert json.loads(printed.out)["NoAns_total"] == 1  # the official numbers all the same
    assert data_file in printed.err
    assert "withheld" in printed.err


@pytest.mark.parametrize("content", ['[{"id": "a", "prediction_text": "x"}]', '{"a": "x"}\n{"b": "y"}\n'])
def test_predictions_in_another_form_are_told_the_right_one(files, content):
    paths = files(data=data(), predictions=content)
    with pytest.raises(InputError) as caught:
        evaluate.main(paths)
    assert paths[1] in str(caught.value)
    assert "question id → text" in str(caught.value)
