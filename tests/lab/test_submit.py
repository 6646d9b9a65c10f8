"""From made-up trials of every task to a zip, and what its manifest says of it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from commands.errors import InputError
from commands.files import Lock, sha256_of
from glue.tasks import TASKS
from lab import ensemble, history, submit
from metrics import score
from submission import check, diff
from submission.manifest import recorded_digest
from submission.origins import read_logits
from tests.lab.conftest import FakeTrial

WritePlan = Callable[..., str]
PLAN = """checkpoints: {base: {model: MODEL, from_scratch: true}}
seeds: [1, 2, 3]
ensemble: {size: 3}
tasks: {TASKS}
"""


@pytest.fixture
def write_plan(sample_dir: Path) -> WritePlan:
    """``write_plan(folder, "rte: , cola: ", size=1)``: the path of a plan for made-up trials."""

    def write(folder: Path, tasks: str, size: int = 3) -> str:
        path = folder / "plan.yaml"
        text = PLAN.replace("MODEL", str(sample_dir / "tiny-convbert")).replace("TASKS", tasks)
        path.write_text(text.replace("size: 3", f"size: {size}"))
        return str(path)

    return write


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
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    for member in tasks["qqp"]["members"]:
        assert member["checkpoint_digest"] == recorded_digest(runs / member["run"] / "best")
    joined = read_logits(tmp_path / "best.predictions" / "test" / "QQP.npz")
    assert joined.data_digest == sha256_of(sample_dir / "QQP" / "test.tsv")
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


def test_the_task_that_is_all_zeros_can_be_trained(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path
) -> None:
    plan = write_plan(tmp_path, ALL, size=1)
    zeros = submitted(runs, plan, sample_dir, "zeros.zip")
    trained = submitted(runs, plan, sample_dir, "trained.zip", "--wnli", "trained")
    changed = {each.name: each.changed for each in diff.differences(str(zeros), str(trained))}
    assert changed.pop("WNLI.tsv") > 0
    assert set(changed.values()) == {0}


def test_a_single_run_is_handed_in_as_it_predicted(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path
) -> None:
    output = submitted(runs, write_plan(tmp_path, ALL, size=1), sample_dir, "one.zip")
    manifest = json.loads((tmp_path / "one.manifest.json").read_text())
    for name, about in manifest["tasks"].items():
        for split in TASKS[name].of_kind("test") if "run" in about else []:
            theirs = runs / about["run"] / "predictions" / "test" / split.hand_in
            ours = tmp_path / "one.predictions" / "test" / split.hand_in
            assert ours.read_bytes() == theirs.read_bytes()
    assert sum("run" in about for about in manifest["tasks"].values()) == 8
    assert output.is_file()


def test_a_task_without_a_run_is_named(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path
) -> None:
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


def test_a_task_without_test_files_can_be_filled(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path
) -> None:
    """QQP's alone; of MNLI, whose diagnostic set is missing, the other answers would be lost."""
    plan, data = write_plan(tmp_path, ALL, size=1), tmp_path / "data"
    shutil.copytree(sample_dir, data)
    (data / "QQP" / "test.tsv").unlink()
    with pytest.raises(InputError, match=r"missing: qqp \(there is no QQP/test\.tsv\); add --fill_missing"):
        submitted(runs, plan, data, "a.zip")
    submitted(runs, plan, data, "a.zip", "--fill_missing", "majority")
    tasks = json.loads((tmp_path / "a.manifest.json").read_text())["tasks"]
    assert tasks["qqp"]["note"] == "there is no QQP/test.tsv: every row is 0"
    assert [name for name, about in tasks.items() if "constant" in about] == ["qqp", "wnli"]
    (data / "diagnostic" / "diagnostic.tsv").unlink()
    with pytest.raises(InputError, match=r"diagnostic/diagnostic\.tsv: no such file"):
        submitted(runs, plan, data, "b.zip", "--fill_missing", "majority")


def test_damaged_predictions_are_named(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path
) -> None:
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
    with pytest.raises(InputError, match=r"RTE\.npz: is not of the checkpoint in .*base-seed2/best; sweep"):
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
    runs: Path,
    write_plan: WritePlan,
    fake_trial: FakeTrial,
    sample_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
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
    assert "points expected over first.zip" in out
    assert "warning: that gain is within noise" in err
    out, err = run("--add", str(good), *data)
    assert "points expected over again.zip" in out
    assert err == ""
    averages = [  # of the gain the manifests' expectations speak, not the rows that chose
        json.loads((tmp_path / f"{name}.manifest.json").read_text())[kind]["leaderboard_average"]
        for kind in ("expected", "dev") for name in ("again", "good")
    ]  # fmt: skip
    expected, dev = (100 * (averages[at + 1] - averages[at]) for at in (0, 2))
    assert abs(expected - dev) > 0.01
    assert out.splitlines()[1].startswith(f"leaderboard average: {expected:+.2f} points expected over")
    assert out.splitlines()[1].endswith(f"on the dev rows that chose {dev:+.2f}")
    low, high = map(float, re.findall(r"interval ([-+.0-9]+) to ([-+.0-9]+)\)", out)[0])
    assert low < expected < high
    out, _ = run("--answer", str(again), "--score", "71.5", "--task_scores", "cola=50", "RTE=60.25")
    assert "71.50 on the test set, expected were" in out
    lines = run()[0].splitlines()
    assert lines[2].endswith("  cola 50.0, rte 60.25")
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


def test_a_slip_never_becomes_a_hand_in(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong folder of runs, a plan that was not swept, other data, files that are missing or of others."""
    plan, fill = write_plan(tmp_path, ALL, size=1), ("--fill_missing", "majority")
    (tmp_path / "empty").mkdir()
    slips = [
        (tmp_path / "nowhere", plan, sample_dir, "nowhere: no such folder of runs"),
        (tmp_path / "empty", plan, sample_dir, "empty: no run of the plan .*plan.yaml is done"),
    ]
    (tmp_path / "other").mkdir()
    other = Path(write_plan(tmp_path / "other", ALL, size=1))
    other.write_text(other.read_text() + "settings: {batch_size: 8}\n")
    slips += [(runs, str(other), sample_dir, r"args\.json: was made with recipe\.batch_size 32, the plan")]
    for name, line, message in (
        (
            "preset",
            "preset: reference",
            r"args\.json: was made with recipe\.\w+ .*, the plan says .*; take the",
        ),
        (
            "model",
            "checkpoints: {base: convbert-mini}",
            r"args\.json: was made with model_sha256 .*convbert-mini\)",
        ),
    ):
        (tmp_path / name).mkdir()
        other = Path(write_plan(tmp_path / name, ALL, size=1))
        key = line.partition(":")[0]
        kept_lines = [old for old in other.read_text().splitlines() if not old.startswith(key)]
        other.write_text("\n".join([line, *kept_lines]) + "\n")
        slips += [(runs, str(other), sample_dir, message)]
    for name, change, message in (
        (
            "texts",
            lambda file: file.write_text(file.read_text().replace(" a ", " the ")),
            "was not predicted",
        ),
        ("gone", lambda file: file.unlink(), r"diagnostic\.tsv: no such file"),
    ):
        data = tmp_path / name
        shutil.copytree(sample_dir, data)
        change(data / ("diagnostic/diagnostic.tsv" if name == "gone" else "RTE/test.tsv"))
        slips += [(runs, plan, data, message)]
    for where, which, data, message in slips:
        with pytest.raises(InputError, match=message):
            submitted(where, which, data, "slip.zip", *fill)
    scores = runs / "rte" / "base-seed2" / "scores.json"
    kept = scores.read_text()
    scores.write_text(kept.replace('"main": 0.9', '"main": 0.8'))
    with pytest.raises(InputError, match=r"score 9\d\.\d\d, but scores\.json says 8"):
        submitted(runs, plan, sample_dir, "slip.zip", *fill)
    scores.write_text(re.sub('"main": [0-9.]*', '"main": NaN', kept))
    with pytest.raises(InputError, match=r"not the scores of a run \(ValueError\('main: nan'\)\); remove"):
        submitted(runs, plan, sample_dir, "slip.zip", *fill)
    assert not list(tmp_path.glob("slip*/*.tsv"))
    assert not (tmp_path / "slip.zip").exists()


def test_a_failed_submission_leaves_the_one_before(
    runs: Path,
    write_plan: WritePlan,
    fake_trial: FakeTrial,
    sample_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = write_plan(tmp_path, ALL, size=1)
    output = submitted(runs, plan, sample_dir, "a.zip")
    paths = [path for path in tmp_path.glob("a.*/**/*") if path.is_file()]
    before = {path: path.read_bytes() for path in [output, tmp_path / "a.manifest.json", *paths]}
    assert len(before) > 40
    for task in TASKS:
        fake_trial(runs, f"{task}/base-seed1", 0.9, 5)

    def broken(*_: object) -> None:
        raise InputError("no")

    monkeypatch.setattr("submission.pack.pack", broken)
    with pytest.raises(InputError, match="no"):
        submitted(runs, plan, sample_dir, "a.zip")
    assert {path: path.read_bytes() for path in before} == before
    assert not list(tmp_path.glob("a.predictions/.*"))


def test_the_history_takes_whole_hand_ins_one_after_the_other(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, kept = write_plan(tmp_path, ALL, size=1), tmp_path / "history"
    add = ["--history", str(kept), "--data_dir", str(sample_dir), "--add"]
    one, two = (submitted(runs, plan, sample_dir, name) for name in ("one.zip", "two.zip"))
    with pytest.raises(InputError, match=r"three\.zip: no such file; lab\.submit writes it"):
        history.main([*add, str(tmp_path / "three.zip")])
    dev = tmp_path / "one.predictions" / "dev" / "RTE.tsv"
    content = dev.read_text()
    dev.write_text(content.replace("\tentailment", "\tnot_entailment", 1))
    with pytest.raises(InputError, match=r"RTE\.tsv: is not what one\.manifest\.json says"):
        history.main([*add, str(one)])
    dev.unlink()
    with pytest.raises(InputError, match=r"dev/RTE\.tsv: is missing"):
        history.main([*add, str(one)])
    dev.write_text(content)
    kept.mkdir(exist_ok=True)
    lock = Lock(kept / ".lock")
    with pytest.raises(InputError, match="another run is at work there"):
        history.main([*add, str(one)])
    lock.free()
    history.main([*add, str(one)])
    with pytest.raises(InputError, match="was handed in before"):  # the same bytes
        history.main([*add, str(two)])
    two = submitted(runs, plan, sample_dir, "two.zip", "--wnli", "trained")
    history.main([*add, str(two)])
    for archive, score_ in ((one, "94.1"), (two, "84.5"), (one, "74.1")):  # the first was a slip
        history.main(["--history", str(kept), "--answer", str(archive), "--score", score_])
    assert history._best(history.read_events(kept))["zip"] == "two.zip"
    lines = (kept / "history.jsonl").read_text().splitlines()
    for line in (
        '{"event": "handed in", "date": "d", "sha256": "s", "zip": "z"}',
        '{"event": "handed in", "date": "d", "sha256": "s", "zip": "z", "expected": []}',
        '{"event": "handed in", "date": null, "sha256": "s", "zip": "z", "expected": {}}',
        '{"event": "handed in", "date": "d", "sha256": "s", "zip": "z",'
        ' "expected": {"leaderboard_average": "1"}}',
        '{"event": "answered", "date": "d", "sha256": "s", "score": "x"}',
        '{"event": "answered", "date": "d", "sha256": [], "score": 1}',
    ):
        (kept / "history.jsonl").write_text("\n".join([*lines, line, ""]))
        with pytest.raises(InputError, match=rf"history\.jsonl:{len(lines) + 1}: not a line of a history"):
            history.main(["--history", str(kept)])
    with pytest.raises(InputError, match="is no folder"):
        history.main(["--history", str(one)])
