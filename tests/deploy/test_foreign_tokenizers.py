"""Export, inference and serving of models whose tokenizer is tokenizer.json, and --do_lower_case on each."""

import json
import shutil
from pathlib import Path

import pytest

from deploy import serve
from deploy.export import main as export
from deploy.infer import main as infer
from deploy.model_loading import open_exported
from deploy.network_loading import open_model_folder
from deploy.predict import main as predict
from encoders.tokenizer import SPECIALS, Tokenizer
from tests.golden.tokenizer_folders import library_tokenizer

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

TEXT = "A Very Good film"
ONNX = ("--format", "onnx")


@pytest.fixture
def model(sst2_model: Path, tmp_path: Path) -> Path:
    """The model of single sentences, with tokenizer.json in place of vocab.txt."""
    folder = tmp_path / "model"
    shutil.copytree(sst2_model, folder)
    for name in ("vocab.txt", "tokenizer_config.json", "manifest.json"):
        (folder / name).unlink()
    library_tokenizer(list(Tokenizer(sst2_model).vocabulary), SPECIALS).save(str(folder / "tokenizer.json"))
    return folder


def test_it_answers_as_with_vocab_txt(model: Path, sst2_model: Path) -> None:
    assert open_model_folder(model).answer([(TEXT,)]) == open_model_folder(sst2_model).answer([(TEXT,)])


def test_an_export_keeps_the_tokenizer(model: Path, tmp_path: Path) -> None:
    export([*ONNX, "--model_path", str(model), "--save_inference_dir", str(tmp_path / "exported")])
    assert (tmp_path / "exported" / "tokenizer.json").is_file()
    assert Tokenizer(tmp_path / "exported").encode_plain([TEXT]) == Tokenizer(model).encode_plain([TEXT])
    (answer,) = open_exported(tmp_path / "exported").answer([(TEXT,)])
    (wanted,) = open_model_folder(model).answer([(TEXT,)])
    assert answer["prob"] == pytest.approx(wanted["prob"], abs=1e-4)


def test_the_flag_of_an_export_is_kept(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [*ONNX, "--model_path", str(model), "--save_inference_dir", str(tmp_path / "cased")]
    export([*argv, "--do_lower_case", "false"])
    assert (
        json.loads((tmp_path / "cased" / "tokenizer_config.json").read_text(encoding="utf-8"))[
            "do_lower_case"
        ]
        is False
    )
    capsys.readouterr()
    for main, folder, more in (
        (predict, ["--model_path", str(model)], ["--do_lower_case", "false"]),
        (infer, ["--model_dir", str(tmp_path / "cased")], []),
        (infer, ["--model_dir", str(tmp_path / "cased")], ["--do_lower_case"]),
        (predict, ["--model_path", str(model)], []),
    ):
        main([*folder, "--text", TEXT, "--json", *more])
    cased, also_cased, lower, also_lower = map(json.loads, capsys.readouterr().out.splitlines())
    assert cased["prob"] == pytest.approx(also_cased["prob"], abs=1e-4)
    assert lower["prob"] == pytest.approx(also_lower["prob"], abs=1e-4)
    assert abs(cased["prob"] - lower["prob"]) > 1e-3


def test_the_service_takes_the_flag() -> None:
    parser = serve.make_parser()
    assert parser.parse_args(["--model_dir", "x", "--do_lower_case", "false"]).do_lower_case is False
    assert parser.parse_args(["--model_dir", "x"]).do_lower_case is None
