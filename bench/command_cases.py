"""Cases around the network: start-up of the commands, tokenising, the hand-in."""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.workload import Setup
from glue.tasks import submission_files

PROJECT = Path(__file__).resolve().parents[1]
_QQP_ROWS = 390_965


def commands() -> list[str]:
    """Every command as ``python -m`` takes it."""
    files = [path for path in sorted(PROJECT.glob("*/*.py")) if path.parent.name not in ("bench", "tests")]
    marked = [path for path in files if "\n    run(main)\n" in path.read_text(encoding="utf-8")]
    return [f"{path.parent.name}.{path.stem}" for path in marked]


def help_(setup: Setup, sizes: Sequence[str]) -> None:
    """From the call to the end of ``--help``, every command."""
    print("\nhelp: seconds of `python -m COMMAND --help`, median (most)")
    for name in commands():
        taken = [_timed([name, "--help"], setup)[0] for _ in range(setup.rounds)]
        print(f"  {name:<28} {statistics.median(taken):6.2f} ({max(taken):.2f})")


def tokenise(setup: Setup, sizes: Sequence[str]) -> None:
    """Tokenising as many rows as QQP's test set."""
    from encoders.batching import pack

    texts = setup.texts("qqp", "dev", at_most=40_000)
    setup.tokenizer.encode(texts[:1000], 128)
    taken = []
    for _ in range(setup.rounds):
        begun = time.perf_counter()
        pack(setup.tokenizer.encode(texts, 128))
        taken.append(time.perf_counter() - begun)
    seconds = statistics.median(taken)
    print(
        f"\ntokenise: {len(texts) / seconds:.0f} rows/s; {_QQP_ROWS:,} rows like QQP's: "
        f"{seconds / len(texts) * _QQP_ROWS:.1f} s, extrapolated from {len(texts):,}\n  {setup.source()}"
    )


def pack(setup: Setup, sizes: Sequence[str]) -> None:
    """Packing the hand-in, and checking the zip."""
    folder = setup.scratch / "predictions"
    folder.mkdir(exist_ok=True)
    for task, split in submission_files():
        answers = task.labels or ("0.25", "4.75")
        lines = [f"{row}\t{answers[row % len(answers)]}\n" for row in range(split.rows)]
        (folder / split.submission_file).write_text("index\tprediction\n" + "".join(lines), encoding="utf-8")
    target = str(setup.scratch / "submission.zip")
    print("\npack: the eleven files of official size")
    for argv in (
        ["submission.pack", "--predictions", str(folder), "--output", target],
        ["submission.check", target],
    ):
        runs = [_timed(argv, setup) for _ in range(setup.rounds)]
        seconds = statistics.median(seconds for seconds, _ in runs)
        print(f"  {argv[0]:<28} {seconds:6.2f} s   {max(peak for _, peak in runs):4.0f} MB")


# The process between is small: a command's peak begins with the memory of the one that started it.
_LAUNCH = """
import subprocess, sys, time
begun = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - begun
try:
    import resource
    print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
except ImportError:
    print(seconds, "nan")
sys.exit(code)
"""


def _timed(argv: Sequence[str], setup: Setup) -> tuple[float, float]:
    """Seconds of the wall and peak memory in MB of a command of ours that must succeed."""
    argv = [sys.executable, "-c", _LAUNCH, sys.executable, "-m", *argv]
    done = subprocess.run(argv, cwd=PROJECT, env=setup.environment, stdout=subprocess.PIPE, check=True)
    seconds, kilobytes = map(float, done.stdout.split())
    return seconds, kilobytes / 1024
