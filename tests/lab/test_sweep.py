"""Sweeps with real runs of the tiny model on the embedded sample."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from checkpoints.folder import digest_of
from common.errors import InputError
from common.files import sha256_of
from common.provenance import recorded_digest
from lab.sweep import main
from submission.manifest import provenance_of
from tests.lab.trials import run_trials_in_this_process

FEW = "settings: {max_steps: 6, save_steps: 3, logging_steps: 2, learning_rate: 1e-3}\n"


def write_plan(folder: Path, sample: Path, text: str) -> Path:
    path = folder / "plan.yaml"
    model = sample / "tiny-convbert"
    path.write_text(
        f"checkpoints: {{tiny: {{model: {model}, from_scratch: true}}}}\n{text}", encoding="utf-8"
    )
    return path


def argv(plan: Path, runs: Path, data: Path, *more: object) -> list[str]:
    return ["--plan", str(plan), "--runs", str(runs), "--data_dir", str(data), *map(str, more)]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    run_trials_in_this_process(monkeypatch)


@pytest.fixture
def broken_data(sample_dir: Path, tmp_path: Path) -> Path:
    """The sample, with a bad label in MNLI's training file and without QQP's test file."""
    data = tmp_path / "data"
    for path in sample_dir.rglob("*.tsv"):
        copy = data / path.relative_to(sample_dir)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(path)
    mnli = data / "MNLI" / "train.tsv"
    lines = mnli.read_text(encoding="utf-8").splitlines(keepends=True)
    mnli.unlink()
    mnli.write_text("".join([*lines[:4], lines[4].rstrip("\n") + "ish\n", *lines[5:]]), encoding="utf-8")
    (data / "QQP" / "test.tsv").unlink()
    return data


def test_failures_are_told_and_the_rest_is_done_once(
    sample_dir: Path,
    broken_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = "tasks: {mnli: , rte: {init_from: best of mnli}, qqp: {seeds: [7]}}\n"
    plan, runs = write_plan(tmp_path, sample_dir, FEW + tasks), tmp_path / "runs"
    with pytest.raises(
        InputError, match=r"^1 of 3 trials failed, and 1 skipped for want of them; sweep again"
    ):
        main(argv(plan, runs, broken_data))
    out, err = capsys.readouterr()
    reason = f"exit 1: glue.run_glue: {broken_data}/MNLI/train.tsv:5: "
    assert f"[1/3] mnli/tiny: failed: {reason}" in err
    assert "[2/3] rte/tiny-from-mnli: skipped: no mnli run to begin with is done" in err
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["mnli/tiny", "0"], ["rte/tiny-from-mnli", "0"], ["qqp/tiny", "1"]
    ]  # fmt: skip
    run = runs / "qqp" / "tiny-seed7"
    args = json.loads((run / "args.json").read_text(encoding="utf-8"))
    assert (args["recipe"]["seed"], args["recipe"]["max_steps"]) == (7, 6)
    scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    with np.load(run / "predictions" / "dev" / "QQP.npz") as dev:
        assert len(dev["logits"]) == 150  # a quarter of the sample's 600 rows
    assert not (run / "predictions" / "test").exists()  # there is no such file
    digest = digest_of(run / "best")
    assert recorded_digest(run / "best") == digest
    expected = {
        "checkpoint_digest": digest,
        "run": "qqp/tiny-seed7",
        "seed": 7,
        "step": scores["best"]["step"],
    }
    expected["dev"] = {key: scores["best"][key] for key in ("main", "f1", "accuracy")}
    expected["began_with"] = {"model_sha256": digest_of(sample_dir / "tiny-convbert")}
    assert provenance_of(run / "predictions" / "dev", runs) == {"qqp": expected}

    stamp = (run / "scores.json").stat().st_mtime_ns
    run_trials_in_this_process(monkeypatch)
    with pytest.raises(InputError, match="1 of 3 trials failed"):
        main(argv(plan, runs, broken_data, "--keep", "best"))
    err = capsys.readouterr().err
    assert f"qqp/tiny-seed7: f1_accuracy_mean {scores['best']['main']:.4f} at step" in err
    assert "(was done before)" in err
    assert (run / "scores.json").stat().st_mtime_ns == stamp


def test_two_sweeps_do_not_share_a_folder(sample_dir: Path, tmp_path: Path) -> None:
    from common.locks import Lock

    plan = write_plan(tmp_path, sample_dir, FEW + "tasks: {rte: }\n")
    (tmp_path / "runs").mkdir()
    lock = Lock(tmp_path / "runs" / ".lock")
    try:
        with pytest.raises(InputError, match="another run is at work there"):
            main(argv(plan, tmp_path / "runs", sample_dir))
    finally:
        lock.free()


@pytest.mark.usefixtures("in_process")
def test_transfer_takes_the_encoder_and_never_the_head(sample_dir: Path, tmp_path: Path) -> None:
    """From QNLI too, whose labels are named as those of RTE: they answer another question."""
    text = (
        "settings: {max_steps: 1, learning_rate: 0.0}\n"
        "tasks: {qnli: , rte: {init_from: best of qnli, seeds: [5]}, sts-b: {init_from: best of qnli}}\n"
    )
    plan, runs = write_plan(tmp_path, sample_dir, text), tmp_path / "runs"
    main(argv(plan, runs, sample_dir))
    folders = {
        "qnli": runs / "qnli/tiny", "rte": runs / "rte/tiny-from-qnli-seed5",
        "sts-b": runs / "sts-b/tiny-from-qnli",
    }  # fmt: skip
    arrays = {
        task: safetensors.numpy.load_file(folder / "best" / "model.safetensors")
        for task, folder in folders.items()
    }
    heads = {name for name in arrays["qnli"] if name.startswith("classifier.")}
    assert heads < set(arrays["qnli"])
    for task in ("rte", "sts-b"):
        for name, array in arrays[task].items():
            if array.any():  # biases begin at zero
                same = np.array_equal(array, arrays["qnli"][name])
                assert same == (name not in heads), (task, name)
        assert "begins new: " in (folders[task] / "train.log").read_text(encoding="utf-8")
        (origin,) = provenance_of(folders[task] / "predictions" / "test", runs).values()
        source = {"model_sha256": digest_of(folders["qnli"] / "best"), "run": "qnli/tiny"}
        assert origin["began_with"] == source


TRANSFER = (
    "settings: {max_steps: 30, save_steps: 5, logging_steps: 5, learning_rate: 1e-3}\nseeds: [1, 2]\n"
    "tasks: {mnli: {seeds: [1], grid: {learning_rate: [1e-3, 2e-3]}}, rte: {init_from: best of mnli}}\n"
)
FILES = (
    "scores.json", "history.jsonl", "best/model.safetensors", "last/model.safetensors",
    "predictions/dev/*.npz", "predictions/test/*.npz", "predictions/test/*.tsv",
)  # fmt: skip


def contents(runs: Path) -> dict[str, bytes]:
    """What may not depend on how often a sweep was killed, or on its engine."""
    files = {}
    for trial in runs.glob("*/*.trial.json"):
        run = trial.with_name(trial.name.removesuffix(".trial.json"))
        for path in (path for pattern in FILES for path in run.glob(pattern)):
            files[str(path.relative_to(runs))] = path.read_bytes()
    return files


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="orphans are ended on Linux only")
def test_a_sweep_killed_ten_times_ends_as_one_that_was_left_alone(
    project_dir: Path, sample_dir: Path, tmp_path: Path
) -> None:
    plan = write_plan(tmp_path, sample_dir, TRANSFER)
    started = time.monotonic()
    main(argv(plan, tmp_path / "whole", sample_dir, "--workers", 2))
    wanted, seconds = contents(tmp_path / "whole"), time.monotonic() - started
    assert len(wanted) == 4 * 4 + 2 * (2 + 3 + 3) + 2 * (1 + 1 + 1)

    draw, kills, runs = random.Random(0), 0, tmp_path / "killed"
    while True:
        sweep = subprocess.Popen(
            [sys.executable, "-m", "lab.sweep", *argv(plan, runs, sample_dir, "--workers", 2)],
            cwd=project_dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
        if kills < 10:
            time.sleep(draw.uniform(0.3, 0.7) * seconds / 2)
        elif sweep.wait():
            pytest.fail(sweep.stderr.read() if sweep.stderr else "")
        if sweep.poll() is not None:
            assert sweep.returncode == 0
            break
        sweep.send_signal(signal.SIGKILL)
        sweep.wait()
        kills += 1
    assert kills >= 3
    assert contents(runs) == wanted


@pytest.mark.long
def test_a_trial_below_the_median_is_stopped_on_its_way(
    sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "settings: {max_steps: 120, save_steps: 40, bias_correction: true, layer_lr_decay: 1.0}\n"
        "stop_early: median\ngrid: {learning_rate: [2e-3, 1.9e-3, 2.1e-3, 1.8e-3, 2.2e-3, 1e-9]}\n"
        "tasks: {cola: }\n"
    )
    plan, runs = write_plan(tmp_path, sample_dir, text), tmp_path / "runs"
    main(argv(plan, runs, sample_dir))
    assert "stopped early: below the median of 5 trials at step" in capsys.readouterr().err
    record = json.loads((runs / "cola" / "tiny-lr1e-9.trial.json").read_text(encoding="utf-8"))
    assert record["status"] == "stopped early"
    history = (runs / "cola" / "tiny-lr1e-9" / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(history[-1])["step"] < 120
    main(argv(plan, runs, sample_dir))
    assert "tiny-lr1e-9: stopped early: was stopped early before" in capsys.readouterr().err


@pytest.fixture
def own_data(sample_dir: Path, tmp_path: Path) -> Path:
    """A copy of the sample's RTE, to be changed."""
    folder = tmp_path / "data" / "RTE"
    folder.mkdir(parents=True)
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        (folder / name).write_bytes((sample_dir / "RTE" / name).read_bytes())
    return folder.parent


@pytest.mark.usefixtures("in_process")
def test_other_test_rows_are_predicted_anew_and_nothing_is_trained_again(
    sample_dir: Path, own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, runs = write_plan(tmp_path, sample_dir, FEW + "seeds: [5]\ntasks: {rte: }\n"), tmp_path / "runs"
    run, test = runs / "rte" / "tiny-seed5", own_data / "RTE" / "test.tsv"
    main(argv(plan, runs, own_data, "--keep", "best"))
    trained = (run / "history.jsonl").stat().st_mtime_ns
    assert not (run / "last").exists()
    before = (run / "predictions" / "test" / "RTE.tsv").read_bytes()
    whole = test.read_bytes()
    test.write_bytes(whole[:40] + b"\xff" + whole[41:])
    with pytest.raises(InputError, match="1 of 1 trials failed"):
        main(argv(plan, runs, own_data, "--keep", "best"))
    header, *rows = whole.splitlines(keepends=True)
    texts = [row.partition(b"\t")[2] for row in rows]  # as many rows, in another order
    test.write_bytes(header + b"".join(b"%d\t%s" % row for row in enumerate(reversed(texts))))
    capsys.readouterr()
    main(argv(plan, runs, own_data, "--dry_run"))
    reason = capsys.readouterr().out.splitlines()[0].partition("; begun before: ")[2]
    assert reason.startswith(f"{run / 'predictions' / 'test' / 'RTE.tsv'}: was made with RTE/test.tsv ")
    main(argv(plan, runs, own_data, "--keep", "best"))
    after = (run / "predictions" / "test" / "RTE.tsv").read_bytes()
    assert after.count(b"\n") == before.count(b"\n")
    with np.load(run / "predictions" / "test" / "RTE.npz") as stored:
        assert str(stored["data_digest"]) == sha256_of(test)
        logits = stored["logits"]
    (run / "predictions" / "test" / "RTE.npz").write_bytes(b"")
    test.write_bytes(whole)
    main(argv(plan, runs, own_data))
    with np.load(run / "predictions" / "test" / "RTE.npz") as stored:
        np.testing.assert_allclose(stored["logits"][::-1], logits, atol=1e-5)
    assert (run / "history.jsonl").stat().st_mtime_ns == trained

    capsys.readouterr()
    moved = tmp_path / "moved"  # with the runs that others may have begun from
    runs.rename(moved)
    main(argv(plan, moved, own_data))
    assert "(was done before)" in capsys.readouterr().err


@pytest.mark.usefixtures("in_process")
def test_what_is_damaged_or_removed_concerns_its_trial_alone(
    sample_dir: Path, own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, runs = write_plan(tmp_path, sample_dir, FEW + "seeds: [1, 2]\ntasks: {rte: }\n"), tmp_path / "runs"
    main(argv(plan, runs, own_data))
    first, second = runs / "rte" / "tiny-seed1", runs / "rte" / "tiny-seed2"
    shutil.rmtree(second)
    for name in ("scores.json", "args.json", "last/state.json", "../tiny-seed1.trial.json"):
        path = first / name
        kept = path.read_bytes()
        path.write_bytes(kept[:20])
        capsys.readouterr()
        with pytest.raises(InputError, match="1 of 2 trials failed"):
            main(argv(plan, runs, own_data))
        out, err = capsys.readouterr()
        (message,) = [line for line in err.splitlines() if line.startswith("[") and "failed" in line]
        assert "not JSON" in message
        assert f"remove {first} and tiny-seed1.trial.json" in message, name
        assert "rte/tiny-seed2: accuracy" in err  # the one that was removed is there again
        assert "rte/tiny" in out
        path.write_bytes(kept)
    main(argv(plan, runs, own_data))
    assert capsys.readouterr().err.count("(was done before)") == 2
    with pytest.raises(InputError, match="nowhere: no such folder"):
        main(argv(plan, runs, tmp_path / "nowhere"))


@pytest.mark.usefixtures("in_process")
def test_other_weights_at_the_same_place_are_another_checkpoint(
    sample_dir: Path, own_data: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_dir / "tiny-convbert", model)
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"checkpoints: {{tiny: {{model: {model}, from_scratch: true}}}}\n{FEW}tasks: {{rte: }}\n",
        encoding="utf-8",
    )
    (own_data / "RTE" / "test.tsv").unlink()  # training and dev are enough
    main(argv(plan, tmp_path / "runs", own_data))
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    (model / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}), encoding="utf-8")
    for dry in ((), ("--dry_run",)):
        with pytest.raises(InputError, match=r"was made with model .*take another --runs"):
            main(argv(plan, tmp_path / "runs", own_data, *dry))
