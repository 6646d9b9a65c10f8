"""A plan for made-up trials of all tasks, and its submission."""

from collections.abc import Callable
from pathlib import Path

from glue.tasks import TASKS
from lab import submit

WritePlan = Callable[..., str]
PLAN = """checkpoints: {base: {model: MODEL, from_scratch: true}}
seeds: [1, 2, 3]
ensemble: {size: 3}
tasks: {TASKS}
"""
ALL = ", ".join(f"{name}: " for name in TASKS)


def submitted(runs: Path, plan: str, data: Path, name: str, *more: str) -> Path:
    output = runs.parent / name
    submit.main(
        ["--runs", str(runs), "--plan", plan, "--data_dir", str(data), "--output", str(output), *more]
    )
    return output
