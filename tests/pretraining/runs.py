"""What tests of the command share: its flags, how it is started, what it leaves."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pretraining.run_pretrain import main
from training import trainer

SAME = (
    "last/model.safetensors", "last/objective.safetensors", "last/optimizer.safetensors", "last/state.json",
    "best/model.safetensors", "history.jsonl", "scores.json",
)  # fmt: skip
SHORT = "--max_seq_length 32 --batch_size 16 --max_steps 12 --save_steps 4 --logging_steps 4 --seed 3"


def arguments(corpus: Path, model: Path | str, output: Path, more: str = SHORT) -> list[str]:
    argv = ["--input_dir", str(corpus), "--model_name_or_path", str(model), "--output_dir", str(output)]
    return [*argv, *more.split()]


def lines_of(run: Path, key: str) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["evaluation"] if key == "evaluation" else line for line in lines if key in line]


def contents(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in SAME}


def start(project_dir: Path, argv: list[str], cwd: Path, processes: int = 1) -> subprocess.Popen[str]:
    program = ["-m", "pretraining.run_pretrain"]
    if processes > 1:
        logs = cwd / f"log{time.monotonic_ns()}"
        program = ["-m", "paddle.distributed.launch", "--nproc_per_node", str(processes)]
        program += ["--log_dir", str(logs), str(project_dir / "pretraining" / "run_pretrain.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(project_dir)}
    return subprocess.Popen(
        [sys.executable, *program, *argv], cwd=cwd, env=environment, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def interrupt_after(steps: int, argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call the command, and end it by Ctrl-C when it has taken so many steps."""
    left, real = iter(range(steps)), trainer.Trainer.step

    def stopped(*args):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "step", stopped)
        with pytest.raises(KeyboardInterrupt):
            main(argv)
