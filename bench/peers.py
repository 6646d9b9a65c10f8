"""Who is compared, and the worker processes that run them."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.command_line import program
from common.errors import InputError

# What gives a peer our malloc settings (encoders/runtime.py).
_KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}


@dataclass(frozen=True)
class Stack:
    """A library in an environment of its own. variable: names its Python; how: to get it."""

    worker: str
    variable: str
    how: str

    def python(self) -> str:
        """The environment's Python, or nothing where it is not installed."""
        named = os.environ.get(self.variable, "") if self.variable else sys.executable
        interpreter = program(named) if named else ""
        if not interpreter:
            beside = Path(__file__).resolve().parents[1] / f".venv-{self.worker}/bin/python"
            interpreter = str(beside) if beside.is_file() else ""
        return interpreter


STACKS = {
    "ours": Stack("ours", "", ""),
    "onnx": Stack("ours", "", "pip install -e '.[onnx]'"),
    "paddlenlp": Stack(
        "paddlenlp", "PADDLENLP_PYTHON",
        "make .venv-paddlenlp/.ready, or PADDLENLP_PYTHON=an environment's Python with the extra `paddlenlp`",
    ),
    "huggingface": Stack(
        "huggingface", "HUGGINGFACE_PYTHON",
        "python -m venv .venv-huggingface; .venv-huggingface/bin/pip install torch transformers==5.23.0",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Peer:
    """One line of a table. stack: of STACKS. order: how it takes its batches, see bench/workload.py.

    width: of every batch; 0: its longest row's. environment: variables of its process beside the user's.
    precision: ``float32``, or ``bfloat16`` for matrix products in it. is_compiled: by torch.compile, whose
    time is printed apart.
    """

    title: str
    stack: str
    order: str = "random"
    width: int = 0
    environment: tuple[tuple[str, str], ...] = ()
    precision: str = "float32"
    is_compiled: bool = False


_KEPT = tuple(_KEEP_MEMORY.items())
OURS = Peer("ours", "ours")
OURS_BF16 = Peer("ours, bfloat16", "ours", precision="bfloat16")
# transformers in the ways that may be its best: more memory kept, bfloat16, compiled, and both.
_BEST: dict[str, dict[str, Any]] = {
    "our malloc settings": {"environment": _KEPT},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, our malloc settings": {"precision": "bfloat16", "environment": _KEPT},
    "torch.compile": {"is_compiled": True, "environment": _KEPT},
    "bfloat16, torch.compile": {"precision": "bfloat16", "is_compiled": True, "environment": _KEPT},
}


def _transformers(order: str, how: str) -> tuple[Peer, ...]:
    plain = Peer(f"transformers, {how}", "huggingface", order)
    return (
        plain,
        *(replace(plain, title=f"{plain.title}, {title}", **fields) for title, fields in _BEST.items()),
    )


TRAINING = (
    OURS,
    OURS_BF16,
    replace(OURS, title="ours, --length_pool 50", order="grouped"),
    replace(OURS_BF16, title="ours, bfloat16, --length_pool 50", order="grouped"),
    *_transformers("grouped", "grouped"),
    Peer("transformers, example's defaults: padded to 128", "huggingface", width=128),
    Peer("PaddleNLP as installed", "paddlenlp"),
)
INFERENCE = (
    replace(OURS, title="ours, the network", order="filled"),
    replace(OURS_BF16, order="filled"),
    replace(OURS, title="ours, 32 rows a batch", order="sorted"),
    replace(OURS_BF16, title="ours, bfloat16, 32 rows a batch", order="sorted"),
    Peer("ours, ONNX", "onnx", "filled"),
    *_transformers("sorted", "sorted"),
    *_transformers("filled", "filled"),
    Peer("transformers, example's defaults: padded to 128", "huggingface", "given", width=128),
    Peer("PaddleNLP as installed", "paddlenlp", "given"),
)
# Where all rows have one length, order and padding make no difference.
TRAINING_STEP = (OURS, OURS_BF16, *_transformers("random", "one length"), TRAINING[-1])
INFERENCE_STEP = (
    *(peer for peer in INFERENCE if peer.order == "filled" and peer.stack != "huggingface"),
    *_transformers("sorted", "one length"),
    INFERENCE[-1],
)


class MissingPeerError(InputError):
    """A stack's environment is not there, or lacks what its worker imports."""


class PeerProcess:
    """A process of a peer's environment; a request is a line of JSON, and so is its answer."""

    def __init__(self, stack: Stack, environment: Mapping[str, str]) -> None:
        self._stack = stack
        python = stack.python()
        if not python:
            raise MissingPeerError(f"not installed; {stack.how}")
        script = Path(__file__).with_name(f"worker_{stack.worker}.py")
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (till close)
        try:
            self._process = subprocess.Popen(
                [python, str(script)], env=dict(environment), encoding="utf-8",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
            )  # fmt: skip
        except OSError as error:
            self._stderr.close()
            raise MissingPeerError(f"{python}: {error.strerror}; {stack.how}") from None

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """The answer of the worker's action; InputError with the last line of its stderr if it failed."""
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):  # why it ended, its standard error says
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        error = json.loads(line).get("error", "") if line else self._last_words()
        if error:
            kind = MissingPeerError if "ModuleNotFoundError" in error else InputError
            raise kind(f"{error}; {self._stack.how}" if kind is MissingPeerError else error)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        self._process.wait()
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr if line.strip()]
        return lines[-1] if lines else f"ended with {self._process.returncode}"

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._stderr.close()
