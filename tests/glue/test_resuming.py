"""``--resume`` alone goes on as the run was begun, whatever has become of the model it began with."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from checkpoints.folder import digest_of, read_config, save_checkpoint
from checkpoints.network import arrays_of
from common.errors import InputError
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.tokenizer import Tokenizer
from glue import run_glue
from training import trainer

# Not one of them is a default.
SETTINGS = (
    "--max_steps", "6", "--learning_rate", "1e-3", "--logging_steps", "2", "--save_steps", "3", "--seed", "7",
    "--preset", "reference", "--eval_batch_size", "16", "--classifier_head", "linear",
)  # fmt: skip
OUTCOME = ("last/model.safetensors", "last/optimizer.safetensors", "best/model.safetensors", "history.jsonl",
           "scores.json", "args.json")  # fmt: skip


def begin(position: Path, sample: Path, output: Path) -> None:
    run_glue.main(
        ["--task_name", "RTE", "--model_name_or_path", str(position / "model"), "--data_dir", str(sample),
         "--output_dir", str(output), *SETTINGS]
    )  # fmt: skip


def resume(output: Path, *more: str) -> None:
    run_glue.main(["--resume", "--output_dir", str(output), *more])


@pytest.fixture(scope="module")
def begun(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with weights; ``whole``, a run of it left alone; ``cut``, one stopped after its first save."""
    position = tmp_path_factory.mktemp("resuming")
    paddle.seed(3)
    config = read_config(sample_dir / "tiny-convbert")
    network = SentenceClassifier(config)
    save_checkpoint(position / "model", config, arrays_of(network), Tokenizer(sample_dir / "tiny-convbert"))
    begin(position, sample_dir, position / "whole")
    step = trainer.Trainer.step

    def cut_in_step_five(self: Any, batches: Any) -> int:
        if self.state.step == 4:
            raise KeyboardInterrupt
        return step(self, batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.Trainer, "step", cut_in_step_five)
        with pytest.raises(KeyboardInterrupt):
            begin(position, sample_dir, position / "cut")
    return position


@pytest.fixture
def cut(begun: Path, tmp_path: Path) -> Path:
    """A copy of the run that was stopped."""
    return Path(shutil.copytree(begun / "cut", tmp_path / "run"))


def assert_as_if_left_alone(begun: Path, run: Path) -> None:
    for name in OUTCOME:
        assert (run / name).read_bytes() == (begun / "whole" / name).read_bytes(), name


def test_no_other_flag_is_needed(begun: Path, cut: Path) -> None:
    resume(cut)
    assert_as_if_left_alone(begun, cut)
    assert (cut / "train.log").read_text(encoding="utf-8").count("resuming after step 3") == 1


def test_the_model_it_began_with_may_be_gone(
    begun: Path, cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = json.loads((cut / "args.json").read_text(encoding="utf-8"))
    assert args["model_sha256"] == digest_of(begun / "model")
    moved = tmp_path / "gone"
    (begun / "model").rename(moved)
    try:
        resume(cut)
    finally:
        moved.rename(begun / "model")
    assert_as_if_left_alone(begun, cut)
    assert "begins" not in capsys.readouterr().err  # neither the head nor every weight


@pytest.mark.parametrize("spelling", ["relative", "slash", "link", "copy"])
def test_the_same_model_under_another_path(
    begun: Path, cut: Path, tmp_path: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = begun / "model"
    (tmp_path / "link").symlink_to(model)
    shutil.copytree(model, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    names = {"relative": os.path.relpath(model), "slash": f"{model}/"}
    resume(cut, "--model_name_or_path", names.get(spelling, spelling))
    assert_as_if_left_alone(begun, cut)


def test_another_model_is_refused(begun: Path, cut: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(begun / "model", tmp_path / "other"))
    tensors = safetensors.numpy.load_file(other / "model.safetensors")
    safetensors.numpy.save_file(
        {k: v + np.float32(1e-3) for k, v in tensors.items()}, other / "model.safetensors"
    )
    with pytest.raises(InputError) as raised:
        resume(cut, "--model_name_or_path", str(other))
    assert str(raised.value) == (
        f"--model_name_or_path {other}: this run was begun with another model, {begun / 'model'}; leave "
        "the flag out, or take another --output_dir"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seed", "8"], "begun with recipe.seed 7, not 8"),
        (["--preset", "authors"], "--preset authors: this run was begun with reference"),
        (["--task_name", "wnli"], "begun with task_name rte, not wnli"),
        (["--model_type", "bert"], "--model_type bert: "),
        (["--overwrite_output_dir"], "--resume and --overwrite_output_dir exclude each other"),
    ],
)
def test_flags_that_contradict_the_run(cut: Path, flags: list[str], message: str) -> None:
    before = (cut / "last" / "model.safetensors").read_bytes()
    with pytest.raises(InputError) as raised:
        resume(cut, *flags)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert (cut / "last" / "model.safetensors").read_bytes() == before


def test_a_config_file_that_contradicts_the_run(begun: Path, cut: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("weight_decay: 0.5\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"begun with recipe.weight_decay 0\.01, not 0\.5"):
        resume(cut, "--config", str(tmp_path / "c.yaml"))
    (tmp_path / "c.yaml").write_text("learning_rate: 1e-3\n", encoding="utf-8")
    resume(cut, "--config", str(tmp_path / "c.yaml"), "--learning_rate", "1e-3")
    assert_as_if_left_alone(begun, cut)


def test_the_data_may_have_moved(begun: Path, cut: Path, sample_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(sample_dir / "RTE", tmp_path / "data" / "RTE")
    resume(cut, "--data_dir", str(tmp_path / "data"))
    assert_as_if_left_alone(begun, cut)


def test_a_run_stopped_before_its_first_save_begins_anew(begun: Path, cut: Path) -> None:
    for name in ("last", "best"):
        shutil.rmtree(cut / name)
    (cut / "scores.json").unlink()
    resume(cut)
    assert_as_if_left_alone(begun, cut)


def test_a_damaged_save_and_the_one_before(
    begun: Path, cut: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(cut / "last", cut / "previous")
    (cut / "last" / "config.json").write_text("{", encoding="utf-8")  # what is read first
    resume(cut)
    assert f"going on from {cut / 'previous'}" in capsys.readouterr().err
    assert_as_if_left_alone(begun, cut)


def test_where_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        resume(tmp_path / "absent")
    assert str(raised.value) == (
        f"{tmp_path / 'absent' / 'args.json'}: no such file, so there is no run to resume; a new one needs "
        "--task_name or --task_file, --model_name_or_path"
    )
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "args.json: not JSON"),
        ("[]", "args.json: expected a JSON object"),
        ({"recipe": {"seed": "x"}}, "args.json: recipe: seed: expected int, found 'x'"),
        ({"recipe": {"sneed": 1}}, "args.json: holds no settings of this version"),
        ({"recipe": None}, "args.json: holds no settings of this version"),
        ({"device": "tpu"}, "args.json: device 'tpu' is none of cpu, gpu, xpu; name the flag itself"),
        ({"data_dir": 5}, "5: no such folder"),
        ({"task_name": None}, "args.json: is of no run; a new one needs --task_name"),
        (
            {"task_name": "squad_1.1"},
            "args.json: the run is one of 'squad_1.1': `python -m glue.run_glue` does not resume it",
        ),
    ],
)
def test_settings_that_were_damaged(cut: Path, content: Any, message: str) -> None:
    args = json.loads((cut / "args.json").read_text(encoding="utf-8"))
    (cut / "args.json").write_text(
        content if isinstance(content, str) else json.dumps({**args, **content}), encoding="utf-8"
    )
    with pytest.raises(InputError) as raised:
        resume(cut)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_run_is_resumed_from_any_folder(
    begun: Path, sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun with relative paths in one folder, it goes on in another with no flag but its own folder."""
    monkeypatch.chdir(begun)
    argv = ["--task_name", "rte", "--model_name_or_path", "model", "--data_dir", os.path.relpath(sample_dir)]
    run_glue.main([*argv, "--output_dir", str(tmp_path / "run"), "--max_steps", "1"])
    args = json.loads((tmp_path / "run" / "args.json").read_text(encoding="utf-8"))
    assert (args["data_dir"], args["model_name_or_path"]) == (str(sample_dir), str(begun / "model"))
    monkeypatch.chdir(tmp_path)
    resume(Path("run"))
