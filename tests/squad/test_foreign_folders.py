"""Span models as other toolkits save them."""

import json
from pathlib import Path

import numpy as np
import pytest

from checkpoints.conversion import convert
from checkpoints.folder import open_checkpoint
from common.errors import InputError
from deploy.network_loading import open_model_folder
from encoders.framework import paddle
from scripts.tiny_model import write_model_folder
from squad import model as span_model
from squad.config import SquadTrainingConfig
from tests.deploy.tiny_models import write_span_model


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    folder = write_span_model(tmp_path / "ours", "1.1")
    (folder / "manifest.json").unlink(missing_ok=True)
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kept = {key: value for key, value in values.items() if not key.startswith("qa_")}
    (folder / "config.json").write_text(json.dumps(kept), encoding="utf-8")
    return folder


def answers(folder: Path) -> list[np.ndarray]:
    model = span_model.load(open_checkpoint(folder))
    ids = paddle.to_tensor(np.arange(5, 25).reshape(2, 10))
    with paddle.no_grad():
        return [part.numpy() for part in model(ids, paddle.zeros_like(ids), None)]


def test_paddlenlp_calls_the_span_head_a_classifier(ours: Path, tmp_path: Path) -> None:
    convert(ours, tmp_path / "theirs", "paddlenlp")
    assert not (tmp_path / "theirs" / "model.safetensors").exists()
    for actual, wanted in zip(answers(tmp_path / "theirs"), answers(ours), strict=True):
        np.testing.assert_array_equal(actual, wanted)


def test_and_it_begins_a_run(ours: Path, tmp_path: Path) -> None:
    convert(ours, tmp_path / "theirs", "paddlenlp")
    checkpoint = open_checkpoint(tmp_path / "theirs")
    model, notes = span_model.prepare(
        checkpoint, checkpoint.config, SquadTrainingConfig(qa_head="linear"), False
    )
    assert notes == []
    wanted = span_model.load(open_checkpoint(ours)).span_head.projection.weight.numpy()
    np.testing.assert_array_equal(model.span_head.projection.weight.numpy(), wanted)


def test_a_span_head_is_no_sentence_classifier(ours: Path, tmp_path: Path) -> None:
    """Both toolkits' are opened as what they are."""
    convert(ours, tmp_path / "theirs", "paddlenlp")
    write_model_folder(tmp_path / "vocabulary")
    for name in ("vocab.txt", "tokenizer_config.json"):
        (tmp_path / "theirs" / name).write_bytes((tmp_path / "vocabulary" / name).read_bytes())
    assert open_model_folder(ours).kind == open_model_folder(tmp_path / "theirs").kind == "question"


def test_a_joint_head_that_is_cut_off(tmp_path: Path) -> None:
    folder = write_span_model(tmp_path / "joint", "2.0", head="joint")
    (folder / "manifest.json").unlink(missing_ok=True)
    path = folder / "config.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"joint"', '"linear"'), encoding="utf-8")
    with pytest.raises(InputError, match=r"qa_outputs\.weight is missing"):
        span_model.load(open_checkpoint(folder))
