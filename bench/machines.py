"""Run the tests as other machines would: other instructions, other numbers of threads, nothing compiled.

Example:
  python -m bench.machines                        every combination, on the tests that compute
  python -m bench.machines --only old avx         two of them
  python -m bench.machines --short                the one that differs most, on fewer tests: what CI runs
  python -m bench.machines --tests tests metrics  the whole suite

One training step of a small network is computed under each setting first: a setting under which every bit is
the machine's own has no effect here, and the table says so; a combination without any effect is not run.
Prints a Markdown table; the log of each combination stands in --output_dir. Exit 1 if a test failed.
"""

import functools
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, path, run
from common.errors import InputError, UsageError
from common.files import write_json
from common.json_files import read_json_object

PROJECT = Path(__file__).resolve().parents[1]
# The folders whose tests multiply matrices or compare what was multiplied.
COMPUTING = tuple(
    f"tests/{name}"
    for name in (
        "encoders",
        "inference",
        "training",
        "checkpoints",
        "glue",
        "squad",
        "pretraining",
        "deploy",
        "bench",
    )
)
SHORT_TESTS = ("tests/encoders", "tests/inference", "tests/training")
SETTINGS: dict[str, dict[str, str]] = {
    # MKL_DEBUG_CPU_TYPE is what MKL heeds on AMD's processors, MKL_ENABLE_INSTRUCTIONS on Intel's.
    "SSE4.2": {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "MKL_DEBUG_CPU_TYPE": "3", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "AVX": {"MKL_ENABLE_INSTRUCTIONS": "AVX", "MKL_DEBUG_CPU_TYPE": "4", "ONEDNN_MAX_CPU_ISA": "AVX"},
    "AVX2": {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "MKL_DEBUG_CPU_TYPE": "5", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "AVX-512": {"MKL_ENABLE_INSTRUCTIONS": "AVX512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "MKL's choice": {
        "MKL_DEBUG_CPU_TYPE": ""
    },  # which is slow on AMD's processors, so we do not leave it to it
    "MKL reproducible": {"MKL_DEBUG_CPU_TYPE": "", "MKL_CBWR": "COMPATIBLE"},
    "1 thread": {"OMP_NUM_THREADS": "1"},
    "2 threads": {"OMP_NUM_THREADS": "2"},
    "3 threads": {"OMP_NUM_THREADS": "3"},
    "nothing compiled": {"CONVBERT_KERNELS": "0"},
    "compiled for x86-64-v2": {"CONVBERT_KERNELS_MARCH": "x86-64-v2"},
    "compiled for x86-64-v3": {"CONVBERT_KERNELS_MARCH": "x86-64-v3"},
}
COMBINATIONS: dict[str, tuple[str, ...]] = {
    "own": (),
    "old": ("SSE4.2", "1 thread", "nothing compiled"),
    "avx": ("AVX", "3 threads", "compiled for x86-64-v2"),
    "avx2": ("AVX2", "1 thread", "compiled for x86-64-v3"),
    "avx512": ("AVX-512", "2 threads"),
    "other-maker": ("MKL's choice", "3 threads"),
    "reproducible": ("MKL reproducible", "1 thread"),
}
SHORT = "old"

# Every kind of product and every compiled function has a part in a training step.
_PROBE = """
import hashlib
import numpy as np
from encoders import runtime
from encoders.cpu import kernels
from encoders.config import EncoderConfig
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
paddle.seed(1)
model = SentenceClassifier(EncoderConfig(
    vocab_size=50, hidden_size=64, embedding_size=64, num_hidden_layers=1, num_attention_heads=4,
    intermediate_size=256, max_position_embeddings=96, hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0, id2label={0: "a", 1: "b"},
))
ids = paddle.to_tensor(np.random.default_rng(1).integers(0, 50, (16, 96)))
model(ids, paddle.zeros_like(ids), None).square().sum().backward()
digest = hashlib.sha256(b"".join(p.grad.numpy().tobytes() for p in model.parameters() if p.grad is not None))
print(digest.hexdigest(), kernels.library() is not None, runtime.thread_count())
"""


@dataclass(frozen=True)
class Result:
    """Of one combination. idle: settings without effect on this machine; seconds: how long the tests took."""

    name: str
    settings: tuple[str, ...]
    idle: tuple[str, ...]
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    failures: tuple[str, ...] = ()
    was_run: bool = True


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m bench.machines", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=tuple(COMBINATIONS), metavar="NAME",
        help=f"the combinations to run, of: {', '.join(COMBINATIONS)} (default: all)",
    )  # fmt: skip
    parser.add_switch(
        "--short", help=f"run {SHORT} alone, on {' '.join(SHORT_TESTS)} unless --tests names others"
    )
    parser.add_argument(
        "--tests", nargs="+", metavar="PATH", help=f"what pytest runs (default: {' '.join(COMPUTING)})"
    )
    parser.add_argument(
        "--output_dir",
        type=path,
        default="runs/machines",
        metavar="DIR",
        help="logs (default: runs/machines)",
    )
    parser.add_switch("--resume", help="keep what --output_dir has of these tests, and run the rest")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if flags.short and flags.only:
        raise UsageError("--short and --only exclude each other")
    names = [SHORT] if flags.short else flags.only or list(COMBINATIONS)
    tests = flags.tests or (SHORT_TESTS if flags.short else COMPUTING)
    folder = Path(flags.output_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    for name in names:
        result = _kept(folder, name, tests) if flags.resume else None
        if result is None:
            result = run_combination(name, tests, folder)
            write_json(folder / f"{name}.json", {"tests": list(tests), **asdict(result)})
        results.append(result)
    print("\n".join(table(results)))
    if not any(result.was_run for result in results):
        raise InputError("no combination has an effect on this machine; nothing was tested")
    if any(result.failed for result in results):
        raise InputError(f"tests failed; {folder} has a log of each combination")


def _kept(folder: Path, name: str, tests: Sequence[str]) -> Result | None:
    """The stored result of a combination, where it is one of the same tests."""
    file = folder / f"{name}.json"
    if not file.is_file():
        return None
    stored = read_json_object(file)
    if stored.pop("tests", None) != list(tests):
        return None
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
    return Result(**values)


def run_combination(name: str, tests: Sequence[str], folder: Path) -> Result:
    """Run pytest under a combination's settings, unless none of them has an effect on this machine."""
    settings = COMBINATIONS[name]
    print(f"{name}: {', '.join(settings) or 'as it is'}", file=sys.stderr, flush=True)
    idle = tuple(setting for setting in settings if not has_effect(setting))
    if settings and len(idle) == len(settings):
        return Result(name, settings, idle, was_run=False)
    environment = {key: value for setting in settings for key, value in SETTINGS[setting].items()}
    report, log = folder / f"{name}.xml", folder / f"{name}.log"
    report.unlink(missing_ok=True)
    options = ["-q", "-c", str(PROJECT / "pyproject.toml"), f"--junitxml={report}", "-p", "no:cacheprovider"]
    began = time.monotonic()
    with open(log, "w", encoding="utf-8") as file:
        code = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=PROJECT, env={**os.environ, **environment}, stdout=file, stderr=subprocess.STDOUT,
        ).returncode  # fmt: skip
    if code not in (0, 1) or not report.is_file():  # no verdict: killed, or no such tests
        raise InputError(f"{name}: pytest ended with {code}; {log} says why")
    return _read(report, Result(name, settings, idle, seconds=time.monotonic() - began))


def _read(report: Path, result: Result) -> Result:
    """The result with what pytest's report counts."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    failures = [case for case in cases if {"failure", "error"} & {child.tag for child in case}]
    skipped = sum(case.find("skipped") is not None for case in cases)
    names = tuple(f"{case.get('classname', '').replace('.', '/')}::{case.get('name')}" for case in failures)
    passed = len(cases) - len(failures) - skipped
    return replace(result, passed=passed, failed=len(failures), failures=names)


def has_effect(setting: str) -> bool:
    """Whether a training step under a setting differs here in any bit, or runs in another way."""
    return _computed(setting) != _computed("")


@functools.cache
def _computed(setting: str) -> str:
    """What the probe prints under a setting, "" for none; where this processor cannot run it, what it prints
    without: then it has no effect that could be tested."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), **SETTINGS.get(setting, {})}
    done = subprocess.run(
        [sys.executable, "-c", _PROBE],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode == 0:
        return done.stdout
    if setting:
        return _computed("")
    raise InputError(f"a training step fails on this machine: {done.stderr.strip().splitlines()[-1:]}")


def table(results: Sequence[Result]) -> list[str]:
    """The lines of a Markdown table, and below it every test that failed."""
    lines = ["| combination | settings | no effect on this machine | passed | failed | seconds |"]
    lines.append("|---|---|---|---|---|---|")
    for result in results:
        counts = [str(result.passed), str(result.failed), f"{result.seconds:.0f}"]
        cells = [
            result.name,
            ", ".join(result.settings) or "the machine's own",
            ", ".join(result.idle) or "–",
            *(counts if result.was_run else ["not run"] * 3),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for result in results:
        lines += [f"{result.name}: FAILED {failure}" for failure in result.failures]
    return lines


if __name__ == "__main__":
    run(main)
