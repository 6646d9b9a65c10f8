"""R-Drop, FGM, the moving average and renewed layers in a real fine-tuning, also a resumed one."""

import dataclasses
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from scipy.special import log_softmax

from checkpoints.folder import read_config
from common.errors import InputError, UsageError
from encoders.batching import pack, pad
from encoders.cpu import dropout_masks, onednn
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from glue import run_eval, run_glue
from glue.config import GlueRunConfig, preset_settings
from glue.fine_tuning import SentenceTask
from glue.tasks import TASKS
from inference.network_engine import tensors
from training import trainer
from training.flags import parse_flags
from training.regularization.fgm import FGM
from training.resolution import resolve_flags
from training.run_folder import RunFolder
from training.trainer import TrainingJob

OPTIONS = {"r_drop": 0.5, "fgm": 0.4, "ema": 0.8, "reinit_layers": 1}
FLAGS = [word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))]


def fine_tune(sample: Path, model: Path, output: Path, *more: object, task: str = "rte") -> None:
    run_glue.main(argv(sample, model, output, *more, task=task))


def argv(sample: Path, model: Path, output: Path, *more: object, task: str = "rte") -> list[str]:
    values = [
        "--task_name", task, "--model_name_or_path", model, "--data_dir", sample, "--output_dir", output,
        "--max_steps", 6, "--learning_rate", "1e-3", "--logging_steps", 2, "--save_steps", 3, *more,
    ]  # fmt: skip
    return [str(value) for value in values]


@pytest.fixture(scope="module")
def model(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's tiny model with weights, and with dropout."""
    folder = tmp_path_factory.mktemp("options")
    shutil.copytree(sample_dir / "tiny-convbert", folder / "random")
    config = json.loads((folder / "random" / "config.json").read_text(encoding="utf-8"))
    config |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    (folder / "random" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    fine_tune(sample_dir, folder / "random", folder / "run", "--from_scratch", "--max_steps", 1)
    return folder / "run" / "best"


def first_job(sample: Path, model: Path, output: Path, *more: object, task: str = "rte") -> TrainingJob:
    """What fit() would train on."""
    flags = parse_flags(run_glue.make_parser(), argv(sample, model, output, *more, task=task), lambda _: True)
    config = resolve_flags(GlueRunConfig, flags, partial(preset_settings, task=TASKS[task]))
    trainer.seed_everything(config.training.seed)
    return SentenceTask(config).build()


@pytest.mark.parametrize("task", ["rte", "sts-b"])
def test_r_drops_loss_is_the_papers(sample_dir: Path, model: Path, tmp_path: Path, task: str) -> None:
    """−log P₁(y) − log P₂(y) + α · ½ (KL + KL), from the logits of both passes; a regression's by squares."""
    job = first_job(sample_dir, model, tmp_path, "--r_drop", 0.5, task=task)
    batch = job.batches(0)[0:1][0]
    job.model.train()
    masks = dropout_masks.state()
    loss = float(job.loss(batch))
    dropout_masks.set_state(masks)
    twice = [None if part is None else paddle.concat([part, part]) for part in tensors(batch)]
    logits = job.model(*twice).numpy().astype(float)
    first, second = logits[: len(batch)], logits[len(batch) :]
    assert abs(first - second).max() > 1e-3  # two masks
    gold = batch.targets
    if task == "sts-b":
        first, second = first[:, 0], second[:, 0]
        expected = ((first - gold) ** 2 + (second - gold) ** 2 + 0.5 * (first - second) ** 2).sum()
    else:
        first, second = log_softmax(first, axis=1), log_softmax(second, axis=1)
        rows = np.arange(len(batch))
        to_second = (np.exp(first) * (first - second)).sum()
        to_first = (np.exp(second) * (second - first)).sum()
        expected = -first[rows, gold].sum() - second[rows, gold].sum() + 0.5 * (to_second + to_first) / 2
    assert loss == pytest.approx(expected, rel=1e-5)


def test_without_the_options_a_step_is_one_plain_pass(sample_dir: Path, model: Path, tmp_path: Path) -> None:
    job = first_job(sample_dir, model, tmp_path)
    batch = job.batches(0)[0:1][0]
    job.model.train()
    masks = dropout_masks.state()
    loss = float(job.loss(batch))
    dropout_masks.set_state(masks)
    logits = job.model(*tensors(batch))
    plain = paddle.nn.functional.cross_entropy(logits, paddle.to_tensor(batch.targets), reduction="sum")
    assert loss == float(plain)
    fine_tune(sample_dir, model, tmp_path / "run", "--max_steps", 1)
    kept = safetensors.numpy.load_file(tmp_path / "run" / "last" / "optimizer.safetensors")
    assert not any(name.endswith(":weight") for name in kept)


def test_renewed_layers_are_new_and_the_others_the_checkpoints(
    sample_dir: Path, model: Path, tmp_path: Path
) -> None:
    job = first_job(sample_dir, model, tmp_path, "--reinit_layers", 1)
    kept = first_job(sample_dir, model, tmp_path / "b")
    old = {name: parameter.numpy() for name, parameter in kept.model.named_parameters()}
    same = {name for name, p in job.model.named_parameters() if np.array_equal(p.numpy(), old[name])}
    new = {name for name in old if name.startswith(("encoder.layers.1.", "head."))}
    assert old.keys() - same <= new
    assert all(name.endswith("bias") or ".norm." in name for name in new & same)  # 0 and 1 in both


def test_a_seed_of_the_head_alone(sample_dir: Path, model: Path, tmp_path: Path) -> None:
    """Runs that share it begin with one head, whatever their seeds; nothing else that is random changes."""

    def begun(name: str, *flags: object) -> tuple[dict[str, np.ndarray], float]:
        job = first_job(
            sample_dir, sample_dir / "tiny-convbert", tmp_path / name, "--from_scratch", *flags, task="mrpc"
        )
        drawn_next = float(paddle.rand([1]).numpy()[0])
        return {name: parameter.numpy() for name, parameter in job.model.named_parameters()}, drawn_next

    plain, next_plain = begun("plain", "--seed", 1)
    zero, next_zero = begun("zero", "--seed", 1, "--head_seed", 0)
    shared, next_shared = begun("shared", "--seed", 1, "--head_seed", 9)
    other, _ = begun("other", "--seed", 2, "--head_seed", 9)
    assert next_plain == next_zero == next_shared
    for name, array in plain.items():
        is_drawn = not name.endswith("bias") and ".norm." not in name
        np.testing.assert_array_equal(zero[name], array)
        assert np.array_equal(shared[name], array) != (is_drawn and name.startswith("head.")), name
        assert np.array_equal(other[name], shared[name]) != (is_drawn and "encoder." in name), name


def test_the_scores_are_those_of_the_averaged_weights(
    sample_dir: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fine_tune(sample_dir, model, tmp_path / "run", "--ema", 0.8)
    scores = json.loads((tmp_path / "run" / "scores.json").read_text(encoding="utf-8"))
    capsys.readouterr()
    for name in ("best", "last"):
        run_eval.main(
            ["--task_name", "rte", "--ckpt_path", str(tmp_path / "run" / name), "--data_dir", str(sample_dir)]
        )
        actual = json.loads(capsys.readouterr().out)
        assert actual["loss"] == pytest.approx(scores[name]["loss"], rel=1e-6)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_resumed_run_with_all_of_them_is_the_uninterrupted_one(
    sample_dir: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bf16: bool
) -> None:
    flags = [*FLAGS, "--bf16"] if bf16 else FLAGS
    fine_tune(sample_dir, model, tmp_path / "straight", *flags)
    args = json.loads((tmp_path / "straight" / "args.json").read_text(encoding="utf-8"))
    assert {name: args["recipe"][name] for name in OPTIONS} == OPTIONS
    assert args["recipe"]["use_amp"] is bf16
    assert bool(args["precision"]) is (bf16 and not onednn.status().fault)
    step = trainer.Trainer.step

    def cut_in_step_five(self: Any, batches: Any) -> int:
        if self.state.step == 4:
            raise KeyboardInterrupt
        return step(self, batches)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "step", cut_in_step_five)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(sample_dir, model, tmp_path / "cut", *flags)
    fine_tune(sample_dir, model, tmp_path / "cut", *flags, "--resume")
    for name in ("best/model.safetensors", "last/model.safetensors", "last/optimizer.safetensors",
                 "history.jsonl", "scores.json"):  # fmt: skip
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name


def test_what_cannot_be_is_refused_before_anything_is_written(
    sample_dir: Path, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="--reinit_layers 3: the model has 2 layers"):
        fine_tune(sample_dir, model, tmp_path / "run", "--reinit_layers", 3)
    with pytest.raises(UsageError, match="with --from_scratch every layer begins new"):
        fine_tune(
            sample_dir, sample_dir / "tiny-convbert", tmp_path / "run", "--reinit_layers", 1, "--from_scratch"
        )
    assert not (tmp_path / "run").exists()


def test_a_rows_perturbation_does_not_depend_on_its_batch(model: Path) -> None:
    """A batch cut in parts gives the losses and gradients of the whole, padded one (without dropout)."""
    config = dataclasses.replace(
        read_config(model), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    network = SentenceClassifier(config)
    draw = np.random.default_rng(0)
    encoded = [(draw.integers(5, 60, size=size).tolist(), size // 2) for size in (6, 17, 30)]
    features = pack(encoded, np.array([0, 1, 0]))
    adversary = FGM(network.encoder.embeddings.word, 0.5)

    def losses(*parts: list[int]) -> tuple[float, np.ndarray]:
        def once(rows: list[int]) -> float:
            batch = pad(features, np.array(rows))
            logits = network(*tensors(batch))
            loss = paddle.nn.functional.cross_entropy(
                logits, paddle.to_tensor(batch.targets), reduction="sum"
            )
            loss.backward()
            return float(loss)

        total = sum(adversary.backward_twice(lambda rows=rows: once(rows)) for rows in parts)
        gradient = network.encoder.embeddings.word.weight.grad.numpy()
        for parameter in network.parameters():
            parameter.clear_gradient()
        return total, gradient

    whole, gradient = losses([0, 1, 2])
    parts, of_parts = losses([0], [1, 2])
    assert whole == pytest.approx(parts, rel=1e-5)
    np.testing.assert_allclose(gradient, of_parts, atol=1e-5 * abs(gradient).max())


def test_the_mean_of_the_last_saves(sample_dir: Path, model: Path, tmp_path: Path) -> None:
    """Of steps 4 and 6, by hand from runs that stop there; also of a run that was stopped and resumed."""
    rate = ["--scheduler_type", "linear", "--save_steps", 2, "--seed", 3]
    run, begun = tmp_path / "run", tmp_path / "begun"
    fine_tune(sample_dir, model, run, *rate, "--mean_of_saves", 2)
    assert not (run / "kept").exists()
    mean = safetensors.numpy.load_file(run / "mean" / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        saves: dict[int, dict[str, np.ndarray]] = {}
        keep = RunFolder.keep_save

        def stop(self: RunFolder, write_model: Any, step: int, count: int) -> None:
            keep(self, write_model, step, count)
            saves[step] = safetensors.numpy.load_file(self.path / "kept" / str(step) / "model.safetensors")
            if step == 4:
                raise KeyboardInterrupt

        patch.setattr(RunFolder, "keep_save", stop)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(sample_dir, model, begun, *rate, "--mean_of_saves", 2)
        patch.setattr(RunFolder, "keep_save", keep)
        assert sorted(saves) == [2, 4]
    run_glue.main(["--resume", "--output_dir", str(begun)])  # from step 2, as 4 was not saved whole
    last = safetensors.numpy.load_file(run / "last" / "model.safetensors")
    for name, array in mean.items():
        expected = ((saves[4][name].astype(np.float64) + last[name]) / 2).astype(np.float32)
        np.testing.assert_array_equal(array, expected)
    for name in ("model.safetensors", "config.json"):
        assert (begun / "mean" / name).read_bytes() == (run / "mean" / name).read_bytes()
    run_eval.main(["--task_name", "rte", "--ckpt_path", str(run / "mean"), "--data_dir", str(sample_dir)])
