"""Weights under the names that wrappers give them: read as the model's own, and said; never guessed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from checkpoints.conversion import convert
from checkpoints.folder import read_config
from checkpoints.network import arrays_of, load_classifier
from checkpoints.weight_files import open_weights
from pretraining.model_folder import load_encoder
from tests.checkpoints.golden_folders import (
    GOLDEN,
    NAMES,
    Edited,
    Tensors,
    check_error,
    error_of,
    read,
    write_edited,
)


def renaming(rename: Callable[[str], str]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {rename(key): array for key, array in tensors.items()}


def behind(prefix: str) -> Callable[[Tensors], Tensors]:
    return renaming(lambda key: prefix + key)


PREFIXES = [
    "module.", "model.", "net.", "_orig_mod.", "module.model.", "_orig_mod.module.", "module._orig_mod.",
    "base_model.model.", "my_classifier.0.", "_fsdp_wrapped_module.", "_forward_module.",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "prefix"),
    [*(("bert", prefix) for prefix in PREFIXES), *((name, "model.") for name in NAMES[1:])],
)
def test_a_wrappers_prefix_is_taken_off_and_said(edited: Edited, name: str, prefix: str) -> None:
    actual, wanted = read(edited(name, behind(prefix))), read(GOLDEN / name)
    assert actual.arrays.keys() == wanted.arrays.keys()
    for key, array in wanted.arrays.items():
        np.testing.assert_array_equal(actual.arrays[key], array)
    assert wanted.notes == []
    assert all("model.safetensors" in note and "a wrapper's" in note for note in actual.notes)
    assert any(part in note for note in actual.notes for part in prefix.split("."))


@pytest.mark.parametrize("prefix", ["module.", "encoder.", "bert_model.", "model.backbone."])
def test_a_bare_encoder_in_a_wrapper(edited: Edited, prefix: str) -> None:
    def change(tensors: Tensors) -> Tensors:
        bare = {key.removeprefix("bert."): array for key, array in tensors.items() if key.startswith("bert.")}
        return behind(prefix)(bare)

    actual = read(edited("bert", change), head="optional")
    assert actual.new_head == ["head.projection.weight", "head.projection.bias"]
    np.testing.assert_array_equal(
        actual.arrays["head.pooler.weight"], read(GOLDEN / "bert").arrays["head.pooler.weight"]
    )


@pytest.mark.parametrize("before", ["layer.1.", "electra."])
@pytest.mark.parametrize(
    "mark", ["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"]
)
def test_what_stands_inside_of_names(edited: Edited, before: str, mark: str) -> None:
    """FSDP, DataParallel and torch.compile wrap parts of a model as well."""
    folder = edited("electra", renaming(lambda key: key.replace(before, f"{before}{mark}.", 1)))
    actual = read(folder)
    np.testing.assert_array_equal(
        actual.arrays["encoder.layers.1.attention.query.bias"],
        read(GOLDEN / "electra").arrays["encoder.layers.1.attention.query.bias"],
    )
    assert f"{mark}. is removed" in actual.notes[0]


def test_a_head_outside_of_the_wrapped_encoder_is_not_taken_for_the_models_own(edited: Edited) -> None:
    """What a class of one's own computes between the two, its weights do not say."""
    folder = edited("bert", renaming(lambda key: key.replace("bert.", "encoder.", 1)))
    message = error_of(lambda: read(folder))
    assert "classifier.weight is missing" in message
    assert "classifier.weight (outside of encoder.) is unexpected" in message
    assert message.endswith("; save the state dict of the model alone")
    begun = read(folder, head="optional")
    assert begun.new_head == ["head.projection.weight", "head.projection.bias"]
    assert begun.unused == [f"classifier.{part} (outside of encoder.)" for part in ("bias", "weight")]


def test_a_head_of_a_name_of_its_own_begins_new_and_is_named(edited: Edited) -> None:
    """A class of one's own around transformers' model: ``self.bert``, ``self.fc``."""
    folder = edited("bert", renaming(lambda key: key.replace("classifier.", "fc.")))
    begun = read(folder, head="optional")
    assert begun.new_head == ["head.projection.weight", "head.projection.bias"]
    assert begun.unused == ["fc.bias", "fc.weight"]
    check_error(
        lambda: read(folder),
        folder / "model.safetensors",
        "has no head under its usual name",
        "fc.weight (3, 32), fc.bias (3,)",
        "classifier.weight",
    )


def test_a_pooler_is_not_proposed_for_a_head(edited: Edited) -> None:
    def bare(tensors: Tensors) -> Tensors:
        kept = {key.removeprefix("bert."): array for key, array in tensors.items()}
        return {key: array for key, array in kept.items() if not key.startswith("classifier.")}

    message = error_of(lambda: read(edited("bert", bare, classifier_head="linear")))
    assert "without a head to answer with" in message


def test_layers_beyond_the_configurations_are_no_head(edited: Edited) -> None:
    """The encoder's names without its prefix, as the bare encoder has them."""
    bare = renaming(lambda key: key.removeprefix("bert."))
    folder = edited("bert", bare, num_hidden_layers=1)
    assert "is unexpected" in error_of(lambda: read(folder, head="optional"))


@pytest.mark.parametrize("spare", ["2.linear.weight", "n_averaged", "criterion.weight"])
def test_what_else_a_wrapper_holds_is_left_aside_in_fine_tuning(edited: Edited, spare: str) -> None:
    one = np.ones((2, 2), np.float32)
    folder = edited("bert", lambda tensors: {**behind("0.auto_model.")(tensors), spare: one})
    assert read(folder, head="optional").unused == [f"{spare} (outside of 0.auto_model.)"]
    if spare == "n_averaged":  # a count of averaged weights' own
        assert read(folder).new_head == []
    else:
        assert f"{spare} (outside of 0.auto_model.) is unexpected" in error_of(lambda: read(folder))


def test_two_models_in_one_file(edited: Edited) -> None:
    folder = edited("bert", lambda tensors: {**behind("student.")(tensors), **behind("teacher.")(tensors)})
    check_error(lambda: read_config(folder), folder / "model.safetensors", "student., teacher.")


@pytest.mark.parametrize("family", ["roberta", "xlm_roberta", "mpnet"])
def test_another_familys_name_is_no_wrappers(edited: Edited, family: str) -> None:
    """RoBERTa's tensors are called like BERT's, but its positions begin at 2."""
    folder = edited("bert", renaming(lambda key: key.replace("bert.", f"{family}.", 1)))
    message = error_of(lambda: read_config(folder))
    assert "bert.embeddings.word_embeddings.weight is missing (the nearest there: " in message
    assert f"{family}.embeddings.word_embeddings.weight" in message


@pytest.mark.parametrize("spelling", ["gamma", "beta"])
def test_layer_norm_under_its_old_names(edited: Edited, spelling: str) -> None:
    plain = {"gamma": "weight", "beta": "bias"}[spelling]
    rename = renaming(lambda key: key.replace(f"LayerNorm.{plain}", f"LayerNorm.{spelling}"))
    actual = read(edited("bert", lambda tensors: behind("module.")(rename(tensors))))
    for key, array in read(GOLDEN / "bert").arrays.items():
        np.testing.assert_array_equal(actual.arrays[key], array)


def test_layer_norm_under_both_names(edited: Edited) -> None:
    norm = "bert.embeddings.LayerNorm"
    folder = edited("bert", lambda tensors: {**tensors, f"{norm}.gamma": tensors[f"{norm}.weight"]})
    assert "under two names" in error_of(lambda: read(folder))


def test_every_way_of_opening_says_it_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_edited(tmp_path, "bert", behind("module."))
    model = load_classifier(folder)
    load_classifier(folder)
    load_encoder(folder)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(
        f"note: {folder / 'model.safetensors'}: module. is removed from the names of 41 of 41"
    )
    np.testing.assert_array_equal(
        arrays_of(model)["head.projection.bias"], read(GOLDEN / "bert").arrays["head.projection.bias"]
    )


def test_conversion_takes_it_off_as_well(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    notes = convert(write_edited(tmp_path / "m", "bert", behind("module.")), tmp_path / "new", "huggingface")
    assert "module." in notes[0]
    assert open_weights(tmp_path / "new").notes == []
    assert read(tmp_path / "new").arrays.keys() == read(GOLDEN / "bert").arrays.keys()


def test_names_that_do_not_fit_are_shown_on_both_sides(edited: Edited) -> None:
    folder = edited("bert", renaming(lambda key: key.replace("attention.self.query", "attention.self.q")))
    message = error_of(lambda: read(folder, head="optional"))
    expected, there = (
        "bert.encoder.layer.0.attention.self.query.weight",
        "bert.encoder.layer.0.attention.self.q.weight",
    )
    assert f"{expected} is missing (the nearest there: {there}" in message
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"] == 2
