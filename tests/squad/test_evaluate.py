"""squad.evaluate: the same numbers as the official scripts print, and one clear line for every bad file."""

import importlib.util
import json

import pytest

from commands.errors import InputError
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


def test_v11_prints_one_line_and_says_what_is_unanswered(files, capsys):
    evaluate.main([*files(data=data(QUESTIONS[:1] * 2), predictions={"a": "cat"}), "--script", "v1.1"])
    printed = capsys.readouterr()
    # "cat" against "red cat": precision 1, recall ½
    assert json.loads(printed.out) == {"exact_match": 0.0, "f1": pytest.approx(200 / 3)}
    assert printed.out.count("\n") == 1
    evaluate.main([*files(data=data(QUESTIONS[:1]), predictions={}), "--script", "v1.1"])
    assert "1 of 1 questions are unanswered and score 0, first 'a'" in capsys.readouterr().err


def test_out_file_and_thresholds(files, tmp_path, capsys):
    words = files(data=data(), predictions=PREDICTIONS, chances=CHANCES)
    out = tmp_path / "new" / "eval.json"
    evaluate.main([*words[:2], "--na-prob-file", words[2], "--na_prob_thresh", "0.5", "-o", str(out)])
    assert capsys.readouterr().out == ""
    scores = json.loads(out.read_text())
    assert (scores["f1"], scores["NoAns_f1"], scores["best_f1"]) == (75, 100, 75)
    assert (scores["best_exact_thresh"], scores["best_f1_thresh"]) == (0.0, 0.25)


def test_without_matplotlib_pictures_are_one_clear_line(files, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    words = files(data=data(), predictions=PREDICTIONS, chances=CHANCES)
    with pytest.raises(InputError, match=r"matplotlib is not installed: pip install -e '\.\[plots\]'"):
        evaluate.main([*words[:2], "-n", words[2], "-p", str(tmp_path / "images")])


@pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="matplotlib is not installed")
@pytest.mark.parametrize("chances", [CHANCES, {"a": -3.5, "b": 12}])
def test_pictures(files, tmp_path, capsys, chances):
    words = files(data=data(), predictions=PREDICTIONS, chances=chances)
    folder = tmp_path / "images"
    evaluate.main([*words[:2], "-n", words[2], "-p", str(folder)])
    scores = json.loads(capsys.readouterr().out)
    assert list(scores)[-3:] == ["pr_exact_ap", "pr_f1_ap", "pr_oracle_ap"]
    assert scores["pr_f1_ap"] == 25  # after a precision ½ at recall ½, b adds no recall
    names = ["na_prob_hist_hasAns", "na_prob_hist_noAns", "pr_exact", "pr_f1", "pr_oracle"]
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
        ({"data": data(), "predictions": '\ufeff{"a": "", "b": ""}'}, "predictions.json: .*BOM"),
        ({"data": data(), "predictions": {"a": None, "b": ""}}, "'a': expected a text, found None"),
        ({"data": "", "predictions": PREDICTIONS}, "data.json: not JSON"),
        ({"data": {}, "predictions": PREDICTIONS}, r"data.json: data: expected a list, absent"),
        ({"data": data([]), "predictions": {}}, "no question in the data"),
        ({"data": data([{"id": "a"}]), "predictions": {}}, r"qas\[0\].answers: expected a list, absent"),
        ({"data": data(), "predictions": PREDICTIONS, "na": '{"a": NaN, "b": 1}'}, "'a': .*found NaN"),
        ({"data": data(), "predictions": PREDICTIONS, "na": {"a": "0.1", "b": 1}}, "'a': expected a number"),
        ({"data": data(), "predictions": PREDICTIONS, "na": {"a": True, "b": 1}}, "'a': expected a number"),
        ({"data": data(), "predictions": PREDICTIONS, "na": {"a": 0.1}}, "'b' has no no-answer score"),
    ],
)
def test_a_bad_file_is_one_clear_line(files, contents, message):
    words = files(**contents)
    with pytest.raises(InputError, match=message) as caught:
        evaluate.main([*words[:2], *(["-n", words[2]] if len(words) > 2 else [])])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", [["--script", "v1.1", "-n", "x"], ["--out-image-dir", "x"]])
def test_flags_that_would_do_nothing_are_wrong_usage(files, words):
    with pytest.raises(SystemExit) as left:
        evaluate.main([*files(data=data(), predictions=PREDICTIONS), *words])
    assert left.value.code == 2


def test_as_a_command(files, run_module):
    done = run_module("squad.evaluate", *files(data=data(), predictions={"a": "x"}))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
