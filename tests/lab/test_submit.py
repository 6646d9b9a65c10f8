"""From made-up trials of every task to a zip, and what its manifest says of it."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.files import sha256_of
from common.provenance import recorded_digest
from glue import score
from glue.predictions import SplitPredictions
from glue.tasks import TASKS
from lab import ensemble
from lab.report_submission import read_zip
from submission import check, diff
from tests.lab.conftest import FakeTrial
from tests.lab.submissions import ALL, WritePlan, submitted


def test_the_zip_is_what_the_manifest_says(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = submitted(runs, write_plan(tmp_path, ALL), sample_dir, "best.zip")
    printed = capsys.readouterr().out
    check.main([str(output), "--data_dir", str(sample_dir)])
    manifest = json.loads((tmp_path / "best.manifest.json").read_text(encoding="utf-8"))
    assert manifest["sha256"] == sha256_of(output)
    tasks = manifest["tasks"]
    assert (tasks["rte"]["run"], tasks["rte"]["seed"], tasks["rte"]["step"]) == ("rte/base-seed2", 2, 40)
    assert tasks["rte"]["runs"] == 3
    assert tasks["qqp"]["ensemble"]["method"] in ("mean", "vote")  # independent equals: joined
    assert len({member["run"] for member in tasks["qqp"]["members"]}) >= 2
    for member in tasks["qqp"]["members"]:
        assert member["checkpoint_digest"] == recorded_digest(runs / member["run"] / "best")
    joined = SplitPredictions.read(
        tmp_path / "best.predictions" / "test", TASKS["qqp"], TASKS["qqp"].of_kind("test")[0]
    )
    assert joined.provenance.data["QQP/test.tsv"] == sha256_of(sample_dir / "QQP" / "test.tsv")
    assert tasks["wnli"]["note"] == "every row is 0: chosen, not predicted"
    dev = tmp_path / "best.predictions" / "dev"
    for name, task in TASKS.items():  # every score in it is that of the files beside the zip
        splits = task.of_kind("dev")
        files = [str(dev / split.submission_file) for split in splits]
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


def test_a_plan_that_says_nothing_of_it_joins_and_the_table_says_what_was_done(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Path(write_plan(tmp_path, ALL))
    plan.write_text(plan.read_text(encoding="utf-8").replace("ensemble: {size: 3}\n", ""), encoding="utf-8")
    submitted(runs, str(plan), sample_dir, "a.zip")
    printed = capsys.readouterr().out
    assert re.search(r"qqp .* (mean|vote) of \d", printed)
    assert "rte/base-seed2 (the best of 3, not joined: no gain by cross-validation)" in printed
    submitted(runs, write_plan(tmp_path, ALL, size=1), sample_dir, "one.zip")
    assert "(the best of 3, not joined: the plan's ensemble has size 1)" in capsys.readouterr().out


def test_a_run_is_worth_the_same_everywhere(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the run that lab.submit and lab.ensemble take, whatever else each of them tried."""
    for task in TASKS:
        if task != "rte":
            shutil.rmtree(runs / task)
    expected = []
    for size in (1, 3):
        submitted(runs, write_plan(tmp_path, ALL, size=size), sample_dir, "a.zip", *FILL)
        tasks = json.loads((tmp_path / "a.manifest.json").read_text(encoding="utf-8"))["tasks"]
        assert tasks["rte"]["run"] == "rte/base-seed2"
        expected.append(tasks["rte"]["expected"])
    where = ["--runs", str(runs), "--data_dir", str(sample_dir), "--output_dir", str(tmp_path / "e")]
    capsys.readouterr()
    ensemble.main(["--task_name", "rte", *where])
    output = json.loads(capsys.readouterr().out)
    assert output["run"] == "rte/base-seed2"
    assert expected == [output["expected"]] * 2


def test_what_is_filled_on_purpose_is_called_filled_everywhere(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in TASKS:
        if task not in ("rte", "mnli"):
            shutil.rmtree(runs / task)
    output = submitted(runs, write_plan(tmp_path, ALL, size=1), sample_dir, "a.zip", *FILL)
    printed = re.findall(r"^(\w+) +([\w-]+\.tsv)", capsys.readouterr().out, re.MULTILINE)
    reports = check(output, sample_dir)
    filled = {report.name for report in reports if report.status == "FILLED"}
    assert len(filled) == 7
    assert {name for status, name in printed if status == "FILLED"} == filled
    assert [name for name in TASKS if name not in ("rte", "mnli")] == read_zip(output, sample_dir).filled


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
    manifest = json.loads((tmp_path / "one.manifest.json").read_text(encoding="utf-8"))
    for name, entry in manifest["tasks"].items():
        for split in TASKS[name].of_kind("test") if "run" in entry else []:
            theirs = runs / entry["run"] / "predictions" / "test" / split.submission_file
            ours = tmp_path / "one.predictions" / "test" / split.submission_file
            assert ours.read_bytes() == theirs.read_bytes()
    assert sum("run" in entry for entry in manifest["tasks"].values()) == 8
    assert output.is_file()


def test_a_task_without_a_run_is_named(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path
) -> None:
    record = runs / "cola" / "base-seed1.trial.json"
    for path in record.parent.glob("*.trial.json"):
        path.write_text(path.read_text(encoding="utf-8").replace('"done"', '"failed"'), encoding="utf-8")
    plan = write_plan(tmp_path, ALL, size=1)
    with pytest.raises(InputError) as raised:
        submitted(runs, plan, sample_dir, "a.zip")
    assert "missing: cola (no run of the plan is done); add --fill_missing majority" in str(raised.value)
    assert not (tmp_path / "a.zip").exists()
    submitted(runs, plan, sample_dir, "a.zip", "--fill_missing", "majority")
    entry = json.loads((tmp_path / "a.manifest.json").read_text(encoding="utf-8"))["tasks"]["cola"]
    assert entry["note"] == "no run of the plan is done: every row is 1"
    assert entry["dev"]["matthews"] == 0.0


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
    tasks = json.loads((tmp_path / "a.manifest.json").read_text(encoding="utf-8"))["tasks"]
    assert tasks["qqp"]["note"] == "there is no QQP/test.tsv: every row is 0"
    assert [name for name, entry in tasks.items() if "constant" in entry] == ["qqp", "wnli"]
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
    output = json.loads(capsys.readouterr().out)
    gold = str(sample_dir / "STS-B" / "dev.tsv")
    predicted = str(tmp_path / "e" / "dev" / "STS-B.tsv")
    score.main(["--task_name", "sts-b", "--predictions", predicted, "--gold", gold])
    scores = json.loads(capsys.readouterr().out)
    assert output["dev"] == pytest.approx({key: scores[key] for key in output["dev"]})
    members = [runs / member["run"] for member in output["members"]]
    logits = [np.load(run / "predictions" / "test" / "STS-B.npz")["logits"] for run in members]
    joined = np.load(tmp_path / "e" / "test" / "STS-B.npz")["logits"]
    np.testing.assert_allclose(joined, np.mean(logits, axis=0), rtol=1e-6)


FILL = ("--fill_missing", "majority")


@pytest.fixture
def refused(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path
) -> Iterator[Callable[..., None]]:
    """``refused(message, runs=…, plan=…, data=…)``: such a submission is an error, and leaves no file."""
    usual = {"runs": runs, "plan": write_plan(tmp_path, ALL, size=1), "data": sample_dir}

    def refuse(message: str, **changed: object) -> None:
        with pytest.raises(InputError, match=message):
            submitted(*{**usual, **changed}.values(), "slip.zip", *FILL)

    yield refuse
    assert not [path for path in tmp_path.glob("slip*") if path.is_file() or any(path.rglob("*.tsv"))]


@pytest.mark.parametrize(
    ("folder", "message"),
    [("nowhere", "nowhere: no such folder of runs"), ("empty", "empty: no run of the plan .* is done")],
)
def test_a_wrong_folder_of_runs_is_refused(
    refused: Callable[..., None], tmp_path: Path, folder: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    refused(message, runs=tmp_path / folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("settings: {batch_size: 8}", r"args\.json: was made with recipe\.batch_size 32, expected 8"),
        ("preset: reference", r"args\.json: was made with recipe\.\w+ .*, expected .*; take the"),
        ("checkpoints: {base: convbert-mini}", r"args\.json: was made with model .*convbert-mini\)"),
    ],
)
def test_a_plan_that_was_not_swept_is_refused(
    refused: Callable[..., None], write_plan: WritePlan, tmp_path: Path, line: str, message: str
) -> None:
    (tmp_path / "other").mkdir()
    other = Path(write_plan(tmp_path / "other", ALL, size=1))
    lines = other.read_text(encoding="utf-8").splitlines()
    kept = [old for old in lines if not old.startswith(line.partition(":")[0])]
    other.write_text("\n".join([line, *kept]) + "\n", encoding="utf-8")
    refused(message, plan=str(other))


@pytest.mark.parametrize(
    ("file", "message"),
    [("RTE/test.tsv", "was not predicted"), ("diagnostic/diagnostic.tsv", r"diagnostic\.tsv: no such file")],
)
def test_other_data_than_were_predicted_are_refused(
    refused: Callable[..., None], sample_dir: Path, tmp_path: Path, file: str, message: str
) -> None:
    data = tmp_path / "data"
    shutil.copytree(sample_dir, data)
    text = (data / file).read_text(encoding="utf-8")
    (data / file).unlink()
    if file.startswith("RTE"):
        (data / file).write_text(text.replace(" a ", " the "), encoding="utf-8")
    refused(message, data=data)


@pytest.mark.parametrize(
    ("pattern", "changed", "message"),
    [
        ('"main": 0.9', '"main": 0.8', r"score 9\d\.\d\d, but scores\.json says 8"),
        ('"main": [0-9.]*', '"main": NaN', r"not the scores of a run: best: main is nan, .*; remove"),
    ],
)
def test_scores_that_the_predictions_do_not_have_are_refused(
    refused: Callable[..., None], runs: Path, pattern: str, changed: str, message: str
) -> None:
    scores = runs / "rte" / "base-seed2" / "scores.json"
    scores.write_text(re.sub(pattern, changed, scores.read_text(encoding="utf-8")), encoding="utf-8")
    refused(message)


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

    monkeypatch.setattr("lab.submitting.pack", broken)
    with pytest.raises(InputError, match="no"):
        submitted(runs, plan, sample_dir, "a.zip")
    assert {path: path.read_bytes() for path in before} == before
    assert not list(tmp_path.glob("a.predictions/.*"))
