"""Folders of PaddleNLP and PyTorch: the answers that their makers gave, and conversion both ways."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from checkpoints.convert import convert, main
from checkpoints.folder import digest_of, has_weights, read_config
from checkpoints.network import fill, load_classifier
from checkpoints.weights import open_weights
from convbert.framework import paddle
from convbert.heads import SentenceClassifier
from tests.checkpoints.golden_folders import GOLDEN, NAMES, fault, read, theirs_of

PADDLENLP = GOLDEN / "paddlenlp"  # written by PaddleNLP 2.8.1, with what it answered
FOREIGN = sorted(path.parent.name for path in PADDLENLP.glob("*/config.json"))


def golden_answers(name: str) -> dict[str, np.ndarray]:
    with np.load(PADDLENLP / name / "outputs.npz") as file:
        return {key: file[key] for key in file.files}


def bytes_of(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Every tensor of a folder's weights as it lies there."""
    _, stored = open_weights(folder)
    return {key: (tensor.kind, tensor.shape, tensor.load().tobytes()) for key, tensor in stored.items()}


# --- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOREIGN)
def test_hidden_states_are_those_of_paddlenlp(name: str) -> None:
    """Unpadded rows. ConvBERT's classifier is left out: PaddleNLP's goes through a pooler of its own."""
    config, answers = read_config(PADDLENLP / name), golden_answers(name)
    model = SentenceClassifier(config)
    checkpoint = read(PADDLENLP / name, may_lack_head=True)
    fill(model, checkpoint)
    model.eval()
    inputs = [paddle.to_tensor(answers[key]) for key in ("input_ids", "token_type_ids")]
    np.testing.assert_allclose(
        model.encoder(*inputs).numpy(), answers["last_hidden_state"], rtol=0, atol=1e-5
    )
    assert checkpoint.new_head == []
    pooler = ["convbert.pooler.dense.bias", "convbert.pooler.dense.weight"]
    assert checkpoint.left_aside == (pooler if config.is_conv else [])


@pytest.mark.parametrize("name", ["bert", "electra", "ernie"])
def test_answers_are_those_of_paddlenlp(name: str) -> None:
    answers = golden_answers(name)
    inputs = [paddle.to_tensor(answers[key]) for key in ("input_ids", "token_type_ids")]
    model = load_classifier(PADDLENLP / name)
    np.testing.assert_allclose(model(*inputs).numpy(), answers["logits"], rtol=0, atol=1e-5)
    assert list(model.config.id2label.values()) == ["LABEL_0", "LABEL_1", "LABEL_2"]


def test_a_pooler_that_would_change_the_answer_is_an_error() -> None:
    folder = PADDLENLP / "convbert"
    message = fault(lambda: read(folder))
    assert message.startswith(f"{folder / 'model_state.pdparams'}: does not fit config.json: ")
    assert "convbert.pooler.dense.weight is unexpected" in message


CLASSES = {"convbert": "ConvBert", "electra": "Electra", "bert": "Bert", "ernie": "Ernie"}


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
    (folder / "model_config.json").write_text(json.dumps(config))
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
    assert config.layer_norm_eps == 1e-12
    assert set(read(tmp_path / "old", may_lack_head=True).arrays) == set(
        read(PADDLENLP / name, may_lack_head=True).arrays
    )


def test_an_old_configuration_of_a_bare_encoder(tmp_path: Path) -> None:
    values = json.loads((PADDLENLP / "bert" / "config.json").read_text(encoding="utf-8"))
    for key in ("architectures", "id2label", "label2id", "model_type"):
        del values[key]
    (tmp_path / "model_config.json").write_text(json.dumps({**values, "init_class": "BertModel"}))
    config = read_config(tmp_path)
    assert (config.model_type, config.id2label, config.hidden_size) == ("bert", {}, 16)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"init_class": "RobertaModel"}', "no model_type; expected one of"),
        ('{"init_args": [1, 2], "init_class": "ErnieMModel"}', "no model_type; expected one of"),
        ('{"init_args": {}, "init_class": "BertModel", "hidden_size": -1}', "hidden_size must be"),
        ('{"init_class": ["BertModel"]}', "no model_type"),
    ],
)
def test_old_configurations_that_say_nothing(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "model_config.json").write_text(content)
    assert fault(lambda: read_config(tmp_path)).startswith(f"{tmp_path / 'model_config.json'}: {said}")


def test_pytorch_model_bin(tmp_path: Path) -> None:
    """As PyTorch 2.13.0 saved the golden model's state dict, with a buffer of older transformers."""
    shutil.copy(GOLDEN / "electra" / "config.json", tmp_path)
    shutil.copy(GOLDEN / "torch" / "electra.bin", tmp_path / "pytorch_model.bin")
    found, wanted = read(tmp_path), read(GOLDEN / "electra")
    assert found.left_aside == ["electra.embeddings.position_ids"]
    assert found.arrays.keys() == wanted.arrays.keys()
    for key, array in wanted.arrays.items():
        np.testing.assert_array_equal(found.arrays[key], array)
    convert(tmp_path, tmp_path / "new", "huggingface")
    assert (tmp_path / "new" / "model.safetensors").read_bytes() == (
        GOLDEN / "electra" / "model.safetensors"
    ).read_bytes()


def test_paddlenlp_names_in_safetensors(tmp_path: Path) -> None:
    """As PaddleNLP's save_pretrained(safe_serialization=True) has them."""
    shutil.copy(PADDLENLP / "bert" / "config.json", tmp_path)
    tensors = {key: tensor.load() for key, tensor in open_weights(PADDLENLP / "bert")[1].items()}
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "np"})
    found, wanted = read(tmp_path).arrays, read(PADDLENLP / "bert").arrays
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        np.testing.assert_array_equal(found[key], array)


def test_a_folder_without_any_weights(tmp_path: Path) -> None:
    shutil.copy(PADDLENLP / "bert" / "config.json", tmp_path)
    config = read_config(tmp_path)
    assert not has_weights(tmp_path)
    assert fault(lambda: read(tmp_path, config)) == (
        f"{tmp_path / 'model.safetensors'}: no such file; weights are read from model.safetensors, "
        "pytorch_model.bin, model_state.pdparams"
    )


def test_the_digest_is_of_the_weights_that_are_there(tmp_path: Path) -> None:
    shutil.copytree(PADDLENLP / "bert", tmp_path / "a")
    (tmp_path / "a" / "vocab.txt").write_text("[PAD]\n")
    digest = digest_of(tmp_path / "a")
    with open(tmp_path / "a" / "model_state.pdparams", "ab") as file:
        file.write(b"\0")
    assert digest_of(tmp_path / "a") != digest


# --- conversion ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back_from_hugging_face_gives_the_same_file(name: str, tmp_path: Path) -> None:
    convert(GOLDEN / name, tmp_path / "there", "paddlenlp")
    convert(tmp_path / "there", tmp_path / "back", "huggingface")
    back = (tmp_path / "back" / "model.safetensors").read_bytes()
    assert back == (GOLDEN / name / "model.safetensors").read_bytes()
    assert read_config(tmp_path / "back") == read_config(tmp_path / "there") == read_config(GOLDEN / name)
    for key, array in read(tmp_path / "there").arrays.items():
        np.testing.assert_array_equal(array, read(GOLDEN / name).arrays[key])


@pytest.mark.parametrize("name", FOREIGN)
def test_there_and_back_from_paddlenlp_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    notes = convert(PADDLENLP / name, tmp_path / "there", "huggingface")
    convert(tmp_path / "there", tmp_path / "back", "paddlenlp")
    assert bytes_of(tmp_path / "back") == bytes_of(PADDLENLP / name)
    assert ("convbert.pooler goes along" in " ".join(notes)) == name.startswith("convbert")
    # Once written here, the file too is the same from then on.
    convert(tmp_path / "back", tmp_path / "there2", "huggingface")
    convert(tmp_path / "there2", tmp_path / "back2", "paddlenlp")
    for file in ("back", "back2"):
        assert (tmp_path / file / "config.json").is_file()
    assert (tmp_path / "back" / "model_state.pdparams").read_bytes() == (
        tmp_path / "back2" / "model_state.pdparams"
    ).read_bytes()


@pytest.mark.parametrize("name", FOREIGN)
def test_paddlenlp_names_are_those_of_its_files(name: str, tmp_path: Path) -> None:
    """What is written for PaddleNLP has exactly the names and shapes that it wrote itself."""
    wanted = {key: shape for key, (_, shape, _) in bytes_of(PADDLENLP / name).items()}
    convert(PADDLENLP / name, tmp_path / "there", "huggingface")
    convert(tmp_path / "there", tmp_path / "back", "paddlenlp")
    assert {key: shape for key, (_, shape, _) in bytes_of(tmp_path / "back").items()} == wanted


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_nothing_is_rounded(tmp_path: Path, dtype: str) -> None:
    source = tmp_path / "source"
    shutil.copytree(GOLDEN / "electra", source)
    tensors = {key: array.astype(dtype) for key, array in theirs_of(GOLDEN / "electra").items()}
    safetensors.numpy.save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    convert(source, tmp_path / "there", "paddlenlp")
    convert(tmp_path / "there", tmp_path / "back", "huggingface")
    assert bytes_of(tmp_path / "back") == bytes_of(source)


@pytest.mark.parametrize("layout", ["huggingface", "paddlenlp"])
def test_float16_is_half_the_size_and_read_as_float32(tmp_path: Path, layout: str) -> None:
    convert(GOLDEN / "convbert_small", tmp_path / "half", layout, "float16")
    whole, half = read(GOLDEN / "convbert_small").arrays, read(tmp_path / "half").arrays
    assert half.keys() == whole.keys()
    for name, array in whole.items():  # rounded by NumPy, to the nearest
        assert half[name].dtype == np.float32
        np.testing.assert_array_equal(half[name], array.astype(np.float16))
    stored = open_weights(tmp_path / "half")[1]
    assert {tensor.kind for tensor in stored.values()} == {"F16"}
    if layout == "huggingface":  # as the library reads it
        theirs = theirs_of(GOLDEN / "convbert_small")
        for name, array in theirs_of(tmp_path / "half").items():
            assert array.tobytes() == theirs[name].astype(np.float16).tobytes()


def test_float16_cannot_hold_everything(tmp_path: Path) -> None:
    bias = np.full(60, 65504, np.float32)
    source = with_extra(tmp_path / "source", "bert", {"cls.predictions.bias": bias}, bare=False)
    convert(source, tmp_path / "fits", "huggingface", "float16")
    bias[3] = -1e5
    source = with_extra(tmp_path / "beyond", "bert", {"cls.predictions.bias": bias}, bare=False)
    said = fault(lambda: convert(source, tmp_path / "x", "huggingface", "float16"))
    assert said == (
        f"{source / 'model.safetensors'}: cls.predictions.bias holds 100000, beyond float16's 65504; "
        "leave out --dtype"
    )
    assert not (tmp_path / "x").exists()


def with_extra(folder: Path, name: str, extra: dict[str, np.ndarray], bare: bool, **settings: Any) -> Path:
    """A golden folder with more tensors, without its classifier, and bare without the prefix."""
    shutil.copytree(GOLDEN / name, folder)
    base = name.split("_")[0]
    tensors = {key: array for key, array in theirs_of(folder).items() if not key.startswith("classifier")}
    if bare:
        tensors = {key.removeprefix(f"{base}."): array for key, array in tensors.items()}
    safetensors.numpy.save_file({**tensors, **extra}, folder / "model.safetensors", metadata={"format": "pt"})
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**values, **settings}))
    return folder


def numbers(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


# Names and shapes of the heads in transformers 5.23.0 and PaddleNLP 2.8.1.
PRETRAINING: dict[str, tuple[str, str, list[tuple[str, tuple[int, ...], str, tuple[int, ...]]]]] = {
    "convbert_small": ("ConvBertForMaskedLM", "ConvBertGenerator", [
        ("generator_predictions.LayerNorm.weight", (16,), "generator_predictions.layer_norm.weight", (16,)),
        ("generator_predictions.dense.weight", (16, 32), "generator_predictions.dense.weight", (32, 16)),
        ("generator_lm_head.bias", (60,), "generator_lm_head_bias", (60,)),
    ]),
    "electra": ("ElectraForPreTraining", "ElectraDiscriminator", [
        ("discriminator_predictions.dense_prediction.weight", (1, 32),
         "discriminator_predictions.dense_prediction.weight", (32, 1)),
    ]),
    "bert": ("BertForPreTraining", "BertForPretraining", [
        ("cls.predictions.bias", (60,), "cls.predictions.decoder_bias", (60,)),
        ("cls.predictions.decoder.weight", (60, 32), "cls.predictions.decoder.weight", (60, 32)),
        ("cls.predictions.transform.dense.weight", (32, 32), "cls.predictions.transform.weight", (32, 32)),
        ("cls.predictions.transform.LayerNorm.bias", (32,), "cls.predictions.layer_norm.bias", (32,)),
        ("cls.seq_relationship.weight", (2, 32), "cls.seq_relationship.weight", (32, 2)),
    ]),
    "ernie": ("ErnieForQuestionAnswering", "ErnieForQuestionAnswering", [
        ("qa_outputs.weight", (2, 32), "classifier.weight", (32, 2)),
        ("qa_outputs.bias", (2,), "classifier.bias", (2,)),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", PRETRAINING)
def test_other_heads_go_along(tmp_path: Path, name: str) -> None:
    here, there, rows = PRETRAINING[name]
    extra = {key: numbers(*shape) for key, shape, _, _ in rows}
    source = with_extra(tmp_path / "source", name, extra, bare=False, architectures=[here], id2label=None)
    convert(source, tmp_path / "there", "paddlenlp")
    found = open_weights(tmp_path / "there")[1]
    for key, shape, theirs, their_shape in rows:
        wanted = numbers(*shape) if shape == their_shape and "transform" not in key else numbers(*shape).T
        assert found[theirs].shape == their_shape
        np.testing.assert_array_equal(found[theirs].load(), wanted)
    config = json.loads((tmp_path / "there" / "config.json").read_text())
    assert config["architectures"] == [there]
    assert "id2label" not in config
    convert(tmp_path / "there", tmp_path / "back", "huggingface")
    assert bytes_of(tmp_path / "back") == bytes_of(source)
    assert json.loads((tmp_path / "back" / "config.json").read_text())["architectures"] == [here]


@pytest.mark.parametrize("name", ["convbert_small", "bert"])
def test_a_bare_encoder_stays_bare(tmp_path: Path, name: str) -> None:
    position_ids = {"embeddings.position_ids": np.arange(40)[None]}
    source = with_extra(tmp_path / "source", name, position_ids, bare=True)
    notes = convert(source, tmp_path / "there", "paddlenlp")
    assert notes == ["left out, made anew from the sizes: embeddings.position_ids"]
    assert "embeddings.layer_norm.weight" in open_weights(tmp_path / "there")[1]
    convert(tmp_path / "there", tmp_path / "back", "huggingface")
    wanted, found = theirs_of(source), theirs_of(tmp_path / "back")
    del wanted["embeddings.position_ids"]
    assert {key: array.tobytes() for key, array in found.items()} == {
        key: array.tobytes() for key, array in wanted.items()
    }


def test_to_its_own_layout_changes_the_container_alone(tmp_path: Path) -> None:
    convert(GOLDEN / "bert", tmp_path / "same", "huggingface")
    assert bytes_of(tmp_path / "same") == bytes_of(GOLDEN / "bert")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    shutil.copytree(PADDLENLP / "convbert", source)
    (source / "vocab.txt").write_bytes(b"[PAD]\r\n")
    main([str(source), str(tmp_path / "there"), "--to", "huggingface", "--dtype", "float16"])
    assert {tensor.kind for tensor in open_weights(tmp_path / "there")[1].values()} == {"F16"}
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'there'}\n"
    assert err.startswith("note: convbert.pooler goes along")
    assert (tmp_path / "there" / "vocab.txt").read_bytes() == b"[PAD]\r\n"


def test_faults_leave_nothing_behind(tmp_path: Path) -> None:
    odd = with_extra(tmp_path / "odd", "bert", {"adapter.weight": numbers(3)}, bare=False)
    assert fault(lambda: convert(odd, tmp_path / "x", "paddlenlp")) == (
        f"{odd / 'model.safetensors'}: nothing on the other side is called adapter.weight"
    )
    whole = {"cls.predictions.bias": np.arange(60)}
    odd = with_extra(tmp_path / "odd2", "bert", whole, bare=False)
    assert "called cls.predictions.bias (stored as I64)" in fault(
        lambda: convert(odd, tmp_path / "x", "paddlenlp")
    )
    message = fault(lambda: convert(GOLDEN / "bert", odd, "paddlenlp"))
    assert message == f"{odd}: is not empty; name a new folder"
    (tmp_path / "file").touch()
    message = fault(lambda: convert(GOLDEN / "bert", tmp_path / "file", "paddlenlp"))
    assert message == f"{tmp_path / 'file'}: is a file; name a new folder"
    assert not (tmp_path / "x").exists()
