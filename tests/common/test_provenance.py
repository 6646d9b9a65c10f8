import json

import pytest

from common.errors import InputError
from common.provenance import Provenance, difference, model_digest, of_run, recorded_digest

A, B = "a" * 64, "b" * 64
SETTINGS = {"task_name": "rte", "recipe": {"seed": 1, "batch_size": 8}}
RECORD = Provenance(A, {"RTE/dev.tsv": B}, SETTINGS, "1.0")


@pytest.mark.parametrize(
    ("expected", "start"),
    [
        (Provenance(), None),
        (RECORD, None),
        (Provenance(model=A), None),
        (Provenance(settings={"recipe": {"seed": 1}}), None),
        (Provenance(model=B), "model aaaaaaaaaaaa, expected bbbbbbbbbbbb"),
        (Provenance(data={"RTE/dev.tsv": A}), "RTE/dev.tsv bbbbbbbbbbbb, expected aaaaaaaaaaaa"),
        (Provenance(data={"RTE/train.tsv": A}), "RTE/train.tsv unknown, expected aaaaaaaaaaaa"),
        (Provenance(settings={"recipe": {"seed": 2}}), "recipe.seed 1, expected 2"),
        (Provenance(settings={"preset": "authors"}), "preset None, expected 'authors'"),
        (Provenance(code="2.0"), "code '1.0', expected '2.0'"),
    ],
)
def test_only_what_is_expected_is_compared(expected, start):
    assert difference(expected, RECORD) == ([start] if start else [])


def test_an_unknown_digest_differs_unless_it_may_be_unknown():
    assert difference(RECORD, Provenance(settings=RECORD.settings, code="1.0"))
    assert not difference(RECORD, Provenance(settings=RECORD.settings, code="1.0"), unknown_may_pass=True)
    assert difference(Provenance(model=A), Provenance(model=B), unknown_may_pass=True)


def test_the_record_of_a_run_is_read_from_its_args():
    args = {
        "task_name": "rte",
        "model_sha256": A,
        "recipe": {"seed": 1, "batch_size": 8},
        "data": {"RTE/dev.tsv": {"rows": 277, "sha256": B}},
        "versions": {"convbert-glue": "1.0", "paddle": "3.3.1"},
    }
    assert of_run(args) == RECORD
    assert of_run({"data": 3, "versions": None, "model_sha256": None}) == Provenance()


@pytest.mark.parametrize(
    "digests",
    [
        None,
        {},
        {"model.safetensors": A, "vocab.txt": B},
        {"model.safetensors": 1, "config.json": B, "vocab.txt": B},
    ],
)
def test_a_manifest_of_something_else_names_no_model(tmp_path, digests):
    (tmp_path / "manifest.json").write_text(json.dumps({"sha256": digests}), encoding="utf-8")
    with pytest.raises(InputError) as error:
        recorded_digest(tmp_path)
    assert (error.value.path, error.value.code) == (tmp_path / "manifest.json", "manifest")


def test_a_model_is_named_by_weights_configuration_and_vocabulary(tmp_path):
    digests = {"model.safetensors": A, "config.json": B, "vocab.txt": A, "README.md": B}
    (tmp_path / "manifest.json").write_text(json.dumps({"sha256": digests}), encoding="utf-8")
    digest = recorded_digest(tmp_path)
    assert digest == model_digest(digests, ["model.safetensors"], "config.json")
    assert digest != model_digest({**digests, "vocab.txt": B}, ["model.safetensors"], "config.json")
    assert digest == model_digest({**digests, "README.md": A}, ["model.safetensors"], "config.json")
