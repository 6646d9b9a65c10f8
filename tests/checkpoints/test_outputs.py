"""What a configuration says of the outputs: their names, and what is computed after them."""

from collections.abc import Callable
from typing import Any

import pytest

from checkpoints.folder import read_config
from tests.checkpoints.golden_folders import GOLDEN, Edited, error_of, without

SIGMOID = "torch.nn.modules.activation.Sigmoid"
CROSS_ENCODERS = [
    lambda function: {"sentence_transformers": {"activation_fn": function, "version": "4.1.0"}},
    lambda function: {"sbert_ce_default_activation_function": function},
]


@pytest.mark.parametrize("settings", CROSS_ENCODERS)
def test_what_a_cross_encoder_computes_after_its_one_logit_is_refused(
    edited: Edited, settings: Callable[[str | None], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    one = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    message = error_of(lambda: read_config(edited("bert", **one, **settings(SIGMOID))))
    assert f": {next(iter(settings(None)))}" in message
    assert f" '{SIGMOID}' is not supported" in message
    for nothing in ("torch.nn.modules.linear.Identity", None):
        read_config(edited("bert", **one, **settings(nothing)))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("settings", CROSS_ENCODERS)
def test_what_keeps_the_greatest_of_several_logits_is_a_note(
    edited: Edited, settings: Callable[[str], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_config(edited("bert", **settings(SIGMOID))) == read_config(GOLDEN / "bert")
    assert f"'{SIGMOID}', is left out: it does not change which label" in capsys.readouterr().err
    assert "is not supported" in error_of(lambda: read_config(edited("bert", **settings("x.Negated"))))


def test_labels_may_stand_in_label2id_alone(edited: Edited) -> None:
    folder = without(edited("bert", label2id={"c": 2, "a": 0, "b": 1}), "id2label")
    assert read_config(folder).id2label == {0: "a", 1: "b", 2: "c"}


PLACEHOLDERS = {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}


def test_names_in_label2id_go_before_placeholders(edited: Edited, capsys: pytest.CaptureFixture[str]) -> None:
    folder = edited("bert", id2label=PLACEHOLDERS, label2id={"c": "2", "a": "0", "b": "1"})
    assert read_config(folder).id2label == {0: "a", 1: "b", 2: "c"}
    assert "label2id names the labels: 0 is a, 1 is b, 2 is c" in capsys.readouterr().err
    assert read_config(without(folder, "id2label")).id2label == {0: "a", 1: "b", 2: "c"}


def test_label2id_of_other_ids_names_nothing(edited: Edited, capsys: pytest.CaptureFixture[str]) -> None:
    folder = edited("bert", id2label=PLACEHOLDERS, label2id={"a": 1, "b": 2, "c": 3})
    assert list(read_config(folder).id2label.values()) == list(PLACEHOLDERS.values())
    assert "names the ids 0, 1, 2; label2id names 1, 2, 3" in capsys.readouterr().err


def test_placeholders_in_label2id_say_nothing(edited: Edited, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_config(edited("bert", label2id={"LABEL_0": 0, "LABEL_1": 1})) == read_config(GOLDEN / "bert")
    assert capsys.readouterr().err == ""


def test_a_map_that_contradicts_the_other_is_said(edited: Edited, capsys: pytest.CaptureFixture[str]) -> None:
    contrary = {"contradiction": 1, "entailment": 0, "neutral": 2}
    assert read_config(edited("bert", label2id=contrary)) == read_config(GOLDEN / "bert")
    assert "id2label is used: contradiction is 0 there and 1 in label2id" in capsys.readouterr().err
