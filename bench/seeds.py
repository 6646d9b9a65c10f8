"""Do we score as transformers does? The same fine-tuning with many seeds on both sides, and the difference.

  python -m bench.seeds --model FOLDER --data_dir glue_data --output seeds.jsonl
  python -m bench.seeds --output seeds.jsonl --report

Each side trains with the same recipe on the same rows: batches of 32 in random order, three epochs, the
weights after the last step. A finished run is one line of --output, so a call that was stopped goes on, and
several may run at once (--sides, --first_seed). transformers lives in an environment of its own
(HUGGINGFACE_PYTHON, or .venv-huggingface).

The table shows each side's mean and deviation, and the difference of the means with its 95 % interval
(Welch's, as the sides share no randomness).
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, count, path, run
from common.errors import InputError

RECIPE: dict[str, Any] = {
    "learning_rate": 1e-4, "num_train_epochs": 3, "batch_size": 32, "max_seq_length": 128,
    "warmup_proportion": 0.1, "weight_decay": 0.01, "adam_epsilon": 1e-6, "max_grad_norm": 1.0,
}  # fmt: skip
_OURS = {"scheduler_type": "linear", "layer_lr_decay": 1.0, "save_steps": 1_000_000}
SIDES = ("ours", "transformers")
_PROJECT = Path(__file__).resolve().parents[1]


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m bench.seeds", description=__doc__)
    parser.add_argument("--model", type=path, metavar="FOLDER", help="a BERT in Hugging Face's layout")
    parser.add_argument("--data_dir", type=path, metavar="DIR", help="the official GLUE files")
    parser.add_argument("--output", type=path, required=True, metavar="FILE", help="a line a run (JSON)")
    parser.add_argument(
        "--tasks", nargs="+", default=["rte", "mrpc"], metavar="TASK", help="default: rte mrpc"
    )
    parser.add_argument("--seeds", type=count, default=10, metavar="N", help="runs of a side (default: 10)")
    parser.add_argument("--first_seed", type=count, default=42, metavar="N", help="default: 42")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="default: both")
    parser.add_switch("--report", help="run nothing; print the table of --output")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    output = Path(flags.output)
    if not flags.report:
        if not flags.model or not flags.data_dir:
            raise InputError("--model and --data_dir are needed to train; --report needs neither")
        model, data_dir = str(Path(flags.model).resolve()), str(Path(flags.data_dir).resolve())
        for seed in range(flags.first_seed, flags.first_seed + flags.seeds):
            for task in flags.tasks:
                for side in flags.sides:
                    _train(output, side, task, seed, model, data_dir)
    for line in table(_runs(output)):
        print(line)


def _train(output: Path, side: str, task: str, seed: int, model: str, data_dir: str) -> None:
    key = {"side": side, "task": task, "seed": seed}
    if any(key.items() <= row.items() for row in _runs(output)):
        return
    print(f"{side}: {task}, seed {seed}", file=sys.stderr, flush=True)
    train = _ours if side == "ours" else _transformers
    row = {**key, **train(task, model, data_dir, seed)}
    output.parent.mkdir(parents=True, exist_ok=True)
    with open(output, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _ours(task: str, model: str, data_dir: str, seed: int) -> dict[str, Any]:
    """The last step's dev scores of a run of ours."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"task_name": task, "model_name_or_path": model, "data_dir": data_dir, "seed": seed,
                    "model_type": "bert", "output_dir": f"{folder}/run", **RECIPE, **_OURS}  # fmt: skip
        flags = [f"--{name}={value}" for name, value in settings.items()]
        _finished([sys.executable, "-m", "glue.run_glue", *flags])
        scores = json.loads(Path(folder, "run/scores.json").read_text(encoding="utf-8"))["last"]
        arguments = json.loads(Path(folder, "run/args.json").read_text(encoding="utf-8"))
    versions = {name: arguments[name] for name in ("versions", "paddle_version") if name in arguments}
    return {"scores": {name: scores[name] for name in scores if name not in ("step", "loss")}, **versions}


def _transformers(task: str, model: str, data_dir: str, seed: int) -> dict[str, Any]:
    """The same of transformers', whose dev outputs are scored as ours are."""
    from bench.peers import STACKS

    python = STACKS["huggingface"].python()
    if not python:
        raise InputError(f"transformers is not installed; {STACKS['huggingface'].how}")
    script = str(Path(__file__).with_name("seeds_huggingface.py"))
    answer = json.loads(_finished([python, script, task, model, data_dir, str(seed)]).splitlines()[-1])
    return {"scores": _scored(task, answer["outputs"], data_dir), "versions": answer["versions"]}


def _scored(name: str, outputs: list[list[float]], data_dir: str) -> dict[str, float]:
    from glue.data import read_split
    from glue.tasks import task_named
    from metrics.task_scores import score_task

    task = task_named(name)
    (split,) = task.of_kind("dev")
    labels = [example.label for example in read_split(task, split, data_dir).examples]
    if task.is_regression:
        low, high = task.target_range or (0.0, 5.0)
        return score_task(task, [(labels, [min(max(row[0], low), high) for row in outputs])])  # type: ignore[list-item]
    ids = [task.labels.index(str(label)) for label in labels]
    return score_task(task, [(ids, [row.index(max(row)) for row in outputs])])


def _finished(command: list[str]) -> str:
    """A child's standard output; InputError with its last line of complaint where it failed."""
    done = subprocess.run(command, cwd=_PROJECT, env=os.environ, capture_output=True, encoding="utf-8")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        raise InputError(f"{command[1]} {command[2]}: {lines[-1]}")
    return done.stdout


def _runs(output: Path) -> list[dict[str, Any]]:
    if not output.is_file():
        return []
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines() if line.strip()]


def table(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Markdown, a line a task and score: both sides, and ours less theirs with its 95 % interval."""
    yield "| task | score | ours: runs, mean ± deviation | transformers | difference | 95 % interval |"
    yield "|---|---|---|---|---|---|"
    for task in dict.fromkeys(row["task"] for row in runs):
        sides = [
            [row["scores"] for row in runs if (row["task"], row["side"]) == (task, side)] for side in SIDES
        ]
        for name in sides[0][0] if all(sides) else []:
            if name != "main" or len(sides[0][0]) > 2:
                yield _line(task, name, *[[100 * scores[name] for scores in side] for side in sides])


def _line(task: str, name: str, ours: list[float], theirs: list[float]) -> str:
    import numpy as np

    cells = [
        f"{len(side)}: {np.mean(side):.2f} ± {np.std(side, ddof=1) if len(side) > 1 else 0:.2f}"
        for side in (ours, theirs)
    ]
    difference, low, high = welch(ours, theirs)
    return f"| {task} | {name} | {cells[0]} | {cells[1]} | {difference:+.2f} | {low:+.2f} to {high:+.2f} |"


def welch(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """The difference of two means and its 95 % interval (Welch's t), infinite with fewer than two runs."""
    import numpy as np
    from scipy import stats

    difference = float(np.mean(ours) - np.mean(theirs))
    if min(len(ours), len(theirs)) < 2:
        return difference, -np.inf, np.inf
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return difference, float(interval.low), float(interval.high)


if __name__ == "__main__":
    run(main)
