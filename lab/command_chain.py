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


def chain_line(commands: Sequence[Sequence[object]]) -> str:
    """Commands, each a module and its flags, as a line for a process that takes such lines."""
    return json.dumps([[str(part) for part in command] for command in commands]) + "\n"


def chain_command(commands: Sequence[Sequence[object]] | None) -> list[str]:
    """The command line of a process that runs these commands; None: those of the lines on its stdin."""
    return [
        sys.executable,
        "-m",
        "lab.command_chain",
        "-" if commands is None else chain_line(commands).strip(),
    ]


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
    (commands,) = argv or sys.argv[1:]
    for line in sys.stdin if commands == "-" else [commands]:
        for module, *flags in json.loads(line):
            try:
                dispatch(f"{module}:main", flags)
            except InputError as error:
                raise InputError(f"{module}: {error}") from None


if __name__ == "__main__":
    run(_run_chain)
