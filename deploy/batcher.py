"""Dynamic batching: rows of many requests, answered together. A bounded queue, a bounded wait. No Paddle."""

import asyncio
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from deploy.rows import Row

Answer = dict[str, Any]

_ENOUGH = 8  # rows that use a CPU core as well as more do
_CHOICE = 4  # a batch is chosen among so many times its most rows
_CHARACTERS = 20_000  # of a batch, but for a single row
_GAPS = 4  # the wait for more rows ends when none came for this part of it
_MEMORY = 0.9  # how much of what is known of the pace counts on, a batch later

log = logging.getLogger("deploy")


class QueueFullError(Exception):
    """More rows than may wait. seconds: when to try again."""

    def __init__(self, reason: str, seconds: int) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass
class _Job:
    """A request's rows. left: how many of them wait for their answer; queued: how many in the queue."""

    left: int
    queued: int
    future: "asyncio.Future[list[Answer]]"
    answers: dict[int, Answer] = field(default_factory=dict)


class Batcher:
    """Answers rows in batches on threads of its own, while requests come in.

    answer: rows → their answers, from any thread. workers: batches at once. max_batch: rows of a batch.
    max_wait: seconds that a row waits for others while a worker is idle. max_queue: rows that may wait.
    max_delay: seconds that the last of them may be expected to wait.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Row]], list[Answer]],
        *,
        workers: int = 1,
        max_batch: int = 32,
        max_wait: float = 0.004,
        max_queue: int = 1024,
        max_delay: float = math.inf,
        on_batch: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._answer, self._on_batch = answer, on_batch
        self._max_batch, self._max_wait = max_batch, max_wait
        self._max_queue, self._max_delay = max_queue, max_delay
        self._queue: deque[tuple[Row, _Job, int]] = deque()
        self._arrived = asyncio.Event()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="model")
        self._waiting = 0
        self._seconds, self._rows = 0.0, 0.0  # of the last batches, on one thread
        self._closing = False
        self._count = workers
        self._workers: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """Rows in the queue whose request still waits."""
        return self._waiting

    def start(self) -> None:
        """Begin to answer; within a running event loop."""
        loop = asyncio.get_running_loop()
        self._workers = [loop.create_task(self._work()) for _ in range(self._count)]

    async def submit(self, rows: Sequence[Row]) -> list[Answer]:
        """The rows' answers, in their order. QueueFullError if so many cannot wait."""
        self._check_room(len(rows))
        job = _Job(len(rows), len(rows), asyncio.get_running_loop().create_future())
        self._queue.extend((row, job, number) for number, row in enumerate(rows))
        self._waiting += len(rows)
        self._arrived.set()
        try:
            return await job.future
        finally:  # answered, or given up: then what is left of it counts no more
            self._waiting -= job.queued

    def _check_room(self, count: int) -> None:
        total = self._waiting + count
        delay = total * self._seconds / max(1.0, self._rows) / self._count
        if total > self._max_queue:
            reason = f"{self._waiting} inputs wait already and {self._max_queue} may"
        elif self._waiting >= self._max_batch and delay > self._max_delay:
            reason = f"{self._waiting} inputs wait already, which takes {delay:.0f} s"
        else:
            return
        raise QueueFullError(f"{reason}; try again later", max(1, math.ceil(delay)))

    async def close(self) -> None:
        """Answer what waits, then stop."""
        self._closing = True
        self._arrived.set()
        await asyncio.gather(*self._workers)
        self._threads.shutdown()

    async def _work(self) -> None:
        while True:
            while not self._queue:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            await self._wait_for_more()
            batch = self._take()
            if batch:
                await self._answer_batch(batch)

    async def _wait_for_more(self) -> None:
        """Until there are enough, or the time is up, or for a while nothing came."""
        deadline = time.monotonic() + self._max_wait
        while (
            len(self._queue) < min(_ENOUGH, self._max_batch)
            and not self._closing
            and time.monotonic() < deadline
        ):
            count = len(self._queue)
            await asyncio.sleep(self._max_wait / _GAPS)
            if len(self._queue) == count:
                return

    def _take(self) -> list[tuple[Row, _Job, int]]:
        """A worker's share of the rows whose request still waits: the oldest and those nearest its length.

        They are chosen among the oldest only, so that none waits much longer than in turn, and stand for
        so many characters at most that others are not kept waiting for long.
        """
        waiting: list[tuple[Row, _Job, int]] = []
        while self._queue and len(waiting) < _CHOICE * self._max_batch:
            if not (item := self._queue.popleft())[1].future.done():
                waiting.append(item)
        size = min(self._max_batch, max(_ENOUGH, -(-self._waiting // self._count)))
        lengths = [_length(item) for item in waiting]
        near = sorted(range(len(waiting)), key=lambda place: abs(lengths[place] - lengths[0]))
        sums = itertools.accumulate(lengths[place] for place in near[:size])
        fitting = sum(total <= _CHARACTERS for total in sums)
        taken = set(near[: max(1, fitting)])  # sorting is stable: of rows of a length the older ones
        self._queue.extendleft(
            waiting[place] for place in reversed(range(len(waiting))) if place not in taken
        )
        batch = [waiting[place] for place in sorted(taken)] if waiting else []
        for _, job, _ in batch:
            job.queued -= 1
        self._waiting -= len(batch)
        return batch

    async def _answer_batch(self, batch: list[tuple[Row, _Job, int]]) -> None:
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._threads, self._answer, [row for row, _, _ in batch])
        except Exception as error:  # whatever it is, the service goes on; each request gets it
            log.exception("a batch of %d rows could not be answered", len(batch))
            for _, job, _ in batch:
                if not job.future.done():
                    job.future.set_exception(error)
            return
        for (_, job, number), answer in zip(batch, answers, strict=True):
            job.answers[number] = answer
            job.left -= 1
            if not job.left and not job.future.done():
                job.future.set_result([job.answers[place] for place in range(len(job.answers))])
        self._seconds = _MEMORY * self._seconds + time.monotonic() - started
        self._rows = _MEMORY * self._rows + len(batch)
        self._on_batch(len(batch))


def _length(item: tuple[Row, _Job, int]) -> int:
    return sum(map(len, item[0]))
