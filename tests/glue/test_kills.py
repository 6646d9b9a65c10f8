"""A run killed with SIGKILL at any moment and resumed gives the bytes of the run that was left alone."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glue import run_glue

KILLS = 30
STEPS, SAVE_STEPS = 80, 2
SAME = ("last/model.safetensors", "last/optimizer.safetensors", "best/model.safetensors", "history.jsonl",
        "scores.json")  # fmt: skip


def start(project_dir: Path, sample_dir: Path, run: Path) -> subprocess.Popen[str]:
    argv = [
        "--task_name", "rte", "--model_name_or_path", sample_dir / "tiny-convbert", "--from_scratch",
        "--data_dir", sample_dir, "--output_dir", run, "--max_steps", STEPS, "--save_steps", SAVE_STEPS,
        "--logging_steps", 3, "--learning_rate", 1e-3, "--resume",
    ]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "glue.run_glue", *map(str, argv)],
        cwd=project_dir, env={**os.environ, "OMP_NUM_THREADS": "2"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip


def until_it_trains(process: subprocess.Popen[str]) -> str:
    """Wait for the first step; returns what was said until then."""
    assert process.stderr is not None
    message = ""
    for line in process.stderr:
        message += line
        if "of them warm-up" in line:
            break
    return message


def saved_step(run: Path) -> int:
    state = run / "last" / "state.json"
    return int(json.loads(state.read_text(encoding="utf-8"))["step"]) if state.is_file() else 0


def moment_of(run: Path) -> str:
    """What a killed run was about, as far as its folder tells."""
    if any((run / name).exists() for name in (".last.part", ".best.part")):
        return "saving"
    if not (run / "last").exists():
        return "before the first save" if not (run / "previous").exists() else "between two renames"
    history = (run / "history.jsonl").read_text(encoding="utf-8").splitlines()
    saved = json.loads((run / "last" / "state.json").read_text(encoding="utf-8"))["step"]
    evaluated = max((json.loads(line)["step"] for line in history if "evaluation" in line), default=0)
    return "evaluated, not yet saved" if evaluated > saved else "training or evaluating"


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_thirty_times(project_dir: Path, sample_dir: Path, tmp_path: Path) -> None:
    """Prints what the kills hit; `pytest -s` shows it."""
    whole = start(project_dir, sample_dir, tmp_path / "whole")
    until_it_trains(whole)
    started = time.monotonic()
    assert whole.wait() == 0, whole.stderr and whole.stderr.read()
    interval = (time.monotonic() - started) * SAVE_STEPS / STEPS
    again = start(project_dir, sample_dir, tmp_path / "again")  # two uninterrupted runs agree
    assert again.wait() == 0
    wanted = {name: (tmp_path / "whole" / name).read_bytes() for name in SAME}
    assert {name: (tmp_path / "again" / name).read_bytes() for name in SAME} == wanted
    draw, moments, runs = random.Random(), [], 0
    while len(moments) < KILLS:
        runs += 1
        run = tmp_path / f"killed{runs}"
        patience = 4 * interval  # two saves on average; more where the machine has become slower
        for _ in range(10 * KILLS):
            before = saved_step(run)
            process = start(project_dir, sample_dir, run)
            message = until_it_trains(process)
            time.sleep(draw.uniform(0, patience))
            process.kill()
            message += process.stderr.read() if process.stderr else ""
            if process.wait() == 0:
                break
            assert process.returncode == -signal.SIGKILL, message
            moments.append(moment_of(run))
            patience *= 1.2 if saved_step(run) == before else 1.0
        assert {name: (run / name).read_bytes() for name in SAME} == wanted, moments
        assert not [path.name for path in run.iterdir() if path.name.startswith(".") and path.name != ".lock"]
    counts = {moment: moments.count(moment) for moment in sorted(set(moments))}
    print(f"\n{len(moments)} kills in {runs} runs of {STEPS} steps: {counts}")


def test_a_file_that_cannot_be_written_is_named(sample_dir: Path, tmp_path: Path) -> None:
    """A real error of the system in the first save: the file size is limited to less than the weights."""
    argv = [
        "--task_name", "rte", "--model_name_or_path", sample_dir / "tiny-convbert", "--from_scratch",
        "--data_dir", sample_dir, "--output_dir", tmp_path / "run", "--max_steps", 1,
    ]  # fmt: skip
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, unlimited[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            run_glue.main(list(map(str, argv)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert caught.value.filename == str(tmp_path / "run" / ".best.part" / "model.safetensors")
    assert not [
        path.name for path in (tmp_path / "run").iterdir() if path.is_dir() and path.name != "visualdl"
    ]


def test_sigterm_ends_a_run_that_says_how_it_goes_on(
    project_dir: Path, sample_dir: Path, tmp_path: Path
) -> None:
    process = start(project_dir, sample_dir, tmp_path / "run")
    until_it_trains(process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143
    *_, advice, last = err.splitlines()
    assert f"--resume --output_dir {tmp_path / 'run'}" in advice
    assert last == "terminated"
