"""--label_map reaches every place where a fine-tuned sentence model is opened: transformers leaves two
labels' names, and even their number, out of config.json."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from checkpoints import convert
from checkpoints.folder import read_config
from common.errors import InputError
from deploy import export, infer, predict
from glue import run_eval, run_glue, run_predict
from scripts.tiny_model import write_model_folder
from tests.deploy.tiny_models import write_classifier, write_span_model

NAMES = "not_entailment,entailment"
needs_onnx = pytest.mark.skipif(
    not (find_spec("onnx") and find_spec("onnxruntime")), reason="onnx and onnxruntime are an extra"
)


def unnamed(folder: Path, **settings: object) -> Path:
    """A fine-tuned model as transformers saves one with two labels."""
    model = write_classifier(folder, "", ["a", "b"])
    (model / "manifest.json").unlink(missing_ok=True)
    values = json.loads((model / "config.json").read_text(encoding="utf-8"))
    for key in ("id2label", "label2id", "finetuning_task", "max_seq_length"):
        values.pop(key)
    (model / "config.json").write_text(json.dumps({**values, **settings}), encoding="utf-8")
    return model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return unnamed(tmp_path)


def argv(sample: Path, model: Path, *more: str) -> list[str]:
    return ["--task_name", "rte", "--ckpt_path", str(model), "--data_dir", str(sample), *more]


def test_scores_and_predictions_take_it(
    model: Path, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = []
    for names in (NAMES, "entailment,not_entailment"):
        run_eval.main(argv(sample_dir, model, "--label_map", names))
        scores.append(json.loads(capsys.readouterr().out)["accuracy"])
    assert sum(scores) == pytest.approx(1)  # each row's other label
    run_predict.main(argv(sample_dir, model, "--label_map", NAMES, "--output_dir", str(tmp_path / "out")))
    with np.load(tmp_path / "out" / "RTE.npz") as file:
        logits, labels = file["logits"], file["labels"].tolist()
    assert labels == NAMES.split(",")
    answers = [
        line.split("\t")[1]
        for line in (tmp_path / "out" / "RTE.tsv").read_text(encoding="utf-8").splitlines()[1:]
    ]
    assert answers == [labels[number] for number in logits.argmax(axis=1)]


@pytest.mark.parametrize("engine", ["dynamic", pytest.param("onnx", marks=needs_onnx)])
def test_every_engine_takes_it(
    model: Path, sample_dir: Path, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_eval.main(argv(sample_dir, model, "--label_map", NAMES, "--engine", engine))
    assert 0 <= json.loads(capsys.readouterr().out)["accuracy"] <= 1


@pytest.mark.parametrize("settings", [{}, {"num_labels": 2}, {"finetuning_task": "rte"}])
def test_without_it_the_line_says_what_to_type(
    tmp_path: Path, sample_dir: Path, settings: dict[str, object]
) -> None:
    model = unnamed(tmp_path, **settings)
    with pytest.raises(InputError) as caught:
        run_eval.main(argv(sample_dir, model))
    assert str(caught.value.path) == str(model)
    for word in ("LABEL_0, LABEL_1", "--label_map entailment,not_entailment"):
        assert word in caught.value.message


@needs_onnx
def test_exports_take_it_and_say_so_without(
    model: Path, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, more in (("bare", []), ("named", ["--label_map", NAMES])):
        export.main(
            [
                "--model_path",
                str(model),
                "--save_inference_dir",
                str(tmp_path / name),
                "--format",
                "onnx",
                *more,
            ]
        )
    notes = capsys.readouterr().err
    assert notes.count("--label_map") == 1
    assert f"{model}: its labels are LABEL_0, LABEL_1; --label_map A,B,… names them" in notes
    assert read_config(tmp_path / "bare").id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert read_config(tmp_path / "named").id2label == dict(enumerate(NAMES.split(",")))
    infer.main(["--model_dir", str(tmp_path / "named"), "--text", "a", "--text_pair", "b"])
    assert "not_entailment 0." in capsys.readouterr().out
    run_eval.main(argv(sample_dir, tmp_path / "named"))
    named = json.loads(capsys.readouterr().out)
    run_eval.main(argv(sample_dir, tmp_path / "bare", "--label_map", NAMES))
    assert json.loads(capsys.readouterr().out) == named


def test_answers_take_it(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict.main(["--model_path", str(model), "--text", "a", "--text_pair", "b"])
    assert "LABEL_0" in capsys.readouterr().out
    predict.main(["--model_path", str(model), "--text", "a", "--text_pair", "b", "--label_map", "no, yes"])
    assert "probabilities: no 0." in capsys.readouterr().out
    for names, notes in (
        ("no", "has 2 labels, not 1"),
        ("no,no", "its own name"),
        ("no,", "its own name"),
    ):
        with pytest.raises(InputError, match=f"--label_map {names}: .*{notes}"):
            predict.main(["--model_path", str(model), "--label_map", names])
    spans = write_span_model(tmp_path / "spans", "1.1")
    with pytest.raises(InputError, match="answers questions and has no labels"):
        predict.main(["--model_path", str(spans), "--label_map", NAMES])


def test_a_known_task_names_its_labels_in_the_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = unnamed(tmp_path, finetuning_task="qnli")
    predict.main(["--model_path", str(model), "--text", "a", "--text_pair", "b"])
    assert "--label_map entailment,not_entailment names them" in capsys.readouterr().err
    with pytest.raises(InputError, match="expected entailment, not_entailment"):
        predict.main(["--model_path", str(model), "--label_map", "no,yes"])


def test_conversion_writes_the_names(model: Path, tmp_path: Path, sample_dir: Path) -> None:
    convert.main([str(model), str(tmp_path / "new"), "--to", "paddlenlp", "--label_map", NAMES])
    assert read_config(tmp_path / "new").id2label == dict(enumerate(NAMES.split(",")))


def test_training_keeps_the_head_it_names(model: Path, sample_dir: Path, tmp_path: Path) -> None:
    begun = ["--task_name", "rte", "--model_name_or_path", str(model), "--data_dir", str(sample_dir)]
    few = ["--max_steps", "1", "--output_dir", str(tmp_path / "run"), "--max_seq_length", "48"]
    run_glue.main([*begun, *few, "--label_map", NAMES, "--classifier_head", "dense"])
    assert read_config(tmp_path / "run" / "best").id2label == dict(enumerate(NAMES.split(",")))
    assert "begins new" not in (tmp_path / "run" / "train.log").read_text(encoding="utf-8")


def test_a_model_of_single_texts(
    tmp_path: Path, sample_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its type_vocab_size is 1: a second text's tokens have no embedding."""
    model, name = unnamed(tmp_path, type_vocab_size=1), "convbert.embeddings.token_type_embeddings.weight"
    tensors = safetensors.numpy.load_file(model / "model.safetensors")
    safetensors.numpy.save_file({**tensors, name: tensors[name][:1].copy()}, model / "model.safetensors")
    for refused in (
        lambda: run_eval.main(argv(sample_dir, model, "--label_map", NAMES)),
        lambda: run_glue.main(
            ["--task_name", "rte", "--model_name_or_path", str(model), "--data_dir", str(sample_dir),
             "--output_dir", str(tmp_path / "run")]
        ),
    ):  # fmt: skip
        with pytest.raises(InputError, match="type_vocab_size is 1: it reads single texts"):
            refused()
    with pytest.raises(InputError, match="was trained on one text"):
        predict.main(["--model_path", str(model), "--text", "a", "--text_pair", "b"])
    capsys.readouterr()
    predict.main(["--model_path", str(model), "--text", "a"])
    assert "label_id" in capsys.readouterr().out


def test_another_tasks_head_is_not_named(tmp_path: Path, sample_dir: Path) -> None:
    model = write_classifier(tmp_path, "sst-2", ["0", "1"])
    with pytest.raises(InputError, match="the checkpoint's head is one of sst-2, which is not kept for rte"):
        run_glue.main(
            ["--task_name", "rte", "--model_name_or_path", str(model), "--data_dir", str(sample_dir),
             "--output_dir", str(tmp_path / "run"), "--label_map", NAMES]
        )  # fmt: skip


def small(model: Path, data: Path, target: Path, *more: str) -> None:
    argv = ["--model_path", str(model), "--save_inference_dir", str(target), "--data_dir", str(data)]
    export.main([*argv, "--format", "onnx", "--int8", *more])


@needs_onnx
def test_8_bits_are_scored_by_what_labels_mean(
    tmp_path: Path, sample_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_classifier(tmp_path, "sst2", ["negative", "positive"])
    run_eval.main(
        [
            "--task_name",
            "sst-2",
            "--ckpt_path",
            str(model),
            "--data_dir",
            str(sample_dir),
            "--batch_size",
            "9",
        ]
    )
    accuracy = json.loads(capsys.readouterr().out)["accuracy"]
    small(model, sample_dir, tmp_path / "out")
    assert f"accuracy: {accuracy:.4f} before" in capsys.readouterr().out


@needs_onnx
@pytest.mark.parametrize(
    ("settings", "fragment"),
    [
        ({"finetuning_task": "rte"}, "--label_map entailment,not_entailment"),
        ({"finetuning_task": "imdb"}, "finetuning_task is 'imdb'"),
        ({}, "there is no finetuning_task"),
    ],
)
def test_8_bits_need_a_task_and_its_labels(
    tmp_path: Path, sample_dir: Path, settings: dict[str, object], fragment: str
) -> None:
    with pytest.raises(InputError) as caught:
        small(unnamed(tmp_path, **settings), sample_dir, tmp_path / "out")
    assert str(caught.value).startswith(str(tmp_path / "model"))
    assert fragment in str(caught.value)


def test_a_model_without_a_head_has_no_labels(tmp_path: Path, sample_dir: Path) -> None:
    write_model_folder(tmp_path / "source")
    argv = ["--task_name", "rte", "--model_name_or_path", str(tmp_path / "source"), "--from_scratch"]
    with pytest.raises(InputError, match=f"--label_map {NAMES}: the model has no head"):
        run_glue.main(
            [
                *argv,
                "--data_dir",
                str(sample_dir),
                "--output_dir",
                str(tmp_path / "run"),
                "--label_map",
                NAMES,
            ]
        )
