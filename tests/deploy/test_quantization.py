"""deploy.export --int8: a smaller graph, with what it costs."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from common.errors import InputError, UsageError
from deploy.export import main as export
from deploy.model_loading import open_exported
from glue import run_eval
from squad.data import read_squad
from squad.official import score_v11

PASSAGE = "Ada came in 1907, and nobody knows why she left the old harbour."


def export_small(model: Path, target: Path, data: Path, *argv: str) -> None:
    export(
        ["--model_path", str(model), "--save_inference_dir", str(target), "--format", "onnx", "--int8",
         "--data_dir", str(data), *argv]
    )  # fmt: skip


def printed(text: str) -> dict[str, list[float]]:
    """Score → before and after."""
    lines = re.findall(r"^\S+ dev (\w+): ([\d.]+) before, ([\d.]+) in 8 bits$", text, re.M)
    return {name: [float(before), float(after)] for name, before, after in lines}


def test_dev_scores_before_and_after_are_those_of_run_eval(
    sst2_model: Path, sst2: Path, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export_small(sst2_model, tmp_path / "int8", sample_dir)
    result = printed(capsys.readouterr().out)
    assert list(result) == ["accuracy"]
    for folder, score in zip((sst2_model, tmp_path / "int8"), result["accuracy"], strict=True):
        run_eval.main(["--task_name", "sst-2", "--ckpt_path", str(folder), "--data_dir", str(sample_dir)])
        assert json.loads(capsys.readouterr().out)["accuracy"] == pytest.approx(score, abs=5e-5)
    text = [("a fine film",)]
    small, large = (open_exported(folder).answer(text)[0]["prob"] for folder in (tmp_path / "int8", sst2))
    assert small != large
    assert small == pytest.approx(large, abs=0.05)  # signed weights overflow without VNNI: 0.14
    assert json.loads((tmp_path / "int8" / "export.json").read_text(encoding="utf-8"))["int8"] is True


def write_questions(folder: Path) -> Path:
    answer = {"text": "Ada", "answer_start": 0}
    asked = [
        {"id": str(number), "question": f"Who came {number}?", "answers": [answer]} for number in range(3)
    ]
    data = {"version": "1.1", "data": [{"title": "", "paragraphs": [{"context": PASSAGE, "qas": asked}]}]}
    folder.mkdir()
    (folder / "dev-v1.1.json").write_text(json.dumps(data), encoding="utf-8")
    return folder


def test_of_squad_models_the_official_scores(
    squad_model_folder: Path, squad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_questions(tmp_path / "data")
    export_small(squad_model_folder, tmp_path / "int8", data)
    result = printed(capsys.readouterr().out)
    golds = read_squad(data / "dev-v1.1.json").golds
    for number, folder in enumerate((squad, tmp_path / "int8")):
        rows = [(f"Who came {name}?", PASSAGE) for name in range(3)]
        answers = {
            str(name): result["answer"] for name, result in enumerate(open_exported(folder).answer(rows))
        }
        official = score_v11(golds, answers)
        assert {name: score[number] for name, score in result.items()} == pytest.approx(official, abs=1e-4)


@pytest.mark.parametrize("kind", ["sst2_model", "squad_model_folder"])
def test_missing_dev_files_are_said_first(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match=r"data/.*no such file"):
        export_small(request.getfixturevalue(kind), tmp_path / "int8", tmp_path / "data")
    assert not (tmp_path / "int8").exists()


def test_only_onnx_graphs_are_made_smaller(sst2_model: Path, tmp_path: Path) -> None:
    common = ["--model_path", str(sst2_model), "--save_inference_dir", str(tmp_path / "a")]
    for argv in (["--int8"], ["--int8", "--format", "paddle"], ["--data_dir", "x", "--format", "onnx"]):
        with pytest.raises(UsageError):
            export([*common, *argv])


def test_a_model_with_another_toolkits_names_is_scored(
    sst2_model: Path, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.deploy.tiny_models import write_classifier

    scores = []
    theirs = write_classifier(tmp_path, "sst2", ["NEGATIVE", "POSITIVE"])
    for name, model in (("ours", sst2_model), ("theirs", theirs)):
        export_small(model, tmp_path / name, sample_dir)
        scores.append(printed(capsys.readouterr().out))
    assert scores[0] == scores[1] != {}
    assert open_exported(tmp_path / "theirs").answer([("a fine film",)])[0]["label"] in (
        "NEGATIVE",
        "POSITIVE",
    )
