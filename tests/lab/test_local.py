"""One machine: which cores a process gets, and that it does not outlive who wanted it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from glue.config import GlueRunConfig, GlueTrainingConfig
from lab.command_chain import chain_command, chain_environment, last_line
from lab.local import worker_slots
from lab.speed import Speed, estimate_seconds
from lab.trial_config import TrialConfig
from lab.trial_run import WorkerSlot, _StoppedError, predict_best, run_trial
from lab.trial_store import DONE, FAILED, STOPPED
from training.run_state import FINISHED

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's own")


def test_cores_are_dealt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5, 7, 8}, raising=False)
    assert worker_slots(1, "cpu") == [WorkerSlot((2, 3, 5, 7, 8), 5)]
    assert worker_slots(2, "cpu") == [WorkerSlot((2, 3), 2), WorkerSlot((5, 7), 2)]
    assert [slot.cores for slot in worker_slots(6, "cpu")] == [(2,), (3,), (5,), (7,), (8,), (2,)]


def test_workers_are_bound_to_nothing_where_cores_have_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert worker_slots(2, "cpu") == [WorkerSlot((), 3), WorkerSlot((), 3)]
    assert worker_slots(9, "cpu") == [WorkerSlot((), 1)] * 9


def test_each_worker_has_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert [slot.gpu for slot in worker_slots(2, "gpu")] == ["4", "6"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [(slot.cores, slot.gpu) for slot in worker_slots(2, "gpu")] == [((), "0"), ((), "1")]


# Ways in which a system may lack what the launcher likes to use; it runs after these lines.
LACKS = {
    "nothing": "",
    "prctl": "import ctypes; del ctypes.CDLL; ctypes.CDLL = lambda _: object()",
    "libraries": "import ctypes; ctypes.CDLL = lambda _: open('/nowhere')",
    "ctypes": "sys.modules['ctypes'] = None",
    "Linux": "sys.platform = 'darwin'",
    "affinity": "import os; del os.sched_setaffinity",
    "the right to bind": "import os; os.sched_setaffinity = lambda *_: os.close(-1)",
    "fork": "import os; del os.fork",
}
POSIX = pytest.mark.skipif(os.name != "posix", reason="processes of another kind")


def launcher(project_dir: Path, lack: str, parent: object, cores: str) -> list[str]:
    """The beginning of a command's command, as trial_run has them, on a system that lacks something."""
    path = str(project_dir / "lab" / "child_process.py")
    if lack == "nothing":
        return [sys.executable, "-I", path, str(parent), cores]
    code = f"import runpy, sys; {LACKS[lack]}\nrunpy.run_path({path!r}, run_name='__main__')"
    return [sys.executable, "-I", "-c", code, str(parent), cores]


def launch(
    project_dir: Path, parent: int, *command: str, lack: str = "nothing"
) -> "subprocess.CompletedProcess[str]":
    core = str(min(os.sched_getaffinity(0)))
    started = launcher(project_dir, lack, parent, core)
    return subprocess.run([*started, sys.executable, *command], capture_output=True, encoding="utf-8")


@LINUX
def test_a_command_is_bound_and_gets_its_words(project_dir: Path) -> None:
    code = "import os, sys; print(sorted(os.sched_getaffinity(0)), sys.argv[1:])"
    done = launch(project_dir, os.getpid(), "-c", code, "a b", "--c")
    assert done.stdout == f"[{min(os.sched_getaffinity(0))}] ['a b', '--c']\n"


@LINUX
@pytest.mark.parametrize("lack", LACKS)
def test_a_command_runs_whatever_the_system_lacks(project_dir: Path, lack: str) -> None:
    done = launch(project_dir, os.getpid(), "-c", "import sys; print('ran'); sys.exit(7)", lack=lack)
    assert (done.returncode, done.stdout) == (7, "ran\n")
    assert ("not bound to the cores" in done.stderr) == (lack == "the right to bind")


@LINUX
@pytest.mark.parametrize("lack", ["nothing", "prctl"])
def test_a_command_that_nobody_wants_any_more_does_not_start(project_dir: Path, lack: str) -> None:
    done = launch(project_dir, 1, "-c", "print('started')", lack=lack)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is gone" in done.stderr


@POSIX
@pytest.mark.parametrize("lack", ["nothing", "prctl", "libraries", "ctypes", "Linux"])
def test_a_command_ends_with_who_wanted_it(project_dir: Path, lack: str) -> None:
    """A parent that is killed; the pipe they share closes when the child is gone too."""
    command = launcher(project_dir, lack, "PARENT", "-")
    code = (
        "import os, subprocess, sys, time\n"
        f"command = [str(os.getpid()) if word == 'PARENT' else word for word in {command!r}]\n"
        "child = 'import time; print(1, flush=True); time.sleep(600)'\n"
        "subprocess.Popen([*command, sys.executable, '-c', child]).wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, encoding="utf-8")
    assert parent.stdout is not None
    assert parent.stdout.readline() == "1\n"
    parent.kill()
    parent.wait()  # a process that is gone but not waited for still counts as alive
    assert parent.stdout.read() == ""  # the end of the pipe, long before ten minutes


def config_of(folder: Path, peers: tuple[Path, ...] = (), **settings: Any) -> TrialConfig:
    """A CoLA trial with these settings; its two test files have 75 rows together."""
    run = GlueRunConfig(
        model_name_or_path="m", output_dir=str(folder), data_dir="d", task_name="cola",
        training=GlueTrainingConfig(**settings),
    )  # fmt: skip
    return TrialConfig("cola/trial", run, {"test": (("", 50), ("", 25))}, peers)


def test_the_time_of_a_trial_by_hand() -> None:
    """3 epochs of 32 steps of 32 rows at 64 rows/s: 48 s. Three evaluations
    and the prediction of 150 dev rows, 75 test rows, at 135 rows/s: 5 s. A start of 6 s."""
    config = config_of(Path("run"), batch_size=32, num_train_epochs=3.0)
    speed = Speed(training=64.0, evaluation=135.0, rows=1000, dev_rows=200)
    assert estimate_seconds(config, speed) == pytest.approx(48 + 5 + 6)
    settings = {"batch_size": 16, "max_steps": 100, "save_steps": 30, "gradient_accumulation_steps": 2}
    wanted = 100 * 32 / 64 + (4 * 200 + 75) / 135 + 6  # four evaluations
    assert estimate_seconds(config_of(Path("run"), **settings), speed) == pytest.approx(wanted)


@pytest.mark.parametrize("is_through", [False, True])
def test_what_was_trained_when_the_median_rule_stopped_it_is_kept(tmp_path: Path, is_through: bool) -> None:
    """What is through is predicted, without another training."""
    config = config_of(tmp_path / "run", (tmp_path / "peer",))
    modules = []

    def run_commands(commands: list[list[str]], *_: object) -> None:
        modules.append([module for module, *_ in commands])
        if is_through:
            (tmp_path / "run" / FINISHED).touch()
            (tmp_path / "run" / "scores.json").write_text("{}", encoding="utf-8")
        if len(modules) == 1:
            raise _StoppedError("below the median")

    outcome = run_trial(config, WorkerSlot((), 1), run_commands=run_commands)
    assert outcome.status == (DONE if is_through else STOPPED)
    assert modules == [["glue.run_glue", "glue.run_predict"], ["glue.run_predict"]][: 1 + is_through]


def test_commands_are_the_config_as_flags_and_their_failure_one_line(tmp_path: Path) -> None:
    config = config_of(tmp_path / "run", seed=7)
    ran = []

    def run_commands(commands: list[list[str]], *_: object) -> None:
        ran.extend(commands)
        raise InputError("no\nluck")

    outcome = run_trial(config, WorkerSlot((), 2), run_commands=run_commands)
    assert (outcome.status, outcome.message) == (FAILED, "no luck")
    (train, *flags), (predict, *others) = ran
    assert (train, predict) == ("glue.run_glue", "glue.run_predict")
    run = tmp_path / "run"
    assert {"--seed=7", "--task_name=cola", f"--output_dir={run}", "--num_workers=2"} <= set(flags)
    assert {f"--ckpt_path={run / 'best'}", "--split=test", "--num_workers=2"} <= set(others)


def test_commands_run_in_one_process_until_one_fails(tmp_path: Path) -> None:
    sample, no_zip = tmp_path / "sample", tmp_path / "no.zip"
    fine = ["scripts.make_sample", "--rows", 40, "--output_dir"]
    command = chain_command([[*fine, sample], ["submission.check", no_zip], [*fine, tmp_path / "more"]])
    done = subprocess.run(
        command, cwd=tmp_path, env=chain_environment(1), capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1
    assert [folder.name for folder in tmp_path.iterdir()] == ["sample"]
    assert last_line(done.stderr).startswith(f"submission.check: {no_zip}: ")
    assert last_line(" \n") == "it wrote nothing"


def test_a_run_that_was_stopped_is_predicted_only_with_a_model_that_was_evaluated(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    commands: list[list[list[str]]] = []

    def run_commands(chain: list[list[str]], *_: object) -> None:
        commands.append(chain)

    assert predict_best(config, WorkerSlot((), 1), run_commands).status == FAILED
    best, scores = tmp_path / "best" / "manifest.json", tmp_path / "scores.json"
    best.parent.mkdir(parents=True)
    for path in (best, scores):
        path.write_text("{}", encoding="utf-8")
    os.utime(best, (2e9, 2e9))  # stopped before the scores of this model were written
    assert predict_best(config, WorkerSlot((), 1), run_commands).status == FAILED
    assert not commands
    os.utime(scores, (2e9, 2e9))
    assert predict_best(config, WorkerSlot((), 1), run_commands).status == DONE
    assert {command[0] for command in commands[0]} == {"glue.run_predict"}
