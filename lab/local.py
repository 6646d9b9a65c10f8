"""The engine of one machine: processes, each bound to its share of the cores or to its GPU."""

import os
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from encoders.runtime import core_numbers, usable_cores
from lab.trial_run import Job, Place, run_job
from lab.trial_store import Outcome


class LocalEngine:
    """Runs as many jobs at a time as there are places; the threads only watch."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.workers = len(places)
        self._free: queue.SimpleQueue[Place] = queue.SimpleQueue()
        for place in places:
            self._free.put(place)
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(len(places))

    def submit(self, job: Job) -> "Future[Outcome]":
        return self._pool.submit(self._run, job)

    def close(self) -> None:
        """End what is running; what it saved stays."""
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job) -> Outcome:
        place = self._free.get()
        try:
            return run_job(job, place, self._closing.is_set)
        finally:
            self._free.put(place)


def places(workers: int, device: str) -> list[Place]:
    """Where ``workers`` processes compute. On a CPU the cores are dealt out in blocks; more workers than
    cores share them. On GPUs one each, in the order of CUDA_VISIBLE_DEVICES where it is set."""
    cores = core_numbers()
    count = max(1, usable_cores() // workers)
    if device != "cpu":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        names = [name for name in visible if name] or [str(number) for number in range(workers)]
        return [Place((), count, names[number % len(names)]) for number in range(workers)]
    if not cores:
        return [Place((), count)] * workers
    starts = [number * count % len(cores) for number in range(workers)]
    return [Place(tuple(cores[start : start + count]), count) for start in starts]
