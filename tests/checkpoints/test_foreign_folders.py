"""Folders of PaddleNLP and PyTorch: the answers that their makers gave."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from checkpoints.conversion import convert
from checkpoints.family_names import FAMILIES
from checkpoints.folder import digest_of, read_config
from checkpoints.network import fill, load_classifier
from checkpoints.weight_files import has_weights, open_weights
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from tests.checkpoints.golden_folders import GOLDEN, check_error, read

PADDLENLP = GOLDEN / "paddlenlp"  # written by PaddleNLP 2.8.1, with what it answered
FOREIGN = sorted(path.parent.name for path in PADDLENLP.glob("*/config.json"))


def golden_answers(name: str) -> dict[str, np.ndarray]:
    with np.load(PADDLENLP / name / "outputs.npz") as file:
        return {key: file[key] for key in file.files}


@pytest.mark.parametrize("name", FOREIGN)
def test_hidden_states_are_those_of_paddlenlp(name: str) -> None:
    """Unpadded rows. ConvBERT's classifier is left out: PaddleNLP's goes through a pooler of its own."""
    config, answers = read_config(PADDLENLP / name), golden_answers(name)
    model = SentenceClassifier(config)
    checkpoint = read(PADDLENLP / name, head="optional")
    fill(model, checkpoint)
    model.eval()
    inputs = [paddle.to_tensor(answers[key]) for key in ("input_ids", "token_type_ids")]
    np.testing.assert_allclose(
        model.encoder(*inputs).numpy(), answers["last_hidden_state"], rtol=0, atol=1e-5
    )
    assert checkpoint.new_head == []
    pooler = ["convbert.pooler.dense.bias", "convbert.pooler.dense.weight"]
    assert checkpoint.unused == (pooler if config.is_conv else [])


@pytest.mark.parametrize("name", [name for name in FOREIGN if not name.startswith("convbert")])
def test_answers_are_those_of_paddlenlp(name: str) -> None:
    answers = golden_answers(name)
    inputs = [paddle.to_tensor(answers[key]) for key in ("input_ids", "token_type_ids")]
    model = load_classifier(PADDLENLP / name)
    np.testing.assert_allclose(model(*inputs).numpy(), answers["logits"], rtol=0, atol=1e-5)
    assert list(model.config.id2label.values()) == ["LABEL_0", "LABEL_1", "LABEL_2"]


def test_a_pooler_that_would_change_the_answer_is_an_error() -> None:
    folder = PADDLENLP / "convbert"
    check_error(
        lambda: read(folder),
        folder / "model_state.pdparams",
        "does not fit config.json",
        "convbert.pooler.dense.weight is unexpected",
    )


CLASSES = {model_type: family.class_prefix for model_type, family in FAMILIES.items()}


def old_style(name: str, folder: Path, rest: list[Any], **outer: Any) -> Path:
    """The folder as PaddleNLP 2.0 writes it: model_config.json, the task's class around the encoder's."""
    values = json.loads((PADDLENLP / name / "config.json").read_text(encoding="utf-8"))
    family = CLASSES[values["model_type"]]
    left_out = {"architectures", "id2label", "label2id", "model_type", "paddlenlp_version", "layer_norm_eps"}
    inner = {key: value for key, value in values.items() if key not in left_out}
    config = {"init_args": [{**inner, "init_class": f"{family}Model"}, *rest], **outer}
    config["init_class"] = f"{family}ForSequenceClassification"
    shutil.copytree(PADDLENLP / name, folder)
    (folder / "config.json").unlink()
    (folder / "model_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("positional", [True, False])
def test_configurations_of_paddlenlp_2_0(tmp_path: Path, name: str, positional: bool) -> None:
    rest, outer = ([3, 0.3], {}) if positional else ([], {"num_classes": 3, "dropout": 0.3})
    config = read_config(old_style(name, tmp_path / "old", rest, **outer))
    wanted = read_config(PADDLENLP / name)
    assert config.classifier_dropout == 0.3
    for key in ("model_type", "hidden_size", "embedding_size", "num_groups", "id2label", "use_task_id"):
        assert getattr(config, key) == getattr(wanted, key)
    assert config.layer_norm_eps == (1e-7 if name.startswith("deberta") else 1e-12)
    assert set(read(tmp_path / "old", head="optional").arrays) == set(
        read(PADDLENLP / name, head="optional").arrays
    )


def test_an_old_configuration_of_a_bare_encoder(tmp_path: Path) -> None:
    values = json.loads((PADDLENLP / "bert" / "config.json").read_text(encoding="utf-8"))
    for key in ("architectures", "id2label", "label2id", "model_type"):
        del values[key]
    (tmp_path / "model_config.json").write_text(
        json.dumps({**values, "init_class": "BertModel"}), encoding="utf-8"
    )
    config = read_config(tmp_path)
    assert (config.model_type, config.id2label, config.hidden_size) == ("bert", {}, 16)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ('{"init_class": "MPNetModel"}', "no model_type; expected one of"),
        ('{"init_args": [1, 2], "init_class": "ErnieMModel"}', "no model_type; expected one of"),
        ('{"init_args": {}, "init_class": "BertModel", "hidden_size": -1}', "hidden_size must be"),
        ('{"init_class": ["BertModel"]}', "no model_type"),
    ],
)
def test_old_configurations_that_say_nothing(tmp_path: Path, content: str, fragment: str) -> None:
    (tmp_path / "model_config.json").write_text(content, encoding="utf-8")
    check_error(lambda: read_config(tmp_path), tmp_path / "model_config.json", fragment)


def test_pytorch_model_bin(tmp_path: Path) -> None:
    """As PyTorch 2.13.0 saved the golden model's state dict, with a buffer of older transformers."""
    shutil.copy(GOLDEN / "electra" / "config.json", tmp_path)
    shutil.copy(GOLDEN / "torch" / "electra.bin", tmp_path / "pytorch_model.bin")
    actual, wanted = read(tmp_path), read(GOLDEN / "electra")
    assert actual.unused == ["electra.embeddings.position_ids"]
    assert actual.arrays.keys() == wanted.arrays.keys()
    for key, array in wanted.arrays.items():
        np.testing.assert_array_equal(actual.arrays[key], array)
    convert(tmp_path, tmp_path / "new", "huggingface")
    assert (tmp_path / "new" / "model.safetensors").read_bytes() == (
        GOLDEN / "electra" / "model.safetensors"
    ).read_bytes()


def test_paddlenlp_names_in_safetensors(tmp_path: Path) -> None:
    """As PaddleNLP's save_pretrained(safe_serialization=True) has them."""
    shutil.copy(PADDLENLP / "bert" / "config.json", tmp_path)
    tensors = {key: tensor.load() for key, tensor in open_weights(PADDLENLP / "bert")[1].items()}
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "np"})
    actual, wanted = read(tmp_path).arrays, read(PADDLENLP / "bert").arrays
    assert actual.keys() == wanted.keys()
    for key, array in wanted.items():
        np.testing.assert_array_equal(actual[key], array)


def test_a_folder_without_any_weights(tmp_path: Path) -> None:
    shutil.copy(PADDLENLP / "bert" / "config.json", tmp_path)
    config = read_config(tmp_path)
    assert not has_weights(tmp_path)
    names = "model.safetensors, pytorch_model.bin, model_state.pdparams"
    check_error(lambda: read(tmp_path, config), tmp_path / "model.safetensors", "no such file", names)


def test_the_digest_is_of_the_weights_that_are_there(tmp_path: Path) -> None:
    shutil.copytree(PADDLENLP / "bert", tmp_path / "a")
    (tmp_path / "a" / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
    digest = digest_of(tmp_path / "a")
    with open(tmp_path / "a" / "model_state.pdparams", "ab") as file:
        file.write(b"\0")
    assert digest_of(tmp_path / "a") != digest
