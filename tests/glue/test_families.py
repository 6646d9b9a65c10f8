"""Every model type in a real fine-tuning: all options, a resumed run, a span head, pre-training."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints.folder import open_checkpoint, read_config
from checkpoints.network import load_classifier
from common.files import MANIFEST
from encoders.model_types import MODEL_TYPES
from encoders.tokenizer import Tokenizer
from glue import run_predict
from pretraining import run_pretrain
from squad import run_squad
from tests.glue.test_distributed import done, losses, start
from tests.glue.test_training_options import FLAGS, fine_tune
from tests.squad.colours import make_data
from training import trainer

GOLDEN = Path(__file__).parents[1] / "golden"
# Model type → a golden model of it, and a folder with a tokenizer of its kind; without one the sample's.
FAMILIES = {
    "convbert": ("convbert_small", ""),
    "electra": ("electra", ""),
    "bert": ("bert", ""),
    "ernie": ("ernie", ""),
    "roberta": ("roberta", "roberta_files"),
    "xlm-roberta": ("roberta", "xlm_spm"),
    "distilbert": ("distilbert", ""),
    "deberta-v2": ("deberta_v3", "deberta_spm"),
    "modernbert": ("modernbert", "modernbert"),
}
ROWS = 40  # of each file
NEW = ("roberta", "distilbert", "deberta-v2", "modernbert")  # the others have tests of each part


def test_the_table_has_every_model_type() -> None:
    assert set(FAMILIES) == set(MODEL_TYPES)


def write_folder(folder: Path, sample: Path, model_type: str) -> Path:
    """A small random model's folder, without weights."""
    golden, tokens = FAMILIES[model_type]
    source = GOLDEN / "tokenizer" / "subwords" / tokens if tokens else sample / "tiny-convbert"
    shutil.copytree(source, folder, dirs_exist_ok=True)
    config = json.loads((GOLDEN / golden / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": model_type, "max_position_embeddings": 130, "initializer_range": 0.2}
    for key in ("id2label", "label2id", "architectures"):
        del config[key]
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 4000}), encoding="utf-8")
    tokenizer = Tokenizer(folder)
    pad = tokenizer.token_id("pad_token")
    config |= {"vocab_size": len(tokenizer), "pad_token_id": pad}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def data(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's RTE, of each file the first rows."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "RTE").mkdir()
    for path in (sample_dir / "RTE").iterdir():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / "RTE" / path.name).write_text("".join(lines[: 1 + ROWS]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module", params=NEW)
def model(
    request: pytest.FixtureRequest, sample_dir: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A small model of the family with weights, as a run writes it."""
    folder = tmp_path_factory.mktemp(request.param)
    write_folder(folder / "random", sample_dir, request.param)
    fine_tune(data, folder / "random", folder / "run", "--from_scratch", "--max_steps", 1)
    return folder / "run" / "best"


def test_a_resumed_run_with_all_options_is_the_uninterrupted_one(
    data: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-Drop, FGM, the moving average, renewed layers and layer-wise decay."""
    flags = [*FLAGS, "--layer_lr_decay", 0.8, "--max_steps", 4, "--save_steps", 2, "--batch_size", 8]
    fine_tune(data, model, tmp_path / "straight", *flags)
    step = trainer.Trainer.step

    def cut_in_step_four(self: Any, batches: Any) -> int:
        if self.state.step == 3:
            raise KeyboardInterrupt
        return step(self, batches)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "step", cut_in_step_four)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(data, model, tmp_path / "cut", *flags)
    fine_tune(data, model, tmp_path / "cut", *flags, "--resume")
    for name in ("best/model.safetensors", "last/optimizer.safetensors", "history.jsonl", "scores.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name


def test_a_trained_folder_predicts_with_its_own_tokenizer(data: Path, model: Path, tmp_path: Path) -> None:
    argv = ["--task_name", "rte", "--ckpt_path", str(model), "--data_dir", str(data)]
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    for engine in ("dynamic", "onnx"):
        run_predict.main([*argv, "--output_dir", str(tmp_path / engine), "--engine", engine])
    assert (tmp_path / "dynamic" / "RTE.tsv").read_bytes() == (tmp_path / "onnx" / "RTE.tsv").read_bytes()
    assert load_classifier(model).config.model_type == read_config(model).model_type


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the launcher and gloo need Linux")
def test_two_processes_learn_as_one(sample_dir: Path, model: Path, project_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(sample_dir / "RTE", tmp_path / "RTE")
    still = ["--model_name_or_path", tmp_path / "model", "--max_steps", 4, "--logging_steps", 1]
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / MANIFEST).unlink()  # config.json is changed below
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    config = {
        key: 0.0 if key.endswith(("dropout", "dropout_prob")) else value for key, value in config.items()
    }
    (tmp_path / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name, processes, rows in (("one", 1, 16), ("two", 2, 8)):
        argv = [*still, "--output_dir", tmp_path / name, "--batch_size", rows]
        done(start(project_dir, tmp_path, "run_glue", processes, *argv))
    alone, together = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(alone) == 4
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("head", ["linear", "joint"])
def test_a_span_head_is_trained_and_answers(model: Path, head: str, tmp_path: Path) -> None:
    files = [
        make_data(tmp_path / f"{name}.json", 12, True, seed) for seed, name in enumerate(("train", "dev"))
    ]
    run_squad.main(
        [
            "--model_name_or_path", str(model), "--train_file", str(files[0]),
            "--predict_file", str(files[1]), "--output_dir", str(tmp_path / "run"),
            "--version_2_with_negative", "--do_train", "--do_predict", "--max_steps", "2",
            "--max_seq_length", "64", "--max_query_length", "24", "--doc_stride", "16",
            "--qa_head", head, *(["--beam_size", "3"] if head == "joint" else []),
        ]
    )  # fmt: skip
    assert open_checkpoint(tmp_path / "run" / "best").values["qa_head"] == head
    answers = json.loads((tmp_path / "run" / "predictions.json").read_text(encoding="utf-8"))
    assert len(answers) == 12


def test_pre_training_by_replaced_tokens(model: Path, tmp_path: Path) -> None:
    """With a generator half as wide, which shares the embeddings."""
    (tmp_path / "corpus").mkdir()
    lines = "".join(f"the good movie and the bad play of {number}\n" for number in range(200))
    (tmp_path / "corpus" / "train.data").write_text(lines, encoding="utf-8")
    run_pretrain.main(
        [
            "--model_name_or_path", str(model), "--input_dir", str(tmp_path / "corpus"),
            "--output_dir", str(tmp_path / "run"), "--objective", "rtd", "--max_steps", "2",
            "--max_seq_length", "32", "--batch_size", "4", "--generator_ratio", "0.5", "--logging_steps", "1",
        ]
    )  # fmt: skip
    scores = json.loads((tmp_path / "run" / "scores.json").read_text(encoding="utf-8"))
    assert 0 <= scores["last"]["detection_auc"] <= 1
    assert np.isfinite(scores["last"]["loss"])
