"""The same work by several peers in turn, round by round, and the table of what it took."""

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.arithmetic import rate, ratio, stretched
from bench.peers import STACKS, Peer, PeerProcess
from bench.workload import Setup, sample
from common.errors import InputError
from encoders.batching import Features


@dataclass
class PeerResult:
    """What a peer gave. seconds: by round, of all batches; failure: why there are none; versions: of it;
    logits: of the rows of these numbers; compilation: seconds of torch.compile."""

    peer: Peer
    seconds: list[float] = field(default_factory=list)
    failure: str = ""
    versions: str = ""
    logits: list[list[float]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    batches: str = ""
    compilation: float = 0.0


@dataclass
class RunningPeer:
    line: PeerResult
    worker: PeerProcess
    sample: list[list[int]]
    of: int


def started(peer: Peer, size: str, setup: Setup) -> tuple[PeerProcess, str]:
    """A peer's worker with a model loaded, and its versions; InputError where it cannot be had."""
    worker = PeerProcess(STACKS[peer.stack], {**setup.environment, **dict(peer.environment)})
    request: dict[str, Any] = {"device": setup.device}
    if peer.precision != "float32":
        request["precision"] = peer.precision
    if peer.is_compiled:
        request["is_compiled"] = True
    layout = "paddlenlp" if peer.stack == "paddlenlp" else "huggingface"
    try:
        if peer.stack == "onnx":
            request["exported"] = str(setup.exported(size))
        answer = worker.ask("load", model=str(setup.model(size, layout)), **request)
    except InputError:
        worker.close()
        raise
    return worker, answer["versions"]


def compare(
    action: str, size: str, features: Features, peers: Sequence[Peer], setup: Setup
) -> tuple[list[PeerResult], list[dict[str, float]]]:
    """Every peer's seconds for all rows, and the machine's GFLOP/s by precision, both by round.

    action: ``train`` or ``infer``. Of each peer's batches a sample is run, whose mean stands for all.
    In every round each peer takes its turn; a round before them warms up and is not counted.
    """
    lines, running = [PeerResult(peer) for peer in setup.chosen(peers)], []
    file = setup.stored(features)
    for line in lines:
        note(f"{size}: {line.peer.title}")
        try:
            worker, line.versions = started(line.peer, size, setup)
            worker.ask("rows", file=file)
        except InputError as error:
            line.failure = str(error)
            continue
        rows, of = sample(features, line.peer.order, line.peer.width, setup.batches)
        line.batches = f"{len(rows)} of {of}"
        running.append(RunningPeer(line, worker, rows, of))
    gflops = []
    for number in range(setup.rounds + 1):
        if running and running[0].line.peer.stack == "ours":
            gflops.append(running[0].worker.ask("gemm")["gflops"])
        for entry in running:
            note(f"{size}: round {number} of {setup.rounds}, {entry.line.peer.title}")
            _turn(entry, action, setup.clock, warm_up=number == 0)
    for entry in running:
        entry.worker.close()
    return lines, gflops[1:]


def _turn(entry: RunningPeer, action: str, clock: str, warm_up: bool) -> None:
    line = entry.line
    if line.failure:
        return
    # To warm up, the longest and the shortest will do; what is compiled for each width takes all.
    batches = [entry.sample[0], entry.sample[-1]] if warm_up and not line.peer.is_compiled else entry.sample
    begun = time.perf_counter()
    try:
        answer = entry.worker.ask(action, batches=batches, width=line.peer.width)
    except InputError as error:
        line.failure = str(error)
        return
    if warm_up:
        if line.peer.is_compiled:
            line.compilation = time.perf_counter() - begun
        line.logits = answer.get("logits", [])
        line.rows = batches[-1][: len(line.logits)]
    else:
        line.seconds += stretched([answer[clock]], entry.of)


def show(
    title: str, lines: Sequence[PeerResult], gflops: Sequence[Mapping[str, float]], flop: float = 0.0
) -> None:
    """Print a table: median seconds, GFLOP/s and their share of the machine's in the line's precision, and
    how often the first line fits into each. flop: of all rows, without padding; 0: not counted."""
    print(f"\n{title}")
    first = next((line for line in lines if line.seconds), None)
    for line in lines:
        if not line.seconds or first is None:
            print(f"  {line.peer.title:<52} {line.failure}")
            continue
        seconds = statistics.median(line.seconds)
        text = f"  {line.peer.title:<52} {seconds:10.3f} s   × {ratio(line.seconds, first.seconds):5.2f}"
        if flop:
            done, peak = rate(flop, seconds), median_rate(gflops, line.peer.precision)
            text += f"   {done:6.1f} GFLOP/s" + (f" = {done / peak:4.0%} of GEMM" if peak else "")
        compiled = f"   compiled in {line.compilation:.0f} s" if line.compilation else ""
        print(f"{text}   {line.batches}{compiled}")
    sys.stdout.flush()


def median_rate(gflops: Sequence[Mapping[str, float]], precision: str) -> float:
    """GFLOP/s of the machine's matrix product in this precision; 0 where it was not measured."""
    rates = [measured[precision] for measured in gflops if precision in measured]
    return statistics.median(rates) if rates else 0.0


def note(text: str) -> None:
    """Progress, on standard error where that is a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


__all__ = ["PeerResult", "compare", "median_rate", "note", "show", "started"]
