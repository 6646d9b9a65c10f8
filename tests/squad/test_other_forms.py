"""Training and answering with files in other forms than the official one: same weights, same answers."""

import json

import pytest

from common.errors import InputError
from common.files import write_json
from squad import run_squad
from tests.squad.colours import make_argv, predict_argv


def rows_of(path):
    """The questions of an official file as the datasets library has them."""
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for entry in paragraph["qas"]:
                answers = {key: [one[key] for one in entry["answers"]] for key in ("text", "answer_start")}
                yield {"context": paragraph["context"], **entry, "answers": answers}


def changed(source, target, change):
    """The official file with ``change`` made to every question."""
    data = json.loads(source.read_text(encoding="utf-8"))
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            for entry in paragraph["qas"]:
                change(entry)
    write_json(target, data)
    return target


def trained_on(files, folder, train, dev):
    argv = make_argv(
        files, "2.0", "--do_train", "--do_predict", "--output_dir", folder / "run", "--max_steps", 1
    )
    run_squad.main([*argv, "--train_file", str(train), "--predict_file", str(dev)])
    run = folder / "run"
    names = ("best/model.safetensors", "predictions.json", "null_odds.json")
    return [(run / name).read_bytes() for name in names], json.loads(
        (run / "scores.json").read_text(encoding="utf-8")
    )["best"]


@pytest.fixture(scope="module")
def official(files, tmp_path_factory):
    return trained_on(files, tmp_path_factory.mktemp("official"), *files["2.0"])


def test_rows_train_and_answer_as_the_official_file(files, official, tmp_path):
    paths = []
    for part, source in zip(("train", "dev"), files["2.0"], strict=True):
        paths.append(tmp_path / f"{part}.jsonl")
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows_of(source)), encoding="utf-8")
    assert trained_on(files, tmp_path, *paths) == official


def test_an_empty_text_is_unanswerable_in_training_answers_and_thresholds(files, official, tmp_path):
    def as_empty_text(entry):
        entry["answers"] = entry["answers"] or [{"text": "", "answer_start": -1}]
        entry.pop("is_impossible", None)

    paths = [changed(source, tmp_path / source.name, as_empty_text) for source in files["2.0"]]
    (made, scores), (expected, official_scores) = trained_on(files, tmp_path, *paths), official
    assert made == expected
    groups = ("HasAns", "NoAns")  # which the official script tells by whether answers stand there
    assert {key: value for key, value in scores.items() if not key.startswith(groups)} == {
        key: value for key, value in official_scores.items() if not key.startswith(groups)
    }
    assert (scores["HasAns_total"], official_scores["HasAns_total"]) == (40, 26)


def test_questions_alone_are_answered_and_not_scored(files, trained, tmp_path, capsys):
    alone = changed(
        files["2.0"][1],
        tmp_path / "alone.json",
        lambda entry: (entry.pop("answers"), entry.pop("is_impossible", 0)),
    )
    out = tmp_path / "out"
    run_squad.main(predict_argv(files, trained, "2.0", out))
    assert json.loads(capsys.readouterr().out)["total"] == 40
    names = ("predictions.json", "nbest_predictions.json", "null_odds.json", "predictions_not_null.json")
    expected = {name: (out / name).read_bytes() for name in names}
    run_squad.main([*predict_argv(files, trained, "2.0", out), "--predict_file", str(alone)])
    printed, message = capsys.readouterr()
    assert printed == ""
    assert f"{alone}: holds questions alone: there is nothing to score" in message
    assert {path.name: path.read_bytes() for path in out.iterdir()} == expected  # no scores.json of before


def test_questions_alone_are_not_trained_on(files, tmp_path):
    alone = changed(files["1.1"][1], tmp_path / "alone.json", lambda entry: entry.pop("answers"))
    for flag, use in (("--train_file", "train on"), ("--predict_file", "score a training by")):
        argv = make_argv(files, "1.1", "--do_train", "--output_dir", tmp_path / "run", flag, alone)
        with pytest.raises(InputError, match=rf"alone\.json: holds questions alone.*nothing to {use}"):
            run_squad.main(argv)
    assert not (tmp_path / "run").exists()
