"""The main job end to end, and its control: with shuffled training labels the same run learns nothing."""

import json
import zipfile

import pytest

from glue.tasks import TASKS
from scripts import demo

OFFICIAL_ZIP = [
    "CoLA.tsv", "SST-2.tsv", "MRPC.tsv", "STS-B.tsv", "QQP.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv",
    "QNLI.tsv", "RTE.tsv", "WNLI.tsv",
]  # fmt: skip
# What a dev score is without any signal: the sample's shares of labels (MRPC and QQP: the mean of F1 and
# accuracy when every pair is called a paraphrase).
CHANCE = {
    "cola": 0.0, "sst-2": 0.5, "mrpc": (0.75 + 0.6) / 2, "sts-b": 0.0, "qqp": (0.571 + 0.4) / 2,
    "mnli": 1 / 3, "qnli": 0.5, "rte": 0.5, "wnli": 0.5,
}  # fmt: skip


# Three standard deviations of a correlation of two unrelated columns of 150 rows: 3 / √150.
NOISE = 0.25


def main_scores(folder):
    """The last evaluation of every run: not the best, which was picked on these very rows."""
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))["last"]["main"]
        for path in folder.glob("*/scores.json")
    }


def run_demo(run_module, folder, *argv):
    done = run_module("scripts.demo", "--output_dir", folder, *argv, timeout=1800)
    assert done.returncode == 0, done.stderr
    return done, main_scores(folder)


def assert_learned(learned, control):
    for task, score in learned.items():
        assert score > CHANCE[task] + NOISE, f"{task} did not learn: {score:.3f}"
        assert score > control[task] + 0.2, f"{task}: {score:.3f}, with shuffled labels {control[task]:.3f}"
        assert control[task] < CHANCE[task] + NOISE, (
            f"{task} learned from shuffled labels: {control[task]:.3f}"
        )


def test_two_tasks(tmp_path, capsys):
    """For a step each, in which nothing is learned; the long test has what is."""
    few = ["--tasks", "rte", "cola", "--num_train_epochs", "0.05"]
    demo.main(["--output_dir", str(tmp_path / "demo"), *few])
    out, err = capsys.readouterr()
    scores = main_scores(tmp_path / "demo")
    assert set(scores) == {"rte", "cola"}
    for task in scores:
        settings = json.loads((tmp_path / "demo" / task / "args.json").read_text(encoding="utf-8"))
        assert settings["recipe"]["num_train_epochs"] == 0.05
    assert "[2/2]" in err
    page = tmp_path / "demo" / "report.html"
    assert out.splitlines()[-1] == f"{page}: all of it on one page"
    assert page.read_text(encoding="utf-8").count("Dev rows of") == 2
    assert not (tmp_path / "demo" / "submission.zip").exists()


@pytest.mark.long
def test_all_tasks_and_their_control(run_module, tmp_path):
    done, learned = run_demo(run_module, tmp_path / "demo")
    _, control = run_demo(run_module, tmp_path / "control", "--shuffle_train_labels")
    assert set(learned) == set(control) == set(TASKS)
    assert_learned(learned, control)
    with zipfile.ZipFile(tmp_path / "demo" / "submission.zip") as archive:
        assert sorted(archive.namelist()) == sorted(OFFICIAL_ZIP)
        # 75 test rows a file, and its header.
        assert {len(archive.read(name).splitlines()) for name in OFFICIAL_ZIP} == {76}
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:11]] == [["OK", name] for name in OFFICIAL_ZIP]
    assert lines[-1] == f"{tmp_path / 'demo' / 'submission.zip'} is packed and checked"


def test_runs_that_are_no_demo_are_never_replaced(run_module, tmp_path):
    (tmp_path / "wnli" / "best").mkdir(parents=True)
    done = run_module("scripts.demo", "--output_dir", tmp_path, "--tasks", "wnli")
    expected_text = f"error: {tmp_path}: holds something else than a demo; take another --output_dir\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected_text)
    assert [entry.name for entry in tmp_path.iterdir()] == ["wnli"]


def test_a_failing_step_is_one_line(run_module, tmp_path):
    """Here the run's folder cannot be made: a file stands in its place."""
    (tmp_path / "data" / "tiny-convbert").mkdir(parents=True)
    (tmp_path / "rte").write_text("in the way", encoding="utf-8")
    done = run_module("scripts.demo", "--output_dir", tmp_path, "--tasks", "rte")
    assert done.returncode == 1
    assert done.stdout == ""
    *progress, message = done.stderr.splitlines()
    assert message.startswith("error: rte: exit 1: glue.run_glue: ")
    assert str(tmp_path / "rte") in message
    assert "Traceback" not in "\n".join(progress)
