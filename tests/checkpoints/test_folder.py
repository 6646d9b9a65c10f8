"""The model folder: transformers' own tensors there and back, others' checkpoints, and new heads."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors

from checkpoints.folder import digest_of, read_config, save_checkpoint, write_model
from checkpoints.mapping import FAMILIES, head_projection
from checkpoints.network import arrays_of, fill, load_classifier
from encoders.config_checks import HEADS
from encoders.heads import SentenceClassifier
from encoders.tokenizer import Tokenizer
from tests.checkpoints.golden_folders import GOLDEN, NAMES, Edited, Tensors, error_of, read, theirs_of

# --- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_tensors_survive_reading_and_writing(name: str, tmp_path: Path) -> None:
    config = read_config(GOLDEN / name)
    checkpoint = read(GOLDEN / name)
    assert (checkpoint.new_head, checkpoint.unused) == ([], [])
    model = SentenceClassifier(config)
    fill(model, checkpoint)
    write_model(tmp_path, config, arrays_of(model), Tokenizer(GOLDEN / "tokenizer"))
    wanted, actual = theirs_of(GOLDEN / name), theirs_of(tmp_path)
    assert set(actual) == set(wanted)
    for key, theirs in wanted.items():
        assert (key, actual[key].dtype, actual[key].shape) == (key, theirs.dtype, theirs.shape)
        assert actual[key].tobytes() == theirs.tobytes(), key
    assert read_config(tmp_path) == config
    with safetensors.safe_open(tmp_path / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}  # without it transformers refuses the file


@pytest.mark.parametrize("name", NAMES)
def test_written_config_is_what_transformers_wrote(name: str, tmp_path: Path) -> None:
    write_model(
        tmp_path, read_config(GOLDEN / name), read(GOLDEN / name).arrays, Tokenizer(GOLDEN / "tokenizer")
    )
    wanted = json.loads((GOLDEN / name / "config.json").read_text(encoding="utf-8"))
    actual = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    for key in set(wanted) & set(actual):
        assert (key, actual[key]) == (key, wanted[key])
    assert actual["architectures"] == wanted["architectures"]


@pytest.mark.parametrize("head", HEADS)
def test_a_head_of_each_kind_is_kept(head: str, tmp_path: Path) -> None:
    config = dataclasses.replace(
        read_config(GOLDEN / "bert"), classifier_head=head, id2label={0: "score"}, target_scale=5.0
    )
    model = SentenceClassifier(config)
    save_checkpoint(tmp_path / "saved", config, arrays_of(model), Tokenizer(GOLDEN / "tokenizer"))
    again = load_classifier(tmp_path / "saved")
    assert again.config == config
    assert not again.training
    for name, array in arrays_of(model).items():
        np.testing.assert_array_equal(arrays_of(again)[name], array)


def test_saving_replaces_the_folder_whole(tmp_path: Path) -> None:
    folder = tmp_path / "best"
    folder.mkdir()
    (folder / "old").write_text("x", encoding="utf-8")
    config = read_config(GOLDEN / "bert")
    save_checkpoint(folder, config, read(GOLDEN / "bert").arrays, Tokenizer(GOLDEN / "tokenizer"))
    wanted = ["config.json", "manifest.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]
    assert sorted(path.name for path in folder.iterdir()) == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_failed_save_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "best"
    config = read_config(GOLDEN / "bert")
    arrays = read(GOLDEN / "bert").arrays
    save_checkpoint(folder, config, arrays, Tokenizer(GOLDEN / "tokenizer"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    wrong: Any = {**arrays, "encoder.embeddings.word.weight": np.array(["no number"])}
    with pytest.raises(Exception, match=r"."):
        save_checkpoint(folder, config, wrong, Tokenizer(GOLDEN / "tokenizer"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_digest_changes_with_each_file(tmp_path: Path) -> None:
    config, arrays = read_config(GOLDEN / "bert"), read(GOLDEN / "bert").arrays
    write_model(tmp_path, config, arrays, Tokenizer(GOLDEN / "tokenizer"))
    digests = [digest_of(tmp_path)]
    assert digest_of(tmp_path) == digests[0]
    for name in ("model.safetensors", "config.json", "vocab.txt"):
        with open(tmp_path / name, "ab") as file:
            file.write(b"\n")
        digests.append(digest_of(tmp_path))
    assert len(set(digests)) == 4


# --- checkpoints of others ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_bare_encoder_has_no_prefix(name: str, edited: Edited) -> None:
    """As transformers saves ``ConvBertModel``: names without ``convbert.``, and no classifier."""
    base = FAMILIES[read_config(GOLDEN / name).model_type].base

    def bare(tensors: Tensors) -> Tensors:
        return {
            key.removeprefix(f"{base}."): array
            for key, array in tensors.items()
            if key.startswith(f"{base}.")
        }

    folder = edited(name, bare)
    actual = read(folder, head="optional")
    wanted = read(GOLDEN / name)
    assert set(actual.arrays) == {
        key for key in wanted.arrays if not key.startswith("head.") or "pooler" in key
    }
    for key, array in actual.arrays.items():
        np.testing.assert_array_equal(array, wanted.arrays[key])
    assert set(actual.new_head) == set(wanted.arrays) - set(actual.arrays)
    assert "without a head to answer with" in error_of(lambda: read(folder))


def test_gamma_and_beta(edited: Edited) -> None:
    def old(tensors: Tensors) -> Tensors:
        return {
            key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): array
            for key, array in tensors.items()
        }

    actual, wanted = read(edited("bert", old)), read(GOLDEN / "bert")
    assert set(actual.arrays) == set(wanted.arrays)
    for key, array in actual.arrays.items():
        np.testing.assert_array_equal(array, wanted.arrays[key])


# Names in published pretrained checkpoints (google/electra-*, YituTech/conv-bert-*, bert-base-uncased,
# nghuyong/ernie-*).
PRETRAINING = {
    "convbert_small": (
        "generator_predictions.LayerNorm.weight", "generator_predictions.dense.weight",
        "generator_lm_head.bias", "generator_lm_head.weight", "convbert.embeddings.position_ids",
    ),
    "electra": (
        "discriminator_predictions.dense.weight", "discriminator_predictions.dense_prediction.bias",
        "electra.embeddings.position_ids",
    ),
    "bert": (
        "cls.predictions.bias", "cls.predictions.transform.LayerNorm.weight",
        "cls.predictions.transform.LayerNorm.beta", "cls.seq_relationship.weight",
        "bert.embeddings.position_ids",
    ),
    "ernie": (
        "cls.predictions.decoder.weight", "ernie.embeddings.position_ids", "ernie.embeddings.token_type_ids",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PRETRAINING)
def test_pretraining_heads_are_left_aside(name: str, edited: Edited) -> None:
    spare = {key: np.ones((2, 3), np.float32) for key in PRETRAINING[name]}
    checkpoint = read(edited(name, lambda tensors: {**tensors, **spare}))
    assert checkpoint.unused == sorted({key.replace(".beta", ".bias") for key in spare})
    wanted = read(GOLDEN / name)
    assert checkpoint.arrays.keys() == wanted.arrays.keys()


def test_half_precision_is_read(edited: Edited) -> None:
    half = {key: array.astype(np.float16) for key, array in theirs_of(GOLDEN / "electra").items()}
    checkpoint = read(edited("electra", lambda _: half))
    assert {array.dtype for array in checkpoint.arrays.values()} == {np.dtype(np.float32)}
    word = checkpoint.arrays["encoder.embeddings.word.weight"]
    np.testing.assert_array_equal(word, half["electra.embeddings.word_embeddings.weight"].astype(np.float32))


# --- heads that do not fit ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_head_of_other_labels_begins_new_and_is_named(name: str) -> None:
    config = dataclasses.replace(read_config(GOLDEN / name), id2label={0: "0", 1: "1"})
    checkpoint = read(GOLDEN / name, config, head="optional")
    assert checkpoint.new_head == ["head.projection.weight", "head.projection.bias"]
    kept = {key for key in read(GOLDEN / name).arrays if not key.startswith("head.projection")}
    assert set(checkpoint.arrays) == kept
    message = error_of(lambda: read(GOLDEN / name, config))
    projection = head_projection(config).removesuffix(".weight")
    assert f"{projection}.weight should be (2, 32) and is (3, 32)" in message
    assert f"{projection}.bias should be (2,) and is (3,)" in message


@pytest.mark.parametrize("name", NAMES)
def test_a_head_not_wanted_begins_new(name: str) -> None:
    """head="new": a head that would fit is of another task; BERT's pooler is the encoder's."""
    checkpoint = read(GOLDEN / name, head="new")
    kept = FAMILIES[read_config(GOLDEN / name).model_type].pretrained_head
    whole = {key for key in read(GOLDEN / name).arrays if key.startswith("head.")}
    assert {"head.projection.weight", "head.projection.bias"} <= set(checkpoint.new_head)
    assert set(checkpoint.new_head) == {key for key in whole if not key.startswith(kept)}
    assert {key for key in checkpoint.arrays if key.startswith("head.")} == whole - {*checkpoint.new_head}
    assert (whole != {*checkpoint.new_head}) == (name.split("_")[0] in ("bert", "ernie", "modernbert"))


@pytest.mark.parametrize("name", ["convbert_small", "electra", "bert", "ernie"])
def test_a_head_of_another_kind_begins_new(name: str) -> None:
    config = dataclasses.replace(read_config(GOLDEN / name), classifier_head="linear")
    checkpoint = read(GOLDEN / name, config, head="new")
    assert checkpoint.new_head == ["head.projection.weight", "head.projection.bias"]
    unused = [
        key for key in theirs_of(GOLDEN / name) if "pooler" in key or key.startswith("classifier.dense")
    ]
    assert set(unused) <= set(checkpoint.unused)
