"""Questions on passages of any length."""

import json
from pathlib import Path

import numpy as np
import pytest

from deploy.export import main as export
from deploy.infer import main as infer
from deploy.model import Model
from deploy.model_loading import open_exported
from deploy.network_loading import open_model_folder
from encoders.batching import pack, pad
from encoders.tokenizer import Tokenizer
from squad import windows
from squad.data import Dataset
from squad.windows import Windows
from tests.deploy.tiny_models import write_span_model

PASSAGE = "The old harbour lies in the north. " * 12 + "Ada Löwe painted it in 1907, and nobody knows why."


@pytest.fixture(scope="module")
def model(squad: Path) -> Model:
    return open_exported(squad)


@pytest.mark.parametrize("passage", ["Ada came.", PASSAGE, "a", PASSAGE * 5])
def test_an_answer_is_a_slice_of_the_passage(model: Model, passage: str) -> None:
    result = model.answer([("Who came?", passage)])[0]
    assert result["answer"]
    assert passage[result["start"] : result["end"]] == result["answer"]
    assert 0 < result["prob"] <= 1


def test_questions_together_are_answered_as_alone(model: Model) -> None:
    rows = [("Who painted it?", PASSAGE), ("Why?", "Nobody knows why it fell."), ("Where?", PASSAGE)]
    together = model.answer(rows, batch_size=3)
    for row, result in zip(rows, together, strict=True):
        alone = model.answer([row])[0]
        assert (result["answer"], result["start"]) == (alone["answer"], alone["start"])
        assert result["prob"] == pytest.approx(alone["prob"], abs=1e-5)


def test_the_export_answers_as_the_model_folder(model: Model, squad_model_folder: Path) -> None:
    rows = [("Who painted it?", PASSAGE), ("Why?", "Nobody knows why it fell.")]
    for result, wanted in zip(
        model.answer(rows), open_model_folder(squad_model_folder).answer(rows), strict=True
    ):
        assert result["answer"] == wanted["answer"]
        assert result["prob"] == pytest.approx(wanted["prob"], abs=1e-5)
    assert model.digest == open_model_folder(squad_model_folder).digest


def test_windows_are_cut_as_the_model_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the model folder and in what is exported from it, questions and steps are as training had them."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folder = write_span_model(tmp_path, "1.1", doc_stride=7, max_query_length=5)
    export(["--model_path", str(folder), "--save_inference_dir", str(tmp_path / "out"), "--format", "onnx"])
    cut: list[tuple[int, ...]] = []

    def make_windows(data: Dataset, tokenizer: Tokenizer, *numbers: int) -> Windows:
        cut.append(numbers)
        return windows.make_windows(data, tokenizer, *numbers)

    monkeypatch.setattr("deploy.question_answering.make_windows", make_windows)
    row = ("Who painted it, and why?", PASSAGE)
    result, wanted = (
        opened.answer([row])[0] for opened in (open_exported(tmp_path / "out"), open_model_folder(folder))
    )
    assert cut == [(40, 7, 5), (40, 7, 5)]
    assert result["answer"] == wanted["answer"]


def test_the_command_answers(squad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    infer(["--model_dir", str(squad), "--question", "Who?", "--context", "Ada came, and left.", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["answer"] in "Ada came, and left."


def test_an_unanswerable_question_has_no_answer(tmp_path: Path) -> None:
    """With the threshold below every odds nothing is the answer; above, the best span is."""
    model = open_model_folder(write_span_model(tmp_path, "2.0"))
    row = ("Who?", "Ada came, and left.")
    odds = model.answer([row])[0]["null_odds"]
    for threshold, empty in ((odds - 1, True), (odds + 1, False)):
        model.rules = type(model.rules)(nullable=True, threshold=threshold)  # type: ignore[attr-defined]
        result = model.answer([row])[0]
        assert (result["answer"] == "") == empty
        assert (result["start"] < 0) == empty


@pytest.mark.parametrize(
    "passage", ["Ada came in the old year, and left.", "Nobody came.", "The old boat left at 7, I hear."]
)
def test_the_answer_is_the_span_of_the_highest_logits(model: Model, passage: str) -> None:
    """By trying out every span of a passage that fits into one window."""
    question = "Who came?"
    question_tokens, tokens = (model.tokenizer.encode_with_offsets([text])[0] for text in (question, passage))
    ids, first = model.tokenizer.encode([(question, passage)], model.max_length)[0]
    assert len(ids) == len(question_tokens[0]) + len(tokens[0]) + 3
    outputs = model.engine(pad(pack([(ids, first)]), np.array([0])))
    start, end = outputs["start"][0][first:-1], outputs["end"][0][first:-1]
    spans = [(low, high) for low in range(len(start)) for high in range(low, min(low + 30, len(start)))]
    low, high = max(spans, key=lambda span: start[span[0]] + end[span[1]])
    result = model.answer([(question, passage)])[0]
    assert (result["start"], result["end"]) == (tokens[1][low][0], tokens[1][high][1])


def test_the_joint_head_answers_as_in_the_model_folder(joint: Path, joint_model_folder: Path) -> None:
    """Passages shorter than the beam too."""
    exported, model = open_exported(joint), open_model_folder(joint_model_folder)
    for row in (("Who painted it?", PASSAGE), ("Why?", "Nobody knows."), ("Why?", "a")):
        result, wanted = (one.answer([row])[0] for one in (exported, model))
        assert (result["answer"], result["start"]) == (wanted["answer"], wanted["start"])
        assert result["null_odds"] == pytest.approx(wanted["null_odds"], abs=1e-5)
        assert result["prob"] == pytest.approx(wanted["prob"], abs=1e-5)
