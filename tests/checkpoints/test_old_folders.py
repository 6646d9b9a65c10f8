"""Folders of old versions, of other tools, and what stands for a model without being one."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints.conversion import convert
from checkpoints.folder import read_config
from checkpoints.network import load_classifier
from checkpoints.weight_files import INDEX, WEIGHT_FILES
from tests.checkpoints.golden_folders import (
    GOLDEN,
    Edited,
    check_error,
    error_of,
    read,
    theirs_of,
    without,
    write_edited,
)

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 440449768\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>model.safetensors</title>"
TYPES = {"convbert_small": "convbert", "electra": "electra", "bert": "bert", "ernie": "ernie"}


@pytest.mark.parametrize("content", [POINTER, PAGE, b"\x1f\x8b\x08\0\0\0"], ids=["lfs", "page", "gzip"])
@pytest.mark.parametrize("name", [*WEIGHT_FILES, "pytorch_model.bin" + INDEX, "config.json"])
def test_what_stands_for_a_file_is_named(edited: Edited, name: str, content: bytes) -> None:
    folder = edited("bert")
    if name != "config.json":
        (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(content)
    message = error_of(lambda: read_config(folder))
    assert message.startswith(f"{folder / name}:")
    assert {POINTER: "git lfs pull", PAGE: "is a web page"}.get(content, "gunzip") in message
    assert error_of(lambda: convert(folder, folder.parent / "new", "paddlenlp")) == message


def test_a_shard_that_is_a_pointer(edited: Edited) -> None:
    folder = edited("bert")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model-00002-of-00002.safetensors").write_bytes(POINTER)
    names = list(theirs_of(GOLDEN / "bert"))
    table = {name: f"model-0000{1 + (name == names[-1])}-of-00002.safetensors" for name in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}), encoding="utf-8")
    check_error(
        lambda: read_config(folder), folder / "model-00002-of-00002.safetensors", "is a Git LFS pointer"
    )


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("tf_model.h5", "tf_model.h5 is not read: save the model with save_pretrained"),
        ("flax_model.msgpack", "flax_model.msgpack is not read"),
        ("bert_model.ckpt.index", "bert_model.ckpt.index is not read"),
        ("model.fp16.safetensors", "if model.fp16.safetensors holds them, give it that name"),
        ("adapter_model.safetensors", "adapter_model.safetensors is an adapter: merge it"),
        ("model-00001-of-00002.safetensors", "but model.safetensors.index.json, which lists the parts, is"),
        ("x-00002-of-00002.bin", "pytorch_model.bin.index.json, which lists the parts, is missing: fetch it"),
        ("optimizer.pt", "optimizer.pt is the state of a training, no model"),
        ("rng_state_0.pth", "rng_state_0.pth is the state of a training, no model"),
        ("zero_to_fp32.py", "run python zero_to_fp32.py . pytorch_model.bin"),
        ("global_step500/mp_rank_00_model_states.pt", "run python zero_to_fp32.py . pytorch_model.bin"),
    ],
)
def test_weights_of_other_formats_are_named(tmp_path: Path, name: str, fragment: str) -> None:
    shutil.copy(GOLDEN / "bert" / "config.json", tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"\0")
    check_error(
        lambda: read(tmp_path, read_config(tmp_path)),
        tmp_path / "model.safetensors",
        "no such file",
        fragment,
    )


def test_the_state_of_a_training_is_not_proposed_for_weights(tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "bert" / "config.json", tmp_path)
    for name in ("optimizer.bin", "scheduler.pt", "training_args.bin", "weights.bin"):
        (tmp_path / name).write_bytes(b"\0")
    assert "if weights.bin holds them" in error_of(lambda: read(tmp_path, read_config(tmp_path)))


# --- which network it is ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", TYPES)
def test_the_model_type_is_that_of_the_class(edited: Edited, name: str) -> None:
    folder = without(edited(name), "model_type")
    assert read_config(folder) == read_config(GOLDEN / name)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_or_of_the_weights_names(
    edited: Edited, name: str, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = edited(name, lambda tensors: {prefix + key: array for key, array in tensors.items()})
    without(folder, "model_type", "architectures")
    assert read_config(folder) == read_config(GOLDEN / name)
    note = f"has no model_type; the names of the weights are those of {TYPES[name]}"
    assert note in capsys.readouterr().err


def test_bare_names_of_several_families_ask_for_the_line(edited: Edited) -> None:
    """RoBERTa's encoder alone has the same names."""
    folder = edited("bert", lambda tensors: {key.removeprefix("bert."): tensors[key] for key in tensors})
    without(folder, "model_type", "architectures")
    message = error_of(lambda: read_config(folder))
    assert message.startswith(f"{folder / 'config.json'}: no model_type; ")
    assert 'add the line of the network that it is, such as "model_type": "bert"' in message


@pytest.mark.parametrize("architecture", ["RobertaPreLayerNormModel", "BertGenerationEncoder", "ErnieMModel"])
def test_other_families_classes_are_not_ours(tmp_path: Path, architecture: str) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"architectures": [architecture], "hidden_size": 32}), encoding="utf-8"
    )
    assert "no model_type" in error_of(lambda: read_config(tmp_path))


def test_bert_config_json(tmp_path: Path) -> None:
    """As Google's BERT and pytorch-pretrained-bert call it, without a word of what network it is."""
    write_edited(tmp_path, "bert")
    without(tmp_path, "model_type", "architectures", "id2label", "label2id", "transformers_version")
    (tmp_path / "config.json").rename(tmp_path / "bert_config.json")
    wanted = load_classifier(GOLDEN / "bert").head.projection.weight.numpy()
    np.testing.assert_array_equal(load_classifier(tmp_path).head.projection.weight.numpy(), wanted)


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "fragment"),
    [
        ({"position_embedding_type": "rotary"}, "position_embedding_type 'rotary'"),
        ({"hidden_act": "quick_gelu"}, "hidden_act 'quick_gelu'"),
        ({"hidden_act": {"name": "gelu"}}, "hidden_act {'name': 'gelu'}"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "save the model unquantised"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder True"),
        ({"pool_act": "relu"}, "pool_act 'relu'"),
        ({"auto_map": {"AutoModel": "modeling_x.Model"}}, "a model with code of its own"),
        ({"layernorm_epsilon": 1e-5}, "called layer_norm_eps here, which is 1e-12"),
        ({"num_layers": 3}, "called num_hidden_layers here, which is 2"),
        ({"activation_function": "relu"}, "called hidden_act here, which is 'gelu'"),
        ({"per_layer_config": {"0": {"num_attention_heads": 2}}}, "per_layer_config"),
    ],
)
def test_settings_that_change_an_answer_are_refused_by_name(
    edited: Edited, settings: dict[str, Any], fragment: str
) -> None:
    folder = edited("bert", **settings)
    check_error(lambda: read_config(folder), folder / "config.json", fragment)
    check_error(
        lambda: convert(folder, folder.parent / "new", "huggingface"), folder / "config.json", fragment
    )


def test_usual_settings_are_not_talked_about(edited: Edited, capsys: pytest.CaptureFixture[str]) -> None:
    usual = {
        "auto_map": {"AutoTokenizer": "x"},
        "use_cache": True,
        "layer_norm_epsilon": 1e-12,
        "is_decoder": False,
    }
    assert read_config(edited("bert", activation="gelu_python", **usual)) == read_config(GOLDEN / "bert")
    for folder in (*GOLDEN.glob("*/config.json"), *GOLDEN.glob("paddlenlp/*/config.json")):
        read_config(folder.parent)
    assert capsys.readouterr().err == ""


def test_settings_of_nobody_are_named(edited: Edited, capsys: pytest.CaptureFixture[str]) -> None:
    read_config(edited("bert", my_setting=1, another=2))
    assert (
        "config.json: ignored, as these settings are unknown: my_setting, another" in capsys.readouterr().err
    )


# --- heads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "fragment"),
    [
        ({"architectures": ["BertForMultipleChoice"]}, "is a BertForMultipleChoice, whose head does not"),
        ({"architectures": ["BertForTokenClassification"]}, "is a BertForTokenClassification, whose head"),
        ({"problem_type": "multi_label_classification"}, "problem_type multi_label_classification"),
        ({"problem_type": "regression"}, "problem_type regression with 3 labels"),
    ],
)
def test_a_head_of_another_kind_answers_nothing_and_begins_new(
    edited: Edited, settings: dict[str, Any], fragment: str
) -> None:
    folder = edited("bert", **settings)
    check_error(lambda: load_classifier(folder), folder / "config.json", fragment)
    assert read(folder, head="optional").new_head == ["head.projection.weight", "head.projection.bias"]


@pytest.mark.parametrize("name", TYPES)
def test_a_pretrained_model_has_no_head_to_answer_with(edited: Edited, name: str) -> None:
    folder = edited(
        name, lambda tensors: {k: v for k, v in tensors.items() if not k.startswith("classifier.")}
    )
    check_error(
        lambda: load_classifier(folder),
        folder,
        "fine-tune it first",
    )


# --- what is not there -----------------------------------------------------------------------------


@pytest.mark.parametrize("inner", ["checkpoint-500", "snapshots/3c1d"])
def test_a_folder_of_model_folders_names_them(tmp_path: Path, inner: str) -> None:
    (tmp_path / inner).mkdir(parents=True)
    write_edited(tmp_path / inner, "bert")
    check_error(
        lambda: read_config(tmp_path),
        tmp_path / "config.json",
        "no such file",
        str(tmp_path / inner),
    )


def test_a_checkpoint_of_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt-1000000.index").write_bytes(b"\0")
    check_error(
        lambda: read_config(tmp_path),
        tmp_path / "config.json",
        "no such file",
        "model.ckpt-1000000.index",
        "convert it to PyTorch",
    )


def test_a_file_is_no_folder(edited: Edited) -> None:
    path = edited("bert") / "model.safetensors"
    check_error(lambda: read_config(path), path, "is a file")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "pytorch_model.bin"])
def test_links_that_lead_nowhere(edited: Edited, name: str) -> None:
    folder = edited("bert")
    (folder / ("model.safetensors" if name == "pytorch_model.bin" else name)).unlink()
    (folder / name).symlink_to(".git/annex/objects/x")
    check_error(
        lambda: read(folder, read_config(folder)),
        folder / name,
        ".git/annex/objects/x",
    )
