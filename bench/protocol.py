"""What every worker process speaks: one JSON object a line, a request in, its answer out.

Request: ``{"do": NAME, …}``. Answer: what the worker's function NAME returned, or ``{"error": TEXT}``.
Runs in the environments of the peers: the standard library and NumPy only.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np

Answer = dict[str, Any]


def serve(actions: Mapping[str, Callable[..., Answer]]) -> None:
    """Answer requests until standard input ends. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    speak(actions, sys.stdin, answers)


def speak(actions: Mapping[str, Callable[..., Answer]], requests: TextIO, answers: TextIO) -> None:
    """One answer a request; a fault of an action is an answer too, and the worker goes on."""
    known = {"memory": peak_memory, **actions}
    for line in requests:
        try:
            request = json.loads(line)
            answer = known[request.pop("do")](**request)
        except Exception as error:  # whatever a peer's library raises
            answer = {"error": f"{type(error).__name__}: {str(error).strip()[:300]}"}
        print(json.dumps(answer), file=answers, flush=True)


def peak_memory() -> Answer:
    """The most memory this process ever had, in MB; NaN where the system does not say.

    ``getrusage`` begins with what the process had that started this one, so Linux's own file comes first.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return {"megabytes": int(lines["VmHWM"].split()[0]) / 1024}
    except (OSError, LookupError, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return {"megabytes": math.nan}
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # of bytes, elsewhere of kilobytes
    return {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}


class Clock:
    """Seconds of a batch: of the wall, and of the processor over all threads."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    @contextmanager
    def batch(self) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(time.process_time() - processor)

    def answer(self) -> Answer:
        return {"wall": self.wall, "processor": self.processor}


class StoredRows:
    """Tokenised rows as the driver wrote them, and batches of them padded as the peers pad."""

    def __init__(self, path: str) -> None:
        with np.load(path) as stored:
            self.ids, self.starts = stored["ids"], stored["starts"]
            self.first_lengths, self.targets = stored["first_lengths"], stored["targets"]

    def padded(self, rows: list[int], width: int = 0) -> tuple[np.ndarray, ...]:
        """ids, token types, mask (B, T) and targets (B,), all int64. width: T; 0: the longest row's."""
        lengths = np.diff(self.starts)[rows]
        columns = np.arange(width or int(lengths.max()))
        real = columns < lengths[:, None]
        ids = np.zeros(real.shape, dtype=np.int64)
        ids[real] = self.ids[(self.starts[rows][:, None] + columns)[real]]
        types = real & (columns >= self.first_lengths[rows][:, None])
        return ids, types.astype(np.int64), real.astype(np.int64), self.targets[rows]
