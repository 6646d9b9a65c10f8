"""Conversion of model folders, both ways: nothing is lost, nothing rounded, nothing left behind."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from checkpoints.conversion import convert
from checkpoints.convert import main
from checkpoints.folder import read_config
from checkpoints.mapping import FAMILIES
from checkpoints.weight_files import open_weights
from encoders.tokenizer import SPECIALS
from tests.checkpoints.golden_folders import GOLDEN, NAMES, check_error, error_of, read, theirs_of

PADDLENLP = GOLDEN / "paddlenlp"  # written by PaddleNLP 2.8.1, with what it answered
FOREIGN = sorted(path.parent.name for path in PADDLENLP.glob("*/config.json"))


def bytes_of(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Every tensor of a folder's weights as it lies there."""
    stored = open_weights(folder).tensors
    return {key: (tensor.kind, tensor.shape, tensor.load().tobytes()) for key, tensor in stored.items()}


KNOWN = [name for name in NAMES if FAMILIES[read_config(GOLDEN / name).model_type].has_paddlenlp]


@pytest.mark.parametrize("name", sorted({*NAMES} - {*KNOWN}))
def test_a_family_that_paddlenlp_does_not_have_is_refused(name: str, tmp_path: Path) -> None:
    message = error_of(lambda: convert(GOLDEN / name, tmp_path / "there", "paddlenlp"))
    assert f"PaddleNLP has no {read_config(GOLDEN / name).model_type}; name another model" in message
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("name", KNOWN)
def test_there_and_back_from_hugging_face_gives_the_same_file(name: str, tmp_path: Path) -> None:
    convert(GOLDEN / name, tmp_path / "there", "paddlenlp")
    convert(tmp_path / "there", tmp_path / "back", "huggingface")
    back = (tmp_path / "back" / "model.safetensors").read_bytes()
    assert back == (GOLDEN / name / "model.safetensors").read_bytes()
    assert read_config(tmp_path / "back") == read_config(tmp_path / "there") == read_config(GOLDEN / name)
    source = read(GOLDEN / name).arrays
    for key, array in read(tmp_path / "there").arrays.items():
        np.testing.assert_array_equal(array, source[key])


@pytest.mark.parametrize("name", FOREIGN)
def test_there_and_back_from_paddlenlp_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    notes = convert(PADDLENLP / name, tmp_path / "there", "huggingface")
    convert(tmp_path / "there", tmp_path / "back", "paddlenlp")
    assert bytes_of(tmp_path / "back") == bytes_of(PADDLENLP / name)
    assert ("convbert.pooler is kept" in " ".join(notes)) == name.startswith("convbert")
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


def test_settings_are_called_as_paddlenlp_calls_them(tmp_path: Path) -> None:
    """Its DistilBERT has BERT's names, and would take transformers' ``dropout`` for the head's."""
    convert(GOLDEN / "distilbert", tmp_path / "there", "paddlenlp")
    settings = json.loads((tmp_path / "there" / "config.json").read_text(encoding="utf-8"))
    config = read_config(GOLDEN / "distilbert")
    for name in (
        "hidden_size",
        "num_attention_heads",
        "hidden_dropout_prob",
        "hidden_act",
        "classifier_dropout",
    ):
        assert settings[name] == getattr(config, name)
    assert not {"dim", "n_heads", "dropout", "activation", "seq_classif_dropout"} & settings.keys()


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
    halve = partial(convert, source, tmp_path / "x", "huggingface", "float16")
    check_error(halve, source / "model.safetensors", "cls.predictions.bias", "100000", "65504", "--dtype")
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
    (folder / "config.json").write_text(json.dumps({**values, **settings}), encoding="utf-8")
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
    source = with_extra(
        tmp_path / "source", name, extra, bare=False, architectures=[here], id2label=None, label2id=None
    )
    convert(source, tmp_path / "there", "paddlenlp")
    actual = open_weights(tmp_path / "there")[1]
    for key, shape, theirs, their_shape in rows:
        wanted = numbers(*shape) if shape == their_shape and "transform" not in key else numbers(*shape).T
        assert actual[theirs].shape == their_shape
        np.testing.assert_array_equal(actual[theirs].load(), wanted)
    config = json.loads((tmp_path / "there" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == [there]
    assert "id2label" not in config
    convert(tmp_path / "there", tmp_path / "back", "huggingface")
    assert bytes_of(tmp_path / "back") == bytes_of(source)
    assert json.loads((tmp_path / "back" / "config.json").read_text(encoding="utf-8"))["architectures"] == [
        here
    ]


@pytest.mark.parametrize("name", ["convbert_small", "bert"])
def test_a_bare_encoder_stays_bare(tmp_path: Path, name: str) -> None:
    position_ids = {"embeddings.position_ids": np.arange(40)[None]}
    source = with_extra(tmp_path / "source", name, position_ids, bare=True)
    notes = convert(source, tmp_path / "there", "paddlenlp")
    assert notes == ["left out, as they are computed from the sizes: embeddings.position_ids"]
    assert "embeddings.layer_norm.weight" in open_weights(tmp_path / "there")[1]
    convert(tmp_path / "there", tmp_path / "back", "huggingface")
    wanted, actual = theirs_of(source), theirs_of(tmp_path / "back")
    del wanted["embeddings.position_ids"]
    assert {key: array.tobytes() for key, array in actual.items()} == {
        key: array.tobytes() for key, array in wanted.items()
    }


def test_to_its_own_layout_changes_the_container_alone(tmp_path: Path) -> None:
    convert(GOLDEN / "bert", tmp_path / "same", "huggingface")
    assert bytes_of(tmp_path / "same") == bytes_of(GOLDEN / "bert")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    shutil.copytree(PADDLENLP / "convbert", source)
    vocabulary = b"".join(f"{piece}\r\n".encode() for piece in (*SPECIALS, *"abc"))
    (source / "vocab.txt").write_bytes(vocabulary)
    main([str(source), str(tmp_path / "there"), "--to", "huggingface", "--dtype", "float16"])
    assert {tensor.kind for tensor in open_weights(tmp_path / "there")[1].values()} == {"F16"}
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'there'}\n"
    assert err.startswith("note: convbert.pooler is kept")
    assert (tmp_path / "there" / "vocab.txt").read_bytes() == vocabulary


def test_faults_leave_nothing_behind(tmp_path: Path) -> None:
    odd = with_extra(tmp_path / "odd", "bert", {"adapter.weight": numbers(3)}, bare=False)
    check_error(
        partial(convert, odd, tmp_path / "x", "paddlenlp"), odd / "model.safetensors", "adapter.weight"
    )
    whole = {"cls.predictions.bias": np.arange(60)}
    odd = with_extra(tmp_path / "odd2", "bert", whole, bare=False)
    assert "has no name for cls.predictions.bias (stored as I64)" in error_of(
        lambda: convert(odd, tmp_path / "x", "paddlenlp")
    )
    check_error(partial(convert, GOLDEN / "bert", odd, "paddlenlp"), odd, "not empty")
    (tmp_path / "file").touch()
    check_error(
        partial(convert, GOLDEN / "bert", tmp_path / "file", "paddlenlp"), tmp_path / "file", "a file"
    )
    assert not (tmp_path / "x").exists()
