"""The same work by several peers in turn, round by round, and the table of what it took."""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.arithmetic import rate, ratio, stretched
from bench.peers import STACKS, Peer, Worker
from bench.workload import Place, sample
from common.errors import InputError
from encoders.batching import Features


@dataclass
class Line:
    """What a peer gave. seconds: by round, of all batches; said: why there are none; versions: of it;
    logits: of the rows of these numbers."""

    peer: Peer
    seconds: list[float] = field(default_factory=list)
    said: str = ""
    versions: str = ""
    logits: list[list[float]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    batches: str = ""


@dataclass
class Running:
    line: Line
    worker: Worker
    sample: list[list[int]]
    of: int


def started(peer: Peer, size: str, place: Place) -> tuple[Worker, str]:
    """A peer's worker with a model loaded, and its versions; InputError where it cannot be had."""
    worker = Worker(STACKS[peer.stack], {**place.environment, **dict(peer.environment)})
    request: dict[str, Any] = {"device": place.device}
    layout = "paddlenlp" if peer.stack == "paddlenlp" else "huggingface"
    try:
        if peer.stack == "onnx":
            request["exported"] = str(place.exported(size))
        answer = worker.ask("load", model=str(place.model(size, layout)), **request)
    except InputError:
        worker.close()
        raise
    return worker, answer["versions"]


def compare(
    action: str, size: str, features: Features, peers: Sequence[Peer], place: Place
) -> tuple[list[Line], list[float]]:
    """Every peer's seconds for all rows, and the machine's GFLOP/s, both by round.

    action: ``train`` or ``infer``. Of each peer's batches a sample is run, whose mean stands for all.
    In every round each peer takes its turn; a round before them warms up and is not counted.
    """
    lines, running = [Line(peer) for peer in place.chosen(peers)], []
    file = place.stored(features)
    for line in lines:
        note(f"{size}: {line.peer.title}")
        try:
            worker, line.versions = started(line.peer, size, place)
            worker.ask("rows", file=file)
        except InputError as error:
            line.said = str(error)
            continue
        rows, of = sample(features, line.peer.order, line.peer.width, place.batches)
        line.batches = f"{len(rows)} of {of}"
        running.append(Running(line, worker, rows, of))
    gflops = []
    for number in range(place.rounds + 1):
        if running and running[0].line.peer.stack == "ours":
            gflops.append(running[0].worker.ask("gemm")["gflops"])
        for entry in running:
            note(f"{size}: round {number} of {place.rounds}, {entry.line.peer.title}")
            _turn(entry, action, place.clock, warm_up=number == 0)
    for entry in running:
        entry.worker.close()
    return lines, gflops[1:]


def _turn(entry: Running, action: str, clock: str, warm_up: bool) -> None:
    line = entry.line
    if line.said:
        return
    # To warm up, the longest and the shortest will do.
    batches = [entry.sample[0], entry.sample[-1]] if warm_up else entry.sample
    try:
        answer = entry.worker.ask(action, batches=batches, width=line.peer.width)
    except InputError as error:
        line.said = str(error)
        return
    if warm_up:
        line.logits = answer.get("logits", [])
        line.rows = batches[-1][: len(line.logits)]
    else:
        line.seconds += stretched([answer[clock]], entry.of)


def show(title: str, lines: Sequence[Line], gflops: Sequence[float], flop: float = 0.0) -> None:
    """Print a table: median seconds, GFLOP/s and their share of the machine's, and how often the first
    line fits into each. flop: of all rows, without padding; 0: not counted."""
    print(f"\n{title}")
    first = next((line for line in lines if line.seconds), None)
    peak = statistics.median(gflops) if gflops else 0.0
    for line in lines:
        if not line.seconds or first is None:
            print(f"  {line.peer.title:<52} {line.said}")
            continue
        seconds = statistics.median(line.seconds)
        text = f"  {line.peer.title:<52} {seconds:10.3f} s   × {ratio(line.seconds, first.seconds):5.2f}"
        if flop:
            done = rate(flop, seconds)
            text += f"   {done:6.1f} GFLOP/s" + (f" = {done / peak:4.0%} of GEMM" if peak else "")
        print(f"{text}   {line.batches}")
    sys.stdout.flush()


def note(text: str) -> None:
    """Progress, on standard error where that is a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


__all__ = ["Line", "compare", "note", "show", "started"]
