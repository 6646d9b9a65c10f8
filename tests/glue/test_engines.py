"""glue.run_predict and glue.run_eval on every engine: the same labels, the same files."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from checkpoints.folder import digest_of, save_checkpoint
from checkpoints.network import arrays_of, load_classifier
from common.errors import InputError, UsageError
from deploy.export import main as export
from encoders.batching import Batch
from encoders.cpu import kernels
from encoders.tokenizer import Tokenizer
from glue import run_eval, run_predict, task_model
from glue.tasks import TASKS
from inference import engine_choice, onnx_engine
from tests.deploy.tiny_models import write_classifier, write_span_model
from tests.rounding import assert_close

CLOSE = 1e-4  # what the logits of a close model are multiplied by


def write_model(folder: Path, name: str, spread: float = 1.0) -> Path:
    """A model of a task with random weights, and with logits that lie ``spread`` times as far apart."""
    task = TASKS[name]
    labels, (scale, bias) = list(task.labels), (1.0, 0.0) if task.labels else (5.0, 5.0)
    model = write_classifier(folder, name, labels or ["score"], scale=scale, bias=bias)
    if spread != 1.0:
        network = load_classifier(model)
        for parameter in network.head.projection.parameters():
            parameter.set_value(parameter.numpy() * spread)
        save_checkpoint(model, network.config, arrays_of(network), Tokenizer(model))
    return model


def predict(model: Path, name: str, sample: Path, target: Path, *argv: str) -> list[tuple[str, np.ndarray]]:
    """File by file the text of the .tsv, and the logits beside it."""
    run_predict.main(
        ["--task_name", name, "--ckpt_path", str(model), "--data_dir", str(sample), "--output_dir",
         str(target), *argv]
    )  # fmt: skip
    files = [target / part.submission_file for part in TASKS[name].of_kind("test")]
    assert sorted(target.glob("*.tsv")) == sorted(files)
    return [(file.read_text(encoding="utf-8"), np.load(file.with_suffix(".npz"))["logits"]) for file in files]


@pytest.mark.parametrize("name", [name for name in TASKS if TASKS[name].labels])
def test_labels_are_those_of_the_network(name: str, sample_dir: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path, name)
    wanted = predict(model, name, sample_dir, tmp_path / "dynamic", "--engine", "dynamic")
    answered = predict(model, name, sample_dir, tmp_path / "onnx", "--engine", "onnx")
    for (text, logits), (other, others) in zip(wanted, answered, strict=True):
        assert other == text
        assert len(set(text.splitlines())) > 3
        assert_close(others, logits)


@pytest.mark.parametrize("name", ["mnli", "cola"])
def test_labels_are_those_of_the_network_where_logits_are_close(
    name: str, sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an engine whose logits are off by up to 5e-5, and which alone would answer otherwise."""
    model = write_model(tmp_path, name, CLOSE)
    wanted = predict(model, name, sample_dir, tmp_path / "dynamic", "--engine", "dynamic")
    run, noise = onnx_engine._LazySession.__call__, np.random.default_rng(1)

    def run_roughly(session: onnx_engine._LazySession, batch: Batch) -> dict[str, np.ndarray]:
        logits = run(session, batch)["logits"]
        return {"logits": logits + noise.choice([-5e-5, 5e-5], logits.shape).astype(np.float32)}

    exported_engine = engine_choice.exported_engine

    def rough_engine(*argv: object) -> object:
        monkeypatch.setattr(onnx_engine._LazySession, "__call__", run)
        engine = exported_engine(*argv)  # type: ignore[arg-type]
        monkeypatch.setattr(onnx_engine._LazySession, "__call__", run_roughly)  # when it has been compared
        return engine

    monkeypatch.setattr(task_model, "exported_engine", rough_engine)
    answered = predict(model, name, sample_dir, tmp_path / "settled", "--engine", "onnx")
    assert [text for text, _ in answered] == [text for text, _ in wanted]
    monkeypatch.setattr("inference.tie_breaking.NEAR_TIE", 0.0)
    answered = predict(model, name, sample_dir, tmp_path / "alone", "--engine", "onnx")
    assert [text for text, _ in answered] != [text for text, _ in wanted]


def test_numbers_are_those_of_the_network_to_the_fourth_decimal(sample_dir: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path, "sts-b", 0.1)  # around 2.5
    scores = []
    for engine in ("dynamic", "onnx"):
        ((text, logits),) = predict(model, "sts-b", sample_dir, tmp_path / engine, "--engine", engine)
        scores.append([float(line.split("\t")[1]) for line in text.splitlines()[1:]])
        np.testing.assert_allclose(np.clip(logits[:, 0], 0, 5), scores[-1], atol=1e-5)
    assert len(set(scores[0])) > 20
    np.testing.assert_allclose(scores[0], scores[1], atol=6e-5)  # 1e-5 in fifths, and the last decimal's half


@pytest.mark.long
def test_labels_are_those_of_the_network_on_paddles_graph(sample_dir: Path, tmp_path: Path) -> None:
    for spread, number in ((1.0, "far"), (CLOSE, "close")):
        model = write_model(tmp_path / number, "rte", spread)
        wanted = predict(model, "rte", sample_dir, tmp_path / number / "a", "--engine", "dynamic")
        answered = predict(model, "rte", sample_dir, tmp_path / number / "b", "--engine", "paddle")
        assert [text for text, _ in answered] == [text for text, _ in wanted]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    model = write_model(folder, "rte")
    export(["--model_path", str(model), "--save_inference_dir", str(folder / "onnx"), "--format", "onnx"])
    return folder


def test_an_exported_folder_answers_as_its_model(exported: Path, sample_dir: Path, tmp_path: Path) -> None:
    files = []
    for name, engine in (("model", "dynamic"), ("onnx", "auto"), ("onnx", "onnx")):
        target = tmp_path / f"{name}-{engine}"
        files.append(predict(exported / name, "rte", sample_dir, target, "--engine", engine)[0][0])
        digest = str(np.load(target / "RTE.npz")["checkpoint_digest"])
        assert digest == digest_of(exported / "model")
    assert files[0] == files[1] == files[2]


def test_dev_scores_are_the_same(
    exported: Path, sample_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = []
    for name, engine in (("model", "dynamic"), ("model", "onnx"), ("onnx", "auto")):
        run_eval.main(
            ["--task_name", "rte", "--ckpt_path", str(exported / name), "--data_dir", str(sample_dir),
             "--engine", engine]
        )  # fmt: skip
        scores.append(json.loads(capsys.readouterr().out))
    losses = [answered.pop("loss") for answered in scores]
    assert scores[0] == scores[1] == scores[2]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


@pytest.mark.parametrize(
    ("engine", "message"),
    [("paddle", "exported onnx graph; leave --engine out"), ("dynamic", "graph; name the model folder")],
)
def test_an_exported_folder_has_the_engine_it_is_for(
    exported: Path, sample_dir: Path, tmp_path: Path, engine: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        predict(exported / "onnx", "rte", sample_dir, tmp_path, "--engine", engine)


def test_an_exported_folder_is_not_written_to(exported: Path, sample_dir: Path) -> None:
    with pytest.raises(UsageError, match="name the --output_dir"):
        run_predict.main(
            ["--task_name", "rte", "--ckpt_path", str(exported / "onnx"), "--data_dir", str(sample_dir)]
        )


def test_an_exported_folder_of_another_kind_is_refused(
    exported: Path, sample_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="is a checkpoint of rte, not of qnli"):
        predict(exported / "onnx", "qnli", sample_dir, tmp_path / "a")
    model = write_span_model(tmp_path, "1.1")
    export(["--model_path", str(model), "--save_inference_dir", str(tmp_path / "o"), "--format", "onnx"])
    with pytest.raises(InputError, match=r"is a checkpoint of squad_1\.1, not of rte"):
        predict(tmp_path / "o", "rte", sample_dir, tmp_path / "b")


def test_auto_goes_on_where_the_graph_is_refused(
    exported: Path, sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(engine_choice, "MIN_TOKENS_FOR_GRAPH", 0)
    monkeypatch.setattr(kernels, "library", lambda: None)
    wanted = predict(exported / "model", "rte", sample_dir, tmp_path / "a")
    assert "note: runs on --engine onnx" in capsys.readouterr().err
    monkeypatch.setattr("inference.limits.MAX_EPSILONS", 0.0)
    monkeypatch.setattr("inference.limits.MAX_ROUNDINGS", 0.0)
    answered = predict(exported / "model", "rte", sample_dir, tmp_path / "b")
    assert "note: runs on --engine dynamic: " in capsys.readouterr().err
    assert [text for text, _ in answered] == [text for text, _ in wanted]
