"""Weights cut into shards that an index names, and two networks that were saved as one."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from checkpoints.conversion import convert
from checkpoints.folder import digest_of, read_config
from checkpoints.formats.paddle_file import write_paddle
from checkpoints.network import fill, load_classifier
from checkpoints.weight_files import has_weights, open_weights, weight_files
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from tests.checkpoints.golden_folders import GOLDEN, Tensors, check_error, error_of, read, theirs_of

PAIR = GOLDEN / "paddlenlp" / "pairs" / "convbert"  # written by PaddleNLP 2.8.1


def sharded(folder: Path, name: str = "bert", form: str = "model.safetensors") -> Path:
    """A golden folder with its weights in three files, every third tensor in each."""
    shutil.copy(GOLDEN / name / "config.json", folder)
    (folder / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
    tensors, (stem, _, suffix) = theirs_of(GOLDEN / name), form.partition(".")
    table = {}
    for number in range(3):
        file = f"{stem}-0000{number + 1}-of-00003.{suffix}"
        part = {key: tensors[key] for key in sorted(tensors)[number::3]}
        write_part(folder / file, part)
        table |= dict.fromkeys(part, file)
    (folder / f"{form}.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": table}), encoding="utf-8"
    )
    return folder


def write_part(path: Path, tensors: Tensors) -> None:
    if path.suffix == ".safetensors":
        safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
    else:
        with open(path, "wb") as file:
            write_paddle(file, {key: ("F32", array) for key, array in tensors.items()})


def edit_index(folder: Path, **entries: Any) -> Path:
    """Change the index's weight_map, or with weight_map=… set it."""
    path = folder / "model.safetensors.index.json"
    table = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    path.write_text(json.dumps({"weight_map": {**table, **entries}}), encoding="utf-8")
    return path


@pytest.mark.parametrize("form", ["model.safetensors", "model_state.pdparams"])
def test_shards_are_one_model(tmp_path: Path, form: str) -> None:
    folder = sharded(tmp_path, form=form)
    assert has_weights(folder)
    actual, wanted = read(folder), read(GOLDEN / "bert")
    assert actual.arrays.keys() == wanted.arrays.keys()
    for key, array in wanted.arrays.items():
        np.testing.assert_array_equal(actual.arrays[key], array)
    load_classifier(folder)
    convert(folder, tmp_path / "one", "huggingface")
    whole = (GOLDEN / "bert" / "model.safetensors").read_bytes()
    assert (tmp_path / "one" / "model.safetensors").read_bytes() == whole


def test_shards_of_pytorch(tmp_path: Path) -> None:
    """Two files that torch.save wrote; the second's tensors have names of their own."""
    shutil.copy(GOLDEN / "torch" / "electra.bin", tmp_path / "pytorch_model-00001-of-00002.bin")
    shutil.copy(GOLDEN / "torch" / "zip.bin", tmp_path / "pytorch_model-00002-of-00002.bin")
    table = {
        "electra.embeddings.position_ids": "pytorch_model-00001-of-00002.bin",
        "tied": "pytorch_model-00002-of-00002.bin",
    }
    (tmp_path / "pytorch_model.bin.index.json").write_text(
        json.dumps({"weight_map": table}), encoding="utf-8"
    )
    path, tensors, _ = open_weights(tmp_path)
    assert path.name == "pytorch_model.bin.index.json"
    expected = np.load(GOLDEN / "torch" / "expected.npz")
    assert set(expected.files) | set(theirs_of(GOLDEN / "electra")) < set(tensors)
    np.testing.assert_array_equal(tensors["tied"].load(), expected["tied"])


def test_the_whole_file_goes_before_its_shards(tmp_path: Path) -> None:
    folder = sharded(tmp_path)
    shutil.copy(GOLDEN / "bert" / "model.safetensors", folder)
    (folder / "model-00001-of-00003.safetensors").unlink()
    assert weight_files(folder) == [folder / "model.safetensors"]
    assert read(folder).arrays.keys() == read(GOLDEN / "bert").arrays.keys()


def test_the_digest_is_of_every_shard(tmp_path: Path) -> None:
    folder = sharded(tmp_path)
    digests = {digest_of(folder)}
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        path.write_bytes(
            content[:-1] + bytes([content[-1] ^ 1]) if path.suffix != ".json" else content + b" "
        )
        digests.add(digest_of(folder))
    assert len(digests) == 7  # as it was, and changed: configuration, index, three shards, vocabulary


@pytest.mark.parametrize(
    ("entries", "fragment"),
    [
        ({"extra": "model-00001-of-00003.safetensors"}, "names extra, which none of its files holds"),
        (
            {"a": "../model-00001-of-00003.safetensors"},
            "../model-00001-of-00003.safetensors is not a file of",
        ),
        ({"a": "/etc/passwd"}, "/etc/passwd is not a file of weights in its folder"),
        ({"a": ".safetensors"}, ".safetensors is not a file of weights in its folder"),
        ({"a": "pytorch_model.bin"}, "pytorch_model.bin is not a file of weights in its folder"),
        ({"a": 3}, "3 is not a file of weights in its folder"),
        ({"a": "x\\n.safetensors"}, "x\\n.safetensors is not a file of weights in its folder"),
    ],
)
def test_an_index_that_leads_astray(tmp_path: Path, entries: dict[str, Any], fragment: str) -> None:
    path = edit_index(sharded(tmp_path), **entries)
    check_error(lambda: read(tmp_path), path, fragment)


def test_a_shard_that_is_missing_or_repeats(tmp_path: Path) -> None:
    folder = sharded(tmp_path)
    second = folder / "model-00002-of-00003.safetensors"
    other = safetensors.numpy.load_file(folder / "model-00001-of-00003.safetensors")
    name = min(other)
    write_part(second, {**safetensors.numpy.load_file(second), name: other[name]})
    check_error(lambda: read(folder), second, name, "another file of model.safetensors.index.json")
    second.unlink()
    check_error(lambda: read(folder), second, "no such file", "model.safetensors.index.json", "fetch it")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"{}", "has no weight_map from tensors to files"),
        (b'{"weight_map": {}}', "has no weight_map from tensors to files"),
        (b'{"weight_map": ["model.safetensors"]}', "has no weight_map from tensors to files"),
        (b"[]", "expected a JSON object, found a list"),
        (b'{"weight_map": ' + b"[" * 100_000, "not JSON: nested too deeply"),
        (b"x", "not JSON: "),
    ],
)
def test_an_index_that_is_none(tmp_path: Path, content: bytes, fragment: str) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(content)
    for function in (open_weights, weight_files):
        assert error_of(lambda f=function: f(tmp_path)).startswith(f"{path}: {fragment}")  # type: ignore[misc]


# --- a generator and a discriminator ---------------------------------------------------------------


def test_the_discriminator_is_the_model() -> None:
    with np.load(PAIR / "outputs.npz") as answers:
        ids, wanted = answers["input_ids"], answers["last_hidden_state"]
    config = read_config(PAIR)
    model = SentenceClassifier(config)
    checkpoint = read(PAIR, head="optional")
    fill(model, checkpoint)
    model.eval()
    inputs = paddle.to_tensor(ids), paddle.to_tensor(np.zeros_like(ids))
    np.testing.assert_allclose(model.encoder(*inputs).numpy(), wanted, rtol=0, atol=1e-5)
    assert checkpoint.unused[0] == "the generator (60 tensors)"
    assert [name for name in checkpoint.unused[1:] if not name.startswith("discriminator_")] == [
        "convbert.pooler.dense.bias", "convbert.pooler.dense.weight",
    ]  # fmt: skip


def test_a_pair_is_converted_without_its_generator(tmp_path: Path) -> None:
    notes = convert(PAIR, tmp_path / "there", "huggingface")
    assert "left out, the discriminator is the model: the generator (60 tensors)" in notes
    values = json.loads((tmp_path / "there" / "config.json").read_text(encoding="utf-8"))
    assert values["architectures"] == ["ConvBertDiscriminator"]
    wanted, actual = read(PAIR, head="optional").arrays, read(tmp_path / "there", head="optional").arrays
    assert actual.keys() == wanted.keys()
    for key, array in wanted.items():
        np.testing.assert_array_equal(actual[key], array)


def test_an_old_configuration_of_a_pair(tmp_path: Path) -> None:
    """As PaddleNLP 2.0 writes it: both networks' settings, the generator's first and narrower."""
    values = json.loads((PAIR / "config.json").read_text(encoding="utf-8"))
    sizes = {key: value for key, value in values.items() if key not in ("architectures", "model_type")}
    narrow = {**sizes, "hidden_size": 4, "init_class": "ConvBertModel"}
    parts = [
        {"init_args": [encoder], "init_class": f"ConvBert{kind}"}
        for kind, encoder in (
            ("Generator", narrow),
            ("Discriminator", {**sizes, "init_class": "ConvBertModel"}),
        )
    ]
    config = {"init_args": parts, "init_class": "ConvBertForTotalPretraining"}
    (tmp_path / "model_config.json").write_text(json.dumps(config), encoding="utf-8")
    shutil.copy(PAIR / "model_state.pdparams", tmp_path)
    assert read_config(tmp_path).hidden_size == 16
    assert read(tmp_path, head="optional").arrays.keys() == read(PAIR, head="optional").arrays.keys()


def test_a_pair_under_hugging_faces_names(tmp_path: Path) -> None:
    """A discriminator with ELECTRA's prefix, a generator of another width, in safetensors."""
    shutil.copy(GOLDEN / "electra" / "config.json", tmp_path)
    tensors = theirs_of(GOLDEN / "electra")
    pair = {f"discriminator.{key}": array for key, array in tensors.items()}
    pair |= {f"generator.{key}": array[..., ::2] for key, array in tensors.items()}
    pair = {key: np.ascontiguousarray(array) for key, array in pair.items()}
    safetensors.numpy.save_file(pair, tmp_path / "model.safetensors")
    actual, wanted = read(tmp_path), read(GOLDEN / "electra")
    assert actual.unused == [f"the generator ({len(tensors)} tensors)"]
    assert actual.arrays.keys() == wanted.arrays.keys()
    for key, array in wanted.arrays.items():
        np.testing.assert_array_equal(actual.arrays[key], array)
