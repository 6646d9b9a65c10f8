"""Latency of single rows and throughput of batches, by the clock."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deploy.rows import Row

if TYPE_CHECKING:
    from deploy.models import Model

_SINGLE = 200  # rows whose latency is taken
_SECONDS = 10.0  # after which no more of them are begun
_BATCHES = 4  # at least so many batches' throughput
PERCENTILES = (50, 90, 95, 99)


def measure(model: "Model", rows: Sequence[Row], batch_size: int, warmup: int) -> str:
    """Two lines: latency percentiles of rows by themselves, throughput of all of them in batches."""
    for number in range(warmup):
        model.answer([rows[number % len(rows)]])
    times, begun = [], time.perf_counter()
    for number in range(_SINGLE):
        start = time.perf_counter()
        model.answer([rows[number % len(rows)]])
        times.append(1000 * (time.perf_counter() - start))
        if time.perf_counter() - begun > _SECONDS:
            break
    many = list(rows)
    while len(many) < _BATCHES * batch_size:
        many += rows
    start = time.perf_counter()
    model.answer(many, batch_size)
    speed = len(many) / (time.perf_counter() - start)
    shown = ", ".join(f"p{share} {np.percentile(times, share):.2f}" for share in PERCENTILES)
    return (
        f"latency of one row in ms ({len(times)} times): {shown}, mean {np.mean(times):.2f}\n"
        f"throughput in batches of {batch_size} ({len(many)} rows): {speed:.1f} rows/s"
    )
