"""Two processes started by Paddle's launcher do what one does: same losses, same predictions, one writer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from glue import run_glue
from glue.tasks import TASKS

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the launcher and gloo need Linux"
)


@pytest.fixture(scope="module")
def workplace(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RTE with 65 training rows, so that a batch of 16 leaves one row over, and a model without dropout."""
    import shutil

    folder = tmp_path_factory.mktemp("distributed")
    shutil.copytree(sample_dir / "RTE", folder / "RTE")
    lines = (folder / "RTE" / "train.tsv").read_text("utf-8").splitlines(keepends=True)
    (folder / "RTE" / "train.tsv").write_text("".join(lines[:66]), "utf-8")
    shutil.copytree(sample_dir / "tiny-convbert", folder / "model")
    config = json.loads((folder / "model" / "config.json").read_text(encoding="utf-8"))
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def common(workplace: Path) -> list[object]:
    return ["--task_name", "rte", "--data_dir", workplace, "--num_workers", "1"]


def start(
    project_dir: Path, workplace: Path, module: str, processes: int, *argv: object
) -> subprocess.Popen[str]:
    program = ["-m", f"glue.{module}"]
    if processes > 1:
        logs = workplace / f"log{time.monotonic_ns()}"
        program = [
            "-m",
            "paddle.distributed.launch",
            "--nproc_per_node",
            str(processes),
            "--log_dir",
            str(logs),
        ]
        program.append(str(project_dir / "glue" / f"{module}.py"))
    return subprocess.Popen(
        [sys.executable, *program, *map(str, [*common(workplace), *argv])],
        cwd=workplace, env={**os.environ, "OMP_NUM_THREADS": "1"}, encoding="utf-8", start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def done(process: subprocess.Popen[str]) -> str:
    message, _ = process.communicate(timeout=300)
    assert process.returncode == 0, message
    return message


def training(workplace: Path, output: str, batch_size: int) -> list[object]:
    return [
        "--model_name_or_path", workplace / "model", "--from_scratch", "--output_dir", workplace / output,
        "--batch_size", batch_size, "--max_steps", 20, "--logging_steps", 1, "--save_steps", 5,
        "--learning_rate", 1e-3,
    ]  # fmt: skip


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def pair(project_dir: Path, workplace: Path) -> Path:
    """Runs of one process with batches of 16 and of two with batches of 8."""
    two = start(project_dir, workplace, "run_glue", 2, *training(workplace, "two", 8))
    run_glue.main(list(map(str, [*common(workplace), *training(workplace, "one", 16)])))
    done(two)
    return workplace


def test_two_halves_learn_as_one_whole(pair: Path) -> None:
    alone, together = losses(pair / "one"), losses(pair / "two")
    assert len(alone) == 20
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    assert len(set(np.round(alone, 3))) > 10  # they do change
    args = json.loads((pair / "two" / "args.json").read_text(encoding="utf-8"))
    assert (args["processes"], args["recipe"]["batch_size"]) == (2, 8)


@pytest.mark.long
def test_predictions_of_two_are_those_of_one(pair: Path, project_dir: Path) -> None:
    """The rows do not divide among batches of 7 and two processes; none is lost or doubled."""
    for name, processes in (("p1", 1), ("p2", 2)):
        argv = ["--ckpt_path", pair / "one", "--output_dir", pair / name, "--batch_size", 7]
        done(start(project_dir, pair, "run_predict", processes, *argv))
    (split,) = TASKS["rte"].of_kind("test")
    files = [(pair / name / split.submission_file) for name in ("p1", "p2")]
    assert files[0].read_bytes() == files[1].read_bytes()
    logits = [np.load(file.with_suffix(".npz"))["logits"] for file in files]
    np.testing.assert_array_equal(*logits)
    argv = ["--ckpt_path", pair / "one"]
    scores = [done(start(project_dir, pair, "run_eval", n, *argv)) for n in (1, 2)]
    result = [
        json.loads(next(line for line in message.splitlines() if line.startswith("{"))) for message in scores
    ]
    assert result[0] == result[1]


@pytest.mark.long
def test_bad_input_ends_all_processes(pair: Path, project_dir: Path) -> None:
    process = start(project_dir, pair, "run_glue", 2, *training(pair, "two", 8))  # its folder is filled
    message, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "two: is not empty; give --resume to go on" in message
    assert "Traceback" not in message


def worker_of(process: subprocess.Popen[str], rank: int) -> int:
    """The process id of one of the launcher's children."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
                parent = int((entry / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == process.pid and f"PADDLE_TRAINER_ID={rank}\0".encode() in environment:
                return int(entry.name)
    raise AssertionError(f"no process of rank {rank}")


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_job_which_then_resumes(pair: Path, project_dir: Path, rank: int) -> None:
    output = f"killed{rank}"
    process = start(project_dir, pair, "run_glue", 2, *training(pair, output, 8))
    for _ in range(600):
        if (pair / output / "last").is_dir():
            break
        time.sleep(0.05)
    os.kill(worker_of(process, rank), signal.SIGKILL)
    message, _ = process.communicate(timeout=120)  # it does not hang
    assert process.returncode != 0
    assert "exit" in message.lower()
    done(start(project_dir, pair, "run_glue", 2, *training(pair, output, 8), "--resume"))
    for name in ("last/model.safetensors", "last/optimizer.safetensors", "history.jsonl"):
        assert (pair / output / name).read_bytes() == (pair / "two" / name).read_bytes(), name
