"""Every head, and the encoder alone: written by one writer, read back, converted there and back."""

import json
from pathlib import Path

import numpy as np
import pytest

from checkpoints.conversion import convert
from checkpoints.folder import open_checkpoint, read_config, save_checkpoint
from checkpoints.mapping import FAMILIES
from checkpoints.network import arrays_of
from encoders.encoder import Encoder
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.span_heads import JointSpanHead, LinearSpanHead, SpanModel
from encoders.tokenizer import Tokenizer
from squad import model as span_model
from squad.config import SquadTrainingConfig
from tests.checkpoints.golden_folders import GOLDEN, NAMES

# Of each model type a golden model; XLM-RoBERTa's network is RoBERTa's.
TYPES = {read_config(GOLDEN / name).model_type: name for name in reversed(NAMES)}
TYPES["xlm-roberta"] = TYPES["roberta"]
TOKENIZER = Tokenizer(GOLDEN / "tokenizer")


def write_span_model(folder: Path, name: str, head: str) -> SpanModel:
    config = span_model.config_for(read_config(GOLDEN / name), "2.0", 32)
    model = span_model.new_model(config, head)
    folder.mkdir()
    span_model.write(folder, config, model, SquadTrainingConfig(qa_head=head), TOKENIZER)
    return model


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_class_is_that_of_the_head(model_type: str, tmp_path: Path) -> None:
    config = read_config(GOLDEN / TYPES[model_type], model_type=model_type)
    prefix = FAMILIES[model_type].class_prefix
    sentence = arrays_of(SentenceClassifier(config))
    spans = arrays_of(SpanModel(config, LinearSpanHead(config)))
    encoder = arrays_of(Encoder(config), prefix="encoder.")
    for arrays, wanted in (
        (sentence, f"{prefix}ForSequenceClassification"),
        (spans, f"{prefix}ForQuestionAnswering"),
        (encoder, f"{prefix}Model"),
    ):
        save_checkpoint(tmp_path / "model", config, arrays, TOKENIZER)
        values = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
        assert values["architectures"] == [wanted]
        assert ("id2label" in values) == (arrays is not encoder)
        assert ("finetuning_task" in values) == (arrays is not encoder)


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize("head", ["linear", "joint"])
def test_a_span_head_is_read_as_it_was_written(model_type: str, head: str, tmp_path: Path) -> None:
    model = write_span_model(tmp_path / "model", TYPES[model_type], head)
    again = span_model.load(open_checkpoint(tmp_path / "model"))
    assert isinstance(again.span_head, JointSpanHead if head == "joint" else LinearSpanHead)
    for name, array in arrays_of(model).items():
        np.testing.assert_array_equal(arrays_of(again)[name], array)


@pytest.mark.parametrize("model_type", [name for name, row in FAMILIES.items() if row.has_paddlenlp])
@pytest.mark.parametrize("head", ["linear", "joint"])
def test_a_span_head_is_converted_there_and_back(model_type: str, head: str, tmp_path: Path) -> None:
    model = write_span_model(tmp_path / "ours", TYPES[model_type], head)
    convert(tmp_path / "ours", tmp_path / "theirs", "paddlenlp")
    convert(tmp_path / "theirs", tmp_path / "back", "huggingface")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("ours", "back")]
    assert weights[0] == weights[1]
    ids = paddle.to_tensor(np.arange(5, 25).reshape(2, 10))
    model.eval()
    again = span_model.load(open_checkpoint(tmp_path / "theirs"))
    for ours, theirs in zip(*(part(ids, paddle.zeros_like(ids)) for part in (model, again)), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
