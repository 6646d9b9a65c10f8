"""One machine: which cores a process gets, and that it does not outlive who wanted it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from glue.config import GlueTrainingConfig
from lab import trial_run
from lab.estimate import seconds_of
from lab.local import places
from lab.speed import Speed
from lab.trial_run import Job, Place, _median_rule, _StoppedError, run_job
from lab.trial_store import DONE, STOPPED, record_path

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's own")


def test_cores_are_dealt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5, 7, 8}, raising=False)
    assert places(1, "cpu") == [Place((2, 3, 5, 7, 8), 5)]
    assert places(2, "cpu") == [Place((2, 3), 2), Place((5, 7), 2)]
    assert [place.cores for place in places(6, "cpu")] == [(2,), (3,), (5,), (7,), (8,), (2,)]


def test_workers_are_bound_to_nothing_where_cores_have_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert places(2, "cpu") == [Place((), 3), Place((), 3)]
    assert places(9, "cpu") == [Place((), 1)] * 9


def test_each_worker_has_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert [place.gpu for place in places(2, "gpu")] == ["4", "6"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [(place.cores, place.gpu) for place in places(2, "gpu")] == [((), "0"), ((), "1")]


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
    """The beginning of a command's words, as trial_run has them, on a system that lacks something."""
    path = str(project_dir / "lab" / "child_process.py")
    if lack == "nothing":
        return [sys.executable, "-I", path, str(parent), cores]
    code = f"import runpy, sys; {LACKS[lack]}\nrunpy.run_path({path!r}, run_name='__main__')"
    return [sys.executable, "-I", "-c", code, str(parent), cores]


def launch(
    project_dir: Path, parent: int, *words: str, lack: str = "nothing"
) -> "subprocess.CompletedProcess[str]":
    core = str(min(os.sched_getaffinity(0)))
    started = launcher(project_dir, lack, parent, core)
    return subprocess.run([*started, sys.executable, *words], capture_output=True, encoding="utf-8")


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
    words = launcher(project_dir, lack, "PARENT", "-")
    code = (
        "import os, subprocess, sys, time\n"
        f"words = [str(os.getpid()) if word == 'PARENT' else word for word in {words!r}]\n"
        "child = 'import time; print(1, flush=True); time.sleep(600)'\n"
        "subprocess.Popen([*words, sys.executable, '-c', child]).wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, encoding="utf-8")
    assert parent.stdout is not None
    assert parent.stdout.readline() == "1\n"
    parent.kill()
    parent.wait()  # a process that is gone but not waited for still counts as alive
    assert parent.stdout.read() == ""  # the end of the pipe, long before ten minutes


def test_the_time_of_a_trial_by_hand() -> None:
    """3 epochs of 32 steps of 32 rows at 64 rows/s: 48 s. Three evaluations
    and the prediction of 150 dev rows, 75 test rows, at 135 rows/s: 5 s. Three commands of 5 s."""
    recipe = GlueTrainingConfig(batch_size=32, num_train_epochs=3.0)
    speed = Speed(training=64.0, evaluation=135.0, rows=1000, dev_rows=150)
    assert seconds_of(recipe, speed, 75) == pytest.approx(48 + 5 + 15)
    steps = GlueTrainingConfig(batch_size=16, max_steps=100, save_steps=30, gradient_accumulation_steps=2)
    wanted = 100 * 32 / 64 + (5 * 150 + 75) / 135 + 15  # four evaluations
    assert seconds_of(steps, speed, 75) == pytest.approx(wanted)


def test_the_median_rule_speaks_once_a_save_is_there_and_never_of_the_last_step(tmp_path: Path) -> None:
    def write(run: Path, *scores: float) -> None:
        run.mkdir(exist_ok=True)
        lines = [{"step": n, "evaluation": {"step": n, "main": s}} for n, s in enumerate(scores, 1)]
        (run / "history.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
        )

    def saved(step: int, total: int) -> None:
        (own / "last").mkdir(exist_ok=True)
        state = {"step": step, "total": total, "finished": step == total}
        (own / "last" / "state.json").write_text(json.dumps(state), encoding="utf-8")

    peers, own = [tmp_path / f"peer{number}" for number in range(5)], tmp_path / "own"
    for peer in peers:
        write(peer, 0.5, 0.6)
        record_path(peer).write_text('{"status": "done"}', encoding="utf-8")
    look = _median_rule(Job("cola/own", "cola", str(own), (), (), {}, tuple(map(str, peers))))
    look()  # nothing there yet
    write(own, 0.1)
    look()  # evaluated, not saved
    saved(1, total=1)
    look()  # the last step: it is trained
    saved(1, total=2)
    with pytest.raises(_StoppedError, match="below the median of 5 trials at step 1"):
        look()
    write(own, 0.1, 0.6)
    saved(2, total=3)
    look()  # as good as the median
    write(own, 0.1, 0.2, 0.3)
    saved(3, total=4)
    look()  # nobody came so far


def test_what_was_trained_when_the_median_rule_spoke_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job("cola/own", "cola", str(tmp_path / "own"), (), (), {}, (str(tmp_path / "peer"),))

    def command(place: Place, is_cancelled: object, look: object, module: str, words: Sequence[str]) -> None:
        if through:
            (tmp_path / "own" / "last").mkdir(parents=True)
            (tmp_path / "own" / "last" / "state.json").write_text('{"finished": true}', encoding="utf-8")
            (tmp_path / "own" / "scores.json").write_text("{}", encoding="utf-8")
        raise _StoppedError("below the median")

    monkeypatch.setattr(trial_run, "_command", command)
    through = False
    assert run_job(job, Place((), 1)).status == STOPPED
    through = True
    assert run_job(job, Place((), 1)).status == DONE
