"""The exported folder: whole, damaged, foreign."""

import json
from pathlib import Path

import numpy as np
import pytest

from checkpoints.network import load_classifier
from common.errors import InputError
from common.files import write_manifest
from common.locks import Lock
from encoders.batching import pack, pad
from encoders.framework import paddle
from encoders.tokenizer import Tokenizer
from inference.export import export
from inference.exported import read_exported
from inference.graph_engine import open_engine
from tests.inference.golden_models import GOLDEN
from tests.rounding import assert_close

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.fixture
def exported(tmp_path: Path, tokenizer: Tokenizer) -> Path:
    export(load_classifier(GOLDEN / "electra"), tokenizer, "a digest", tmp_path / "out", "onnx")
    return tmp_path / "out"


def fault_of(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_engine(folder)(pad(pack([([1, 2], 1)]), np.array([0]), 0))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_carries_all_that_answering_needs(exported: Path) -> None:
    assert sorted(path.name for path in exported.iterdir()) == [
        "config.json", "export.json", "manifest.json", "model.onnx", "tokenizer_config.json", "vocab.txt",
    ]  # fmt: skip
    result = read_exported(exported)
    assert (result.digest, result.format, result.head) == ("a digest", "onnx", "sentence")
    assert result.config.id2label == load_classifier(GOLDEN / "electra").config.id2label


@pytest.mark.parametrize("name", ["model.onnx", "vocab.txt", "config.json", "export.json"])
def test_a_changed_file_is_noticed(name: str, exported: Path) -> None:
    content = bytearray((exported / name).read_bytes())
    content[len(content) // 2] ^= 1
    (exported / name).write_bytes(content)
    assert name in fault_of(exported)


def test_a_missing_file_is_named(exported: Path) -> None:
    (exported / "model.onnx").unlink()
    assert f"{exported}/model.onnx: no such file" in fault_of(exported)


def test_a_graph_that_is_none_is_named(exported: Path) -> None:
    (exported / "model.onnx").write_bytes(b"no graph")
    write_manifest(exported)
    assert "ONNX Runtime cannot load it" in fault_of(exported)


@pytest.mark.parametrize(
    "change", [{"format": "torch"}, {"head": []}, {"graph": "../model.onnx"}, {"graph": ""}]
)
def test_a_description_that_is_none_is_named(change: dict[str, object], exported: Path) -> None:
    path = exported / "export.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    write_manifest(exported)
    assert "export.json: is not what deploy.export writes" in fault_of(exported)


def test_paddle_2_says_that_it_cannot_read_paddle_3s_graph(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would crash."""
    description = json.loads((exported / "export.json").read_text(encoding="utf-8"))
    (exported / "export.json").write_text(
        json.dumps({**description, "format": "paddle", "graph": "model.json"}), encoding="utf-8"
    )
    for name in ("model.json", "model.pdiparams"):
        (exported / name).write_text("{}", encoding="utf-8")
    write_manifest(exported)
    monkeypatch.setattr(paddle, "__version__", "2.6.2")
    assert "model.json: Paddle 3 wrote it, and this one (2.6.2) cannot read it" in fault_of(exported)


def test_another_folder_is_no_export(tmp_path: Path) -> None:
    assert "no such folder" in fault_of(tmp_path / "nothing")
    assert "holds no export.json" in fault_of(GOLDEN / "bert")


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(InputError, match="holds other things"):
        export(load_classifier(GOLDEN / "bert"), tokenizer, "", tmp_path / "mine", "onnx")
    assert (tmp_path / "mine" / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_an_engine_keeps_the_graph_it_was_opened_with(exported: Path, tokenizer: Tokenizer) -> None:
    """Another export takes the folder's place before the engine is first used, alone or with others."""
    batch = pad(pack([([1, 2, 3], 1), ([1, 4], 2)]), np.array([0, 1]), 0)
    wanted = open_engine(exported)(batch)["logits"]
    engine = open_engine(exported, threads=2)
    paddle.seed(9)
    other = load_classifier(GOLDEN / "electra")
    other.head.projection.bias.set_value(other.head.projection.bias + 1.0)
    export(other, tokenizer, "another", exported, "onnx")
    assert not np.allclose(open_engine(exported)(batch)["logits"], wanted)
    for compute in (engine, engine.run_beside_others):
        assert_close(compute(batch)["logits"], wanted)


@pytest.mark.parametrize("change", ["labels", "head"])
def test_another_models_graph_is_named(change: str, exported: Path) -> None:
    """With a manifest that fits: the folder was put together from two."""
    config = json.loads((exported / "config.json").read_text(encoding="utf-8"))
    description = json.loads((exported / "export.json").read_text(encoding="utf-8"))
    if change == "labels":
        config["id2label"] = {str(number): f"label {number}" for number in range(7)}
        config["label2id"] = {f"label {number}": number for number in range(7)}
    else:
        description["head"] = "spans"
    (exported / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (exported / "export.json").write_text(json.dumps(description), encoding="utf-8")
    write_manifest(exported)
    assert "is not the graph of this folder's model" in fault_of(exported)


def test_a_killed_exports_predecessor_is_named(exported: Path) -> None:
    exported.rename(exported.with_name(".out.before"))
    assert f"{exported.with_name('.out.before')} is the one before it" in fault_of(exported)


def test_two_exports_do_not_share_a_folder(exported: Path, tokenizer: Tokenizer) -> None:
    lock = Lock(exported.with_name(".out.lock"))
    with pytest.raises(InputError, match="another run is at work there"):
        export(load_classifier(GOLDEN / "electra"), tokenizer, "b", exported, "onnx")
    lock.free()
    export(load_classifier(GOLDEN / "electra"), tokenizer, "b", exported, "onnx")
    assert read_exported(exported).digest == "b"
    assert not exported.with_name(".out.lock").exists()
