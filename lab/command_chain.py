"""Commands that run one after the other in one process, which imports everything and opens its files once."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from common.command_line import run
from common.dispatch import dispatch
from common.errors import InputError

_PROJECT = Path(__file__).resolve().parents[1]


def chain_command(commands: Sequence[Sequence[object]]) -> list[str]:
    """The command line of a process that runs these commands, each a module and its flags."""
    lines = [[str(part) for part in command] for command in commands]
    return [sys.executable, "-m", "lab.command_chain", json.dumps(lines)]


def chain_environment(threads: int, gpu: str = "") -> dict[str, str]:
    """The environment of such a process: it imports this project from anywhere. gpu: empty for none."""
    paths = [str(_PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    computing = {"OMP_NUM_THREADS": str(threads), **({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **computing}


def last_line(output: str) -> str:
    """What a process that failed wrote last to stderr, which names the error."""
    lines = output.strip().splitlines() or ["it wrote nothing"]
    return lines[-1].strip().removeprefix("error: ")


def _run_chain(argv: Sequence[str] | None) -> None:
    for module, *flags in json.loads((argv or sys.argv[1:])[0]):
        try:
            dispatch(f"{module}:main", flags)
        except InputError as error:
            raise InputError(f"{module}: {error}") from None


if __name__ == "__main__":
    run(_run_chain)
