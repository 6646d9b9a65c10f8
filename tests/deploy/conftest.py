"""Exported models that the tests of deploy/ share; none of them writes to these folders."""

import importlib.util
from pathlib import Path

import pytest

# It is looked at for doctests, and imports what only the extra `serve` brings.
collect_ignore = [] if importlib.util.find_spec("uvicorn") else ["running.py"]


def _export(folder: Path, model: Path, kind: str = "onnx") -> Path:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from deploy.export import main

    main(["--model_path", str(model), "--save_inference_dir", str(folder / kind), "--format", kind])
    return folder / kind


@pytest.fixture(scope="session")
def sst2_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder for single sentences."""
    from tests.deploy.tiny_models import write_classifier

    return write_classifier(tmp_path_factory.mktemp("sst2"), "sst-2", ["0", "1"])


@pytest.fixture(scope="session")
def sst2(sst2_model: Path) -> Path:
    """Its ONNX export."""
    return _export(sst2_model.parent, sst2_model)


@pytest.fixture(scope="session")
def sst2_paddle(sst2_model: Path) -> Path:
    """Its Paddle export."""
    return _export(sst2_model.parent, sst2_model, "paddle")


@pytest.fixture(scope="session")
def rte(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX export for pairs."""
    from tests.deploy.tiny_models import write_classifier

    folder = tmp_path_factory.mktemp("rte")
    return _export(folder, write_classifier(folder, "rte", ["entailment", "not_entailment"]))


@pytest.fixture(scope="session")
def stsb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX export for scores from 0 to 5, its outputs in fifths."""
    from tests.deploy.tiny_models import write_classifier

    folder = tmp_path_factory.mktemp("stsb")
    return _export(folder, write_classifier(folder, "sts-b", ["score"], scale=5.0, bias=2.5))


@pytest.fixture(scope="session")
def squad_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder for questions on passages, SQuAD 1.1."""
    from tests.deploy.tiny_models import write_span_model

    return write_span_model(tmp_path_factory.mktemp("squad"), "1.1")


@pytest.fixture(scope="session")
def squad(squad_model_folder: Path) -> Path:
    """Its ONNX export."""
    return _export(squad_model_folder.parent, squad_model_folder)


@pytest.fixture(scope="session")
def joint_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the joint span head, SQuAD 2.0."""
    from tests.deploy.tiny_models import write_span_model

    return write_span_model(tmp_path_factory.mktemp("joint"), "2.0", head="joint")


@pytest.fixture(scope="session")
def joint(joint_model_folder: Path) -> Path:
    """Its ONNX export."""
    return _export(joint_model_folder.parent, joint_model_folder)
