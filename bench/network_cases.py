"""Cases that run the network: steps of one shape, an epoch, prediction, memory, the span convolution."""

import statistics
from collections.abc import Sequence

import numpy as np

from bench.arithmetic import forward_flop, ratio
from bench.interleaved import PeerResult, compare, show, started
from bench.peers import INFERENCE, INFERENCE_STEP, OURS, STACKS, TRAINING, TRAINING_STEP, Peer, PeerProcess
from bench.sizes import config_of, title_of
from bench.workload import BATCH, Setup, same_length
from common.errors import InputError
from encoders.batching import Features

_SHAPES = ((32, 32), (32, 128))
_LENGTHS = (32, 128, 512)
_QQP_ROWS, _QQP_SAMPLE = 390_965, 20_000
_TRAINING = 3  # a step does the work of three forward passes


def gemm(setup: Setup, sizes: Sequence[str]) -> None:
    """GFLOP/s of the machine's matrix product in each precision."""
    worker = PeerProcess(STACKS["ours"], setup.environment)
    measured = [worker.ask("gemm")["gflops"] for _ in range(setup.rounds)]
    worker.close()
    print()
    for precision in measured[0]:
        rates = [gflops[precision] for gflops in measured]
        middle = f"{statistics.median(rates):.0f} GFLOP/s in {precision}"
        print(f"gemm: {middle} ({min(rates):.0f} to {max(rates):.0f})")


def train(setup: Setup, sizes: Sequence[str]) -> None:
    """A training step, rows of one length."""
    _steps(setup, sizes, "train", TRAINING_STEP)


def infer(setup: Setup, sizes: Sequence[str]) -> None:
    """Answers for a batch, rows of one length."""
    _steps(setup, sizes, "infer", INFERENCE_STEP)


def epoch(setup: Setup, sizes: Sequence[str]) -> None:
    """A training epoch of SST-2, extrapolated from a sample of its batches."""
    features = setup.tokenised("sst-2", "train")
    for size in sizes:
        _whole(setup, size, "train", "epoch of SST-2", features, TRAINING)


def predict(setup: Setup, sizes: Sequence[str]) -> None:
    """Predicting SST-2's training rows, extrapolated from a sample of the batches."""
    features = setup.tokenised("sst-2", "train")
    for size in sizes:
        _whole(setup, size, "infer", "prediction of SST-2's training rows", features, INFERENCE)


def qqp(setup: Setup, sizes: Sequence[str]) -> None:
    """Predicting as many rows as QQP's test set, extrapolated from a sample of 20 000 rows' batches."""
    features = setup.tokenised("qqp", "dev", _QQP_SAMPLE)
    for size in sizes:
        times = _QQP_ROWS / _QQP_SAMPLE
        what = f"prediction of {_QQP_ROWS:,} rows like QQP's"
        _whole(setup, size, "infer", what, features, INFERENCE, times)


def _steps(setup: Setup, sizes: Sequence[str], action: str, peers: Sequence[Peer]) -> None:
    for size in sizes:
        for rows, length in _SHAPES:
            lines, gflops = compare(action, size, same_length(rows, length), peers, setup)
            flop = rows * forward_flop(config_of(size), length) * (_TRAINING if action == "train" else 1)
            show(f"{action}: {title_of(size)}, {rows} rows of {length} tokens", lines, gflops, flop)
            _show_versions(lines)


def _whole(
    setup: Setup,
    size: str,
    action: str,
    what: str,
    features: Features,
    peers: Sequence[Peer],
    times: float = 1.0,
) -> None:
    lines, gflops = compare(action, size, features, peers, setup)
    for line in lines:
        line.seconds = [seconds * times for seconds in line.seconds]
    lengths, counts = np.unique(features.lengths, return_counts=True)
    flop = (
        sum(forward_flop(config_of(size), int(n)) * c for n, c in zip(lengths, counts, strict=True)) * times
    )
    title = (
        f"{what}: {title_of(size)}, {len(features)} rows, mean length {features.lengths.mean():.1f}, batches "
        f"of {BATCH}\n  {setup.source()}\n  extrapolated from the batches named at the end of each line, "
        "a sample that represents all by width"
    )
    show(title, lines, gflops, flop * (_TRAINING if action == "train" else 1))
    _show_versions(lines)


def _show_versions(lines: Sequence[PeerResult]) -> None:
    print("  " + "; ".join(dict.fromkeys(line.versions for line in lines if line.versions)))
    for line in lines:
        # PaddleNLP's classifier has a pooler more.
        if (
            line.peer.stack not in ("onnx", "huggingface")
            or line.peer.width
            or line.peer.environment
            or line.peer.precision != "float32"
        ):
            continue
        for ours in lines:
            if ours.peer.stack == "ours" and ours.logits and ours.rows == line.rows:
                apart = np.abs(np.array(line.logits) - np.array(ours.logits)).max()
                print(f"  logits of the same rows, ours and {line.versions}: at most {apart:.0e} apart")


def memory(setup: Setup, sizes: Sequence[str]) -> None:
    """The most memory of a process that makes training steps of 32 rows of 128 tokens."""
    file = setup.stored(same_length(32, 128))
    for size in sizes:
        print(f"\nmemory: training {title_of(size)}, 32 rows of 128 tokens, peak of the process")
        for peer in setup.chosen(TRAINING_STEP):
            try:
                worker, versions = started(peer, size, setup)
                worker.ask("rows", file=file)
                before = worker.ask("memory")["megabytes"]
                worker.ask("train", batches=[list(range(32))] * 2)
                peak = worker.ask("memory")["megabytes"]
                worker.close()
                print(f"  {peer.title:<52} {peak:8.0f} MB   (before the first step {before:.0f}; {versions})")
            except InputError as error:
                print(f"  {peer.title:<52} {error}")


def span(setup: Setup, sizes: Sequence[str]) -> None:
    """The span-based convolution's share of a training step, and its memory by length."""
    for size in sizes:
        worker, _ = started(OURS, size, setup)
        answer = worker.ask("span", lengths=_LENGTHS, tokens=2048, rounds=setup.rounds)
        worker.close()
        print(f"\nspan: share of a training step of {title_of(size)}, about 2048 tokens")
        for length, measured in zip(_LENGTHS, answer["steps"], strict=True):
            step = statistics.median(measured["step"])
            share = 1 / ratio(measured["step"], measured["span"])
            print(f"  length {length:4}   step {step:7.3f} s   span-based convolution {share:6.1%}")
    config = config_of("base")
    worker, _ = started(OURS, "small", setup)
    print("span: memory of the convolution of one long row, base's width, forward and backward")
    last, before = 0, worker.ask("memory")["megabytes"]
    for length in (8192, 16384, 32768, 65536):
        worker.ask(
            "span_memory", length=length, width=config.attention_width, heads=config.attention_heads,
            kernel_size=config.conv_kernel_size,
        )  # fmt: skip
        peak = worker.ask("memory")["megabytes"]
        more = (peak - before) / (length - last) * 1024
        print(f"  length {length:6}   peak of the process {peak:6.0f} MB   {more:5.1f} KB a further token")
        last, before = length, peak
    worker.close()
