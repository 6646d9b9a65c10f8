"""The commands on the embedded sample: from the official formats to files that can be handed in."""

import csv
import errno
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import InputError
from glue import predictions, run_eval, run_glue, run_predict, score
from glue.tasks import TASKS
from submission import check, pack
from training import trainer

FEW_STEPS = ("--max_steps", "6", "--learning_rate", "1e-3", "--logging_steps", "2", "--save_steps", "3")


def fine_tune(sample: Path, task: str, output: Path, *more: str) -> None:
    run_glue.main(
        ["--task_name", task, "--model_name_or_path", str(sample / "tiny-convbert"), "--from_scratch",
         "--data_dir", str(sample), "--output_dir", str(output), *FEW_STEPS, *more]
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of one task of each kind: a single sentence, a regression, two dev files."""
    folder = tmp_path_factory.mktemp("runs")
    for task in ("cola", "sts-b", "mnli"):
        fine_tune(sample_dir, task, folder / task)
    return folder


def printed_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def read_tsv(path: Path) -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("name", ["cola", "sts-b", "mnli"])
def test_what_a_run_leaves_behind(runs: Path, name: str) -> None:
    task, folder = TASKS[name], runs / name
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    assert (scores["task"], scores["main"]) == (name, task.main)
    for evaluation in (scores["best"], scores["last"]):
        assert set(evaluation) == {"step", *task.score_keys, "main", "loss"}
        assert evaluation["main"] == pytest.approx(np.mean([evaluation[key] for key in task.score_keys]))
    assert scores["last"]["step"] == 6
    args = json.loads((folder / "args.json").read_text(encoding="utf-8"))
    assert args["recipe"]["learning_rate"] == 1e-3  # the flag
    assert args["recipe"]["bias_correction"] is False  # the preset: the authors'
    assert args["recipe"]["seed"] == 42  # the default
    assert args["recipe"]["scale_targets"] is (name == "sts-b")
    assert set(args["versions"]) >= {"python", "paddle", "numpy", "tokenizers"}
    assert all(len(entry["sha256"]) == 64 for entry in args["data"].values())
    for model in ("best", "last"):
        assert {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"} <= {
            path.name for path in (folder / model).iterdir()
        }
    steps = [
        json.loads(line)["step"]
        for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert steps == [2, 3, 4, 6, 6]


@pytest.mark.parametrize("name", ["cola", "sts-b", "mnli"])
def test_training_evaluation_and_the_written_file_give_the_same_scores(
    runs: Path, sample_dir: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    task = TASKS[name]
    common = ["--task_name", name, "--ckpt_path", str(runs / name / "last"), "--data_dir", str(sample_dir)]
    run_eval.main(common)
    evaluated = printed_json(capsys)
    run_predict.main([*common, "--split", "dev", "--output_dir", str(tmp_path)])
    capsys.readouterr()
    dev = task.of_kind("dev")
    score.main(
        ["--task_name", name, "--predictions", *[str(tmp_path / part.submission_file) for part in dev],
         "--gold", *[str(sample_dir / part.file) for part in dev]]
    )  # fmt: skip
    written = printed_json(capsys)
    trained = json.loads((runs / name / "scores.json").read_text(encoding="utf-8"))["last"]
    for key in (*task.score_keys, "main"):
        assert evaluated[key] == written[key] == pytest.approx(trained[key], abs=1e-6), key
    assert evaluated["loss"] == pytest.approx(trained["loss"], abs=1e-6)


@pytest.mark.parametrize("name", ["cola", "sts-b", "mnli"])
def test_a_run_keeps_the_dev_predictions_of_its_best_model(
    runs: Path, sample_dir: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The bytes that the same network writes when it predicts, also from a process that did not train it. The
    command that is named as the next one runs as it stands."""
    best, kept = runs / name / "best", runs / name / "predictions" / "dev"
    argv = ["--task_name", name, "--ckpt_path", str(best), "--data_dir", str(sample_dir), "--split", "dev"]
    run_predict.main(
        [*argv, "--engine", "dynamic", "--batch_size", "32", "--output_dir", str(tmp_path / "p")]
    )
    files = {path.name: path.read_bytes() for path in (tmp_path / "p").iterdir()}
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == files
    shutil.copytree(runs / name, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "predictions")
    run_glue.main(["--resume", "--output_dir", str(tmp_path / "run"), "--data_dir", str(sample_dir)])
    again = tmp_path / "run" / "predictions" / "dev"
    assert {path.name: path.read_bytes() for path in again.iterdir()} == files
    *_, following = capsys.readouterr().err.partition("next: python -m glue.run_predict ")
    monkeypatch.chdir(tmp_path)
    run_predict.main(shlex.split(following.splitlines()[0]))
    for split in TASKS[name].of_kind("test"):
        assert (tmp_path / "predictions" / split.submission_file).is_file()


@pytest.mark.parametrize("name", ["cola", "sts-b", "mnli"])
def test_submission_files(runs: Path, sample_dir: Path, tmp_path: Path, name: str) -> None:
    task = TASKS[name]
    run_predict.main(
        ["--task_name", name, "--ckpt_path", str(runs / name), "--data_dir", str(sample_dir),
         "--output_dir", str(tmp_path)]
    )  # fmt: skip
    assert {path.name for path in tmp_path.glob("*.tsv")} == {
        part.submission_file for part in task.of_kind("test")
    }
    digests = set()
    for part in task.of_kind("test"):
        rows = read_tsv(tmp_path / part.submission_file)
        expected = sum(1 for line in (sample_dir / part.file).read_text("utf-8").split("\n")[1:] if line)
        assert rows[0] == ["index", "prediction"]
        assert [row[0] for row in rows[1:]] == [str(i) for i in range(expected)]
        stored = np.load((tmp_path / part.submission_file).with_suffix(".npz"))
        assert stored["logits"].shape == (expected, task.num_outputs)
        assert stored["logits"].dtype == np.float32
        answers = [row[1] for row in rows[1:]]
        if task.labels:
            assert answers == stored["labels"][stored["logits"].argmax(axis=1)].tolist()
        else:
            clipped = np.clip(stored["logits"][:, 0], 0, 5)
            np.testing.assert_allclose([float(a) for a in answers], clipped, atol=1e-5)
        digests.add(str(stored["checkpoint_digest"]))
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["cola", "sts-b", "mnli"])
def test_a_prediction_does_not_depend_on_the_batch(
    runs: Path, sample_dir: Path, tmp_path: Path, name: str
) -> None:
    files = []
    for size in ("1", "7", "64"):
        run_predict.main(
            ["--task_name", name, "--ckpt_path", str(runs / name), "--data_dir", str(sample_dir),
             "--output_dir", str(tmp_path / size), "--batch_size", size]
        )  # fmt: skip
        files.append(tmp_path / size / TASKS[name].of_kind("test")[0].submission_file)
    alone, *others = [np.load(file.with_suffix(".npz"))["logits"] for file in files]
    for logits in others:
        np.testing.assert_allclose(logits, alone, atol=1e-5)


def test_the_rest_is_filled_and_packed(runs: Path, sample_dir: Path, tmp_path: Path) -> None:
    for name in ("cola", "sts-b", "mnli"):
        run_predict.main(
            ["--task_name", name, "--ckpt_path", str(runs / name), "--data_dir", str(sample_dir),
             "--output_dir", str(tmp_path / "p")]
        )  # fmt: skip
    argv = [
        "--predictions",
        str(tmp_path / "p"),
        "--output",
        str(tmp_path / "s.zip"),
        "--data_dir",
        str(sample_dir),
    ]
    assert not pack.main([*argv, "--fill_missing", "majority"])
    assert (tmp_path / "s.zip").stat().st_size > 1000


def test_resumed_run_equals_the_uninterrupted_one(
    sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine_tune(sample_dir, "rte", tmp_path / "straight")
    step = trainer.Trainer.step

    def cut_in_step_five(self: Any, batches: Any) -> int:
        if self.state.step == 4:
            raise KeyboardInterrupt
        return step(self, batches)

    monkeypatch.setattr(trainer.Trainer, "step", cut_in_step_five)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(sample_dir, "rte", tmp_path / "cut")
    monkeypatch.undo()
    fine_tune(sample_dir, "rte", tmp_path / "cut", "--resume")
    for name in ("last/model.safetensors", "last/optimizer.safetensors", "history.jsonl", "scores.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name
    before = (tmp_path / "cut" / "last" / "model.safetensors").read_bytes()
    fine_tune(sample_dir, "rte", tmp_path / "cut", "--resume")  # finished already: nothing to do
    assert (tmp_path / "cut" / "last" / "model.safetensors").read_bytes() == before


def test_predictions_of_a_run_lie_beside_its_best_and_the_row_counts_are_said(
    runs: Path, sample_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for ckpt in (runs / "cola", runs / "cola" / "best"):
        run_predict.main(["--task_name", "cola", "--ckpt_path", str(ckpt), "--data_dir", str(sample_dir)])
        printed = capsys.readouterr()
        assert printed.out.startswith(f"{runs / 'cola' / 'predictions' / 'test' / 'CoLA.tsv'}: ")
        rows = printed.out.split()[-2]
        assert f"CoLA/test.tsv: {rows} rows (the official file has 1063)" in printed.err


def test_a_full_disk_leaves_none_of_a_tasks_files(
    runs: Path, sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(100))
    through = predictions.write_through

    def full_at_the_fourth(file: Any, content: bytes) -> None:
        if next(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        through(file, content)

    monkeypatch.setattr(predictions, "write_through", full_at_the_fourth)
    argv = ["--task_name", "mnli", "--ckpt_path", str(runs / "mnli"), "--data_dir", str(sample_dir)]
    with pytest.raises(OSError, match="No space left") as raised:
        run_predict.main([*argv, "--output_dir", str(tmp_path / "p")])
    assert raised.value.filename == str(tmp_path / "p" / "MNLI-mm.npz")
    assert list((tmp_path / "p").iterdir()) == []


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--overwrite_output_dir", "run: holds .*best, which this run starts from"),
        ("--resume", "best: this run was begun with another model, .*tiny-convbert; leave the flag out"),
    ],
)
def test_a_run_never_lies_over_what_it_starts_from(
    runs: Path, sample_dir: Path, tmp_path: Path, flag: str, message: str
) -> None:
    shutil.copytree(runs / "cola", tmp_path / "run")
    argv = ["--task_name", "cola", "--model_name_or_path", str(tmp_path / "run" / "best")]
    more = ["--data_dir", str(sample_dir), "--output_dir", str(tmp_path / "run")]
    with pytest.raises(InputError, match=message):
        run_glue.main([*argv, *more, *FEW_STEPS, flag])
    assert (tmp_path / "run" / "best" / "model.safetensors").is_file()


def test_what_can_be_predicted_without_the_diagnostic_set_is(
    runs: Path, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(sample_dir / "MNLI", tmp_path / "data" / "MNLI")
    common = [
        "--task_name",
        "mnli",
        "--ckpt_path",
        str(runs / "mnli" / "best"),
        "--output_dir",
        str(tmp_path / "p"),
    ]
    run_predict.main([*common, "--data_dir", str(tmp_path / "data")])
    out, err = capsys.readouterr()
    assert [line.split(":")[0].rpartition("/")[2] for line in out.splitlines()] == [
        "MNLI-m.tsv",
        "MNLI-mm.tsv",
    ]
    note = next(line for line in err.splitlines() if "AX is missing" in line)
    assert f"python -m scripts.download_glue --data_dir {tmp_path / 'data'} --task_name mnli" in note
    names = sorted(path.name for path in (tmp_path / "p").iterdir())
    assert names == ["MNLI-m.npz", "MNLI-m.tsv", "MNLI-mm.npz", "MNLI-mm.tsv"]
    with pytest.raises(InputError, match="is missing"):
        check.main([str(tmp_path / "p")])
    assert re.search(r"ERROR +AX\.tsv +is missing", capsys.readouterr().out)
    run_predict.main([*common, "--data_dir", str(sample_dir)])
    whole = {path.name: path.read_bytes() for path in (tmp_path / "p").iterdir()}
    assert {*names, "AX.tsv", "AX.npz"} == set(whole)
    capsys.readouterr()
    run_predict.main([*common, "--data_dir", str(tmp_path / "data")])  # what is left of before is named
    assert f"warning: {tmp_path / 'p' / 'AX.tsv'}: is of an earlier prediction" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "p").iterdir()} == whole


def test_scores_of_the_dev_file_that_is_there(
    runs: Path, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--task_name", "mnli", "--ckpt_path", str(runs / "mnli" / "best"), "--data_dir"]
    run_eval.main([*common, str(sample_dir)])
    both = printed_json(capsys)
    (tmp_path / "MNLI").mkdir()
    for part in ("matched", "mismatched"):
        other = tmp_path / "MNLI" / f"dev_{part}.tsv"
        shutil.copy(sample_dir / "MNLI" / other.name, other)
        run_eval.main([*common, str(tmp_path)])
        out, err = capsys.readouterr()
        scores = json.loads(out)
        assert list(scores) == [f"accuracy_{part}", "loss"]
        assert scores[f"accuracy_{part}"] == both[f"accuracy_{part}"]
        assert "is missing: no MNLI/dev_" in err
        other.unlink()
    with pytest.raises(InputError, match=r"MNLI/dev_matched\.tsv: no such file"):
        run_eval.main([*common, str(tmp_path)])
