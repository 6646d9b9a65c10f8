"""From made-up trials of every task to a zip, and what its manifest says of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from commands.errors import InputError
from commands.files import sha256_of
from glue.tasks import TASKS
from lab import ensemble, history, submit
from metrics import score
from submission import check, diff
from tests.lab.conftest import FakeTrial

PLAN = "checkpoints: {base: x}\nseeds: [1, 2, 3]\nensemble: {size: 3}\ntasks: {TASKS}\n"


def write_plan(folder: Path, tasks: str, size: int = 3) -> str:
    path = folder / "plan.yaml"
    path.write_text(PLAN.replace("TASKS", tasks).replace("size: 3", f"size: {size}"))
    return str(path)


@pytest.fixture
def runs(fake_trial: FakeTrial, tmp_path: Path) -> Path:
    """Three trials of every task; of RTE one is far better than the others."""
    for task in TASKS:
        for seed in (1, 2, 3):
            right = (0.55, 0.95, 0.6)[seed - 1] if task == "rte" else 0.75
            fake_trial(tmp_path / "runs", f"{task}/base-seed{seed}", right, seed)
    return tmp_path / "runs"


def submitted(runs: Path, plan: str, data: Path, name: str, *more: str) -> Path:
    output = runs.parent / name
    submit.main(
        ["--runs", str(runs), "--plan", plan, "--data_dir", str(data), "--output", str(output), *more]
    )
    return output


ALL = ", ".join(f"{name}: " for name in TASKS)


def test_the_zip_is_what_the_manifest_says(
    runs: Path, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = submitted(runs, write_plan(tmp_path, ALL), sample_dir, "best.zip")
    printed = capsys.readouterr().out
    check.main([str(output), "--data_dir", str(sample_dir)])
    manifest = json.loads((tmp_path / "best.manifest.json").read_text())
    assert manifest["sha256"] == sha256_of(output)
    tasks = manifest["tasks"]
    assert (tasks["rte"]["run"], tasks["rte"]["seed"], tasks["rte"]["step"]) == ("rte/base-seed2", 2, 40)
    assert tasks["rte"]["runs"] == 3
    assert tasks["qqp"]["ensemble"]["method"] in ("mean", "vote")  # independent equals: joined
    assert len({member["run"] for member in tasks["qqp"]["members"]}) >= 2
    assert tasks["wnli"]["note"] == "every row is 0: chosen, not predicted"
    dev = tmp_path / "best.predictions" / "dev"
    for name, task in TASKS.items():  # every score in it is that of the files beside the zip
        splits = task.of_kind("dev")
        files = [str(dev / split.hand_in) for split in splits]
        golds = [str(sample_dir / split.file) for split in splits]
        capsys.readouterr()
        score.main(["--task_name", name, "--predictions", *files, "--gold", *golds])
        scores = json.loads(capsys.readouterr().out)
        for key in ("main", *task.score_keys):
            assert tasks[name]["dev"][key] == pytest.approx(scores[key], abs=1e-12), name
    mains = [tasks[name]["dev"]["main"] for name in TASKS]
    assert manifest["dev"]["leaderboard_average"] == pytest.approx(np.mean(mains))
    expected = [tasks[name].get("expected", tasks[name]["dev"])["main"] for name in TASKS]
    assert manifest["expected"]["leaderboard_average"] == pytest.approx(np.mean(expected))
    eight = [tasks[name].get("expected", {}).get(task.paper_score) for name, task in TASKS.items()]
    paper = np.mean([value for value in eight if value is not None])
    assert manifest["expected"]["convbert_paper_average"] == pytest.approx(paper)
    assert f"expected {100 * paper:.2f}" in printed


def test_the_task_that_is_all_zeros_can_be_trained(runs: Path, sample_dir: Path, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, ALL, size=1)
    zeros = submitted(runs, plan, sample_dir, "zeros.zip")
    trained = submitted(runs, plan, sample_dir, "trained.zip", "--wnli", "trained")
    changed = {each.name: each.changed for each in diff.differences(str(zeros), str(trained))}
    assert changed.pop("WNLI.tsv") > 0
    assert set(changed.values()) == {0}


def test_a_single_run_is_handed_in_as_it_predicted(runs: Path, sample_dir: Path, tmp_path: Path) -> None:
    output = submitted(runs, write_plan(tmp_path, ALL, size=1), sample_dir, "one.zip")
    manifest = json.loads((tmp_path / "one.manifest.json").read_text())
    for name, about in manifest["tasks"].items():
        for split in TASKS[name].of_kind("test") if "run" in about else []:
            theirs = runs / about["run"] / "predictions" / "test" / split.hand_in
            ours = tmp_path / "one.predictions" / "test" / split.hand_in
            assert ours.read_bytes() == theirs.read_bytes()
    assert sum("run" in about for about in manifest["tasks"].values()) == 8
    assert output.is_file()


def test_a_task_without_a_run_is_named(runs: Path, sample_dir: Path, tmp_path: Path) -> None:
    record = runs / "cola" / "base-seed1.trial.json"
    for path in record.parent.glob("*.trial.json"):
        path.write_text(path.read_text().replace('"done"', '"failed"'))
    plan = write_plan(tmp_path, ALL, size=1)
    with pytest.raises(InputError) as raised:
        submitted(runs, plan, sample_dir, "a.zip")
    assert "missing: cola (no run of the plan is done); add --fill_missing majority" in str(raised.value)
    assert not (tmp_path / "a.zip").exists()
    submitted(runs, plan, sample_dir, "a.zip", "--fill_missing", "majority")
    about = json.loads((tmp_path / "a.manifest.json").read_text())["tasks"]["cola"]
    assert about["note"] == "no run of the plan is done: every row is 1"
    assert about["dev"]["matthews"] == 0.0


def test_damaged_predictions_are_named(runs: Path, sample_dir: Path, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, "rte: ")
    target = runs / "rte" / "base-seed2" / "predictions" / "test" / "RTE.npz"
    target.write_bytes(target.read_bytes()[:100])
    with pytest.raises(InputError, match=r"base-seed2/predictions/test/RTE\.npz: not a whole \.npz"):
        submitted(runs, plan, sample_dir, "a.zip")
    target.unlink()
    with pytest.raises(InputError, match=r"RTE\.npz: is missing; sweep again with the test files"):
        submitted(runs, plan, sample_dir, "a.zip")
    other = runs / "rte" / "base-seed3" / "predictions" / "test" / "RTE.npz"
    target.write_bytes(other.read_bytes())  # another run's, left over
    with pytest.raises(InputError, match="not all of one checkpoint"):
        submitted(runs, plan, sample_dir, "a.zip")


def test_the_ensemble_command_writes_what_metrics_score_scores(
    runs: Path, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--runs", str(runs), "--data_dir", str(sample_dir), "--output_dir", str(tmp_path / "e")]
    ensemble.main(["--task_name", "sts-b", "--size", "2", *where])
    said = json.loads(capsys.readouterr().out)
    gold = str(sample_dir / "STS-B" / "dev.tsv")
    predicted = str(tmp_path / "e" / "dev" / "STS-B.tsv")
    score.main(["--task_name", "sts-b", "--predictions", predicted, "--gold", gold])
    scores = json.loads(capsys.readouterr().out)
    assert said["dev"] == pytest.approx({key: scores[key] for key in said["dev"]})
    members = [runs / member["run"] for member in said["members"]]
    logits = [np.load(run / "predictions" / "test" / "STS-B.npz")["logits"] for run in members]
    joined = np.load(tmp_path / "e" / "test" / "STS-B.npz")["logits"]
    np.testing.assert_allclose(joined, np.mean(logits, axis=0), rtol=1e-6)


def test_the_history_tells_noise_from_gain(
    runs: Path, fake_trial: FakeTrial, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, data = tmp_path / "history", ("--data_dir", str(sample_dir))
    first = submitted(runs, write_plan(tmp_path, ALL, size=1), sample_dir, "first.zip")
    for task in TASKS:
        fake_trial(runs, f"{task}/base-seed1", 0.76, 11)
        fake_trial(tmp_path / "good", f"{task}/base-seed1", 0.97, 1)
    again = submitted(runs, write_plan(tmp_path, ALL, size=1), sample_dir, "again.zip")
    good = submitted(tmp_path / "good", write_plan(tmp_path, ALL), sample_dir, "good.zip")

    def run(*words: str) -> tuple[str, str]:
        capsys.readouterr()
        history.main(["--history", str(kept), *words])
        captured = capsys.readouterr()
        return captured.out, captured.err

    out, err = run("--add", str(first), *data)
    assert "number 1" in out
    assert err == ""
    assert (kept / sha256_of(first)[:12] / "submission.zip").read_bytes() == first.read_bytes()
    first.unlink()  # what it keeps is enough
    out, err = run("--add", str(again), *data)
    assert "points over first.zip" in out
    assert "warning: that gain is within noise" in err
    out, err = run("--add", str(good), *data)
    assert "points over again.zip" in out
    assert err == ""
    out, _ = run("--answer", str(again), "--score", "71.5", "--task_scores", "cola=50", "RTE=60.25")
    assert "71.50 on the test set, expected were" in out
    lines = run()[0].splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["–", "71.50", "–"]
    for file in (kept / sha256_of(again)[:12]).glob("dev-*"):
        file.unlink()
    better = submitted(
        tmp_path / "good", write_plan(tmp_path, ALL, size=1), sample_dir, "better.zip", "--wnli", "trained"
    )
    out, err = run("--add", str(better), *data)
    assert "number 4" in out
    assert "warning: not compared with again.zip: " in err
    with pytest.raises(InputError, match="was handed in before"):
        run("--add", str(again), *data)
    good.write_bytes(again.read_bytes())
    with pytest.raises(InputError, match=r"good\.manifest\.json: is of another good\.zip"):
        run("--add", str(good), *data)
