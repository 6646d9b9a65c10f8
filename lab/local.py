"""Runs trials on one machine: processes, each bound to its share of the cores or to its GPU."""

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from encoders.runtime import core_numbers, usable_cores
from lab.trial_config import TrialConfig
from lab.trial_run import WorkerSlot, run_trial
from lab.trial_store import Outcome


class LocalRunner:
    """Runs as many trials at a time as there are slots; its threads only wait for the processes.

    reason_to_stop: asked now and then; a reason stops every trial at work.
    """

    def __init__(self, slots: Sequence[WorkerSlot], reason_to_stop: Callable[[], str] = str) -> None:
        self.workers, self._reason_to_stop = len(slots), reason_to_stop
        self._free: queue.SimpleQueue[WorkerSlot] = queue.SimpleQueue()
        for slot in slots:
            self._free.put(slot)
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(len(slots))

    def submit(self, config: TrialConfig) -> "Future[Outcome]":
        return self._pool.submit(self._run, config)

    def close(self) -> None:
        """End what is running; what it saved stays."""
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, config: TrialConfig) -> Outcome:
        slot = self._free.get()
        try:
            return run_trial(config, slot, self._closing.is_set, reason_to_stop=self._reason_to_stop)
        finally:
            self._free.put(slot)


def worker_slots(workers: int, device: str) -> list[WorkerSlot]:
    """Where so many processes compute: on a CPU with a block of the cores each, which more workers than cores
    share; on GPUs with one each, in the order of CUDA_VISIBLE_DEVICES where it is set."""
    cores = core_numbers()
    count = max(1, usable_cores() // workers)
    if device != "cpu":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        names = [name for name in visible if name] or [str(number) for number in range(workers)]
        return [WorkerSlot((), count, names[number % len(names)]) for number in range(workers)]
    if not cores:
        return [WorkerSlot((), count)] * workers
    starts = [number * count % len(cores) for number in range(workers)]
    return [WorkerSlot(tuple(cores[start : start + count]), count) for start in starts]
