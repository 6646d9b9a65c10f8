"""Whatever can be wrong with a model folder is one line that names the file and the error_of."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints.folder import read_config
from checkpoints.matching import HeadUse
from checkpoints.weight_files import has_weights
from tests.checkpoints.golden_folders import GOLDEN, Edited, Tensors, check_error, error_of, read


def test_missing_folder(tmp_path: Path) -> None:
    check_error(
        lambda: read_config(tmp_path / "no"),
        tmp_path / "no",
        "config.json",
    )


def test_a_runs_folder_is_no_model_folder(edited: Edited) -> None:
    folder = edited("bert")
    folder.rename(folder.parent / "best")
    check_error(
        lambda: read_config(folder.parent), folder.parent, "a run's folder", str(folder.parent / "best")
    )


def test_missing_files(edited: Edited) -> None:
    folder = edited("bert")
    assert has_weights(folder)
    (folder / "model.safetensors").unlink()
    assert not has_weights(folder)
    check_error(lambda: read(folder), folder / "model.safetensors", "no such file")
    (folder / "config.json").unlink()
    check_error(lambda: read_config(folder), folder / "config.json", "no such file")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "not JSON: Expecting value"),
        (b'{"model_type": "bert",', "not JSON: "),
        (b"\xff\xfe", "is UTF-16"),
        (b"[1, 2]", "expected a JSON object, found a list"),
        (b"null", "expected a JSON object, found a NoneType"),
        (b'{"hidden_size": 32}', "no model_type; expected one of convbert, electra, bert, ernie"),
        (b'{"model_type": "albert"}', "model_type 'albert' is not one of convbert, electra, bert, ernie"),
        (b'{"model_type": ["bert"]}', "model_type ['bert'] is not one of"),
        (b'{"model_type": "bert", "hidden_size": 10}', "hidden_size 10 does not divide among 12 heads"),
        (b'{"model_type": "bert", "hidden_size": "768"}', "hidden_size must be a whole number of at least 1"),
        (b'{"model_type": "bert", "hidden_dropout_prob": "0.1"}', "hidden_dropout_prob must be a number"),
        (b'{"model_type": "bert", "id2label": ["a"]}', "id2label must map numbers to names, not ['a']"),
        (b'{"model_type": "convbert", "conv_kernel_size": 4}', "conv_kernel_size must be odd, not 4"),
    ],
)  # fmt: skip
def test_bad_config(tmp_path: Path, content: bytes, fragment: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    message = error_of(lambda: read_config(tmp_path))
    assert message.startswith(str(tmp_path / "config.json"))
    assert fragment in message


def test_changes_that_do_not_fit_name_the_file(tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "bert" / "config.json", tmp_path)
    assert read_config(tmp_path, reference_padding=True).reference_padding
    check_error(
        lambda: read_config(tmp_path, hidden_act="none"),
        tmp_path / "config.json",
        "hidden_act 'none' is not known",
    )


@pytest.mark.parametrize("kept", [0, 4, 8, 200])
def test_weights_cut_short(edited: Edited, kept: int) -> None:
    folder = edited("bert")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    message = error_of(lambda: read(folder))
    assert message.startswith(f"{path}: cannot be read: ")
    assert message.endswith("is it cut short? fetch it again")


def without(*keys: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {key: array for key, array in tensors.items() if key not in keys}


def adding(key: str, shape: tuple[int, ...]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, key: np.ones(shape, np.float32)}


QUERY = "bert.encoder.layer.1.attention.self.query.weight"


def turning(key: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, key: np.ascontiguousarray(tensors[key].T)}


WORD = "bert.embeddings.word_embeddings.weight"
TYPES = "bert.embeddings.token_type_embeddings.weight"
NORM = "bert.embeddings.LayerNorm.bias"


@pytest.mark.parametrize(
    ("change", "settings", "fragment"),
    [
        (without(QUERY), {}, f"{QUERY} is missing"),
        (without("bert.pooler.dense.bias"), {}, "bert.pooler.dense.bias is missing"),
        (adding("bert.extra.weight", (3,)), {}, "bert.extra.weight is unexpected"),
        (adding(NORM, (31,)), {}, f"{NORM} should be (32,) and is (31,)"),
        (turning(WORD), {}, f"{WORD} should be (60, 32) and is (32, 60)"),
        (None, {"num_hidden_layers": 1}, "is unexpected (and 12 more)"),
        (
            None, {"num_hidden_layers": 3},
            "bert.encoder.layer.2.attention.self.query.weight is missing; "
            "bert.encoder.layer.2.attention.self.query.bias is missing; "
            "bert.encoder.layer.2.attention.self.key.weight is missing; "
            "bert.encoder.layer.2.attention.self.key.bias is missing (and 12 more)",
        ),
        (None, {"vocab_size": 61}, f"{WORD} should be (61, 32) and is (60, 32)"),
        (None, {"hidden_size": 64}, f"{WORD} should be (60, 64) and is (60, 32)"),
        (None, {"intermediate_size": 32}, ".layer.0.intermediate.dense.weight should be (32, 32)"),
        (None, {"type_vocab_size": 4}, f"{TYPES} should be (4, 32) and is (2, 32)"),
        (None, {"model_type": "electra"}, "electra.embeddings.word_embeddings.weight is missing"),
        (None, {"id2label": {"0": "a"}}, "classifier.weight should be (1, 32) and is (3, 32)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("head", ["required", "optional"])
def test_weights_that_contradict_the_config(
    edited: Edited,
    change: Callable[[Tensors], Tensors] | None,
    settings: dict[str, Any],
    fragment: str,
    head: HeadUse,
) -> None:
    folder = edited("bert", change, **settings)
    if head == "optional" and fragment.startswith(("classifier.", "bert.pooler.")):
        assert read(folder, head="optional").new_head
        return
    message = error_of(lambda: read(folder, head=head))
    assert message.startswith(f"{folder / 'model.safetensors'}: does not fit config.json: ")
    assert fragment in message
    assert message.endswith("; take both from one model")


@pytest.mark.parametrize(
    ("name", "settings", "fragment"),
    [
        ("convbert_small", {"conv_kernel_size": 7}, "depthwise.weight should be (32, 1, 7)"),
        ("convbert_small", {"head_ratio": 1}, "conv_kernel_layer.weight should be (36, 16) and is (18, 16)"),
        ("convbert_small", {"num_groups": 2}, "dense.weight should be (2, 16, 32) and is (64, 32)"),
        ("convbert_grouped", {"num_groups": 1}, "dense.weight should be (64, 32) and is (2, 16, 32)"),
        ("convbert_small", {"embedding_size": 32}, "word_embeddings.weight should be (60, 32)"),
        ("convbert_base", {"embedding_size": 16}, "word_embeddings.weight should be (60, 16)"),
        ("convbert_small", {"classifier_head": "linear"}, "classifier.weight is missing"),
        ("electra", {"model_type": "convbert"}, "convbert.embeddings.word_embeddings.weight is missing"),
        ("electra", {"classifier_head": "linear"}, "classifier.dense.weight is unexpected"),
        ("bert", {"classifier_head": "linear"}, "bert.pooler.dense.weight is unexpected"),
        ("ernie", {"use_task_id": False}, "ernie.embeddings.task_type_embeddings.weight is unexpected"),
        ("ernie", {"task_type_vocab_size": 4}, "task_type_embeddings.weight should be (4, 32)"),
    ],
)  # fmt: skip
def test_weights_of_another_network(
    edited: Edited, name: str, settings: dict[str, Any], fragment: str
) -> None:
    folder = edited(name, **settings)
    check_error(lambda: read(folder), folder / "model.safetensors", "does not fit config.json", fragment)
