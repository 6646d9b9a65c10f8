"""Dynamic batching: rows of many requests, answered together. A bounded queue, a bounded wait. No Paddle."""

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from deploy.rows import TextRow

RowAnswer = dict[str, Any]

MIN_BATCH_ROWS = 8  # rows; a CPU core computes fewer less efficiently, so a worker takes at least as many
MAX_LOOKAHEAD = 4  # full batches; among the oldest rows of so many, a batch is chosen by length
MAX_BATCH_CHARACTERS = 20_000  # so that no batch keeps others waiting for long; one row may be longer
SILENCE = 1 / 4  # of max_wait; if no row came for that long, a batch goes without waiting for more
PACE_DECAY = 0.9  # a batch; how much of the measured pace still counts at the next one

log = logging.getLogger("deploy")


class QueueFullError(Exception):
    """More rows than may wait. seconds: when to try again."""

    def __init__(self, reason: str, seconds: int) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(frozen=True)
class Batching:
    """How rows become batches."""

    max_batch: int = 32  # rows
    max_wait: float = 0.004  # seconds that a row waits for others while a worker is idle
    max_queue: int = 1024  # rows that may wait
    workers: int = 1  # batches computed at once
    max_delay: float = math.inf  # seconds that the last waiting row may be expected to wait


class _Waiting(NamedTuple):
    """A row in the queue, and the future of its answer, which is cancelled if its request is gone."""

    row: TextRow
    answer: "asyncio.Future[RowAnswer]"


class Batcher:
    """Answers rows in batches on threads of its own, while requests come in.

    ``answer`` is called from several threads, ``on_batch`` with the number of rows of every answered batch.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[TextRow]], list[RowAnswer]],
        batching: Batching | None = None,
        on_batch: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._answer, self._on_batch = answer, on_batch
        self._batching = batching or Batching()
        self._queue: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._threads = ThreadPoolExecutor(self._batching.workers, thread_name_prefix="model")
        self._seconds, self._rows = 0.0, 0.0  # of the last batches, on one thread
        self._closing = False
        self._workers: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """Rows in the queue."""
        return len(self._queue)

    def start(self) -> None:
        """Begin to answer; within a running event loop."""
        loop = asyncio.get_running_loop()
        self._workers = [loop.create_task(self._work()) for _ in range(self._batching.workers)]

    async def submit(self, rows: Sequence[TextRow]) -> list[RowAnswer]:
        """Answer rows, in their order; QueueFullError if so many cannot wait."""
        self._check_room(len(rows))
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(row, loop.create_future()) for row in rows]
        self._queue += waiting
        self._arrived.set()
        try:
            return await asyncio.gather(*(row.answer for row in waiting))
        except BaseException:  # the request is gone, or a batch failed: the others are not needed any more
            for row in waiting:
                row.answer.cancel()
            self._drop_cancelled()
            raise

    def _drop_cancelled(self) -> None:
        self._queue = [row for row in self._queue if not row.answer.done()]

    def _check_room(self, count: int) -> None:
        total = self.waiting + count
        delay = total * self._seconds / max(1.0, self._rows) / self._batching.workers
        if total > self._batching.max_queue:
            reason = f"{self.waiting} inputs wait already and {self._batching.max_queue} may"
        elif self.waiting >= self._batching.max_batch and delay > self._batching.max_delay:
            reason = f"{self.waiting} inputs wait already, which takes {delay:.0f} s"
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
            if batch := self._take():
                await self._answer_batch(batch)

    async def _wait_for_more(self) -> None:
        """Wait until there are enough rows, or the time is up, or for a while none came."""
        deadline = time.monotonic() + self._batching.max_wait
        enough = min(MIN_BATCH_ROWS, self._batching.max_batch)
        while self.waiting < enough and not self._closing and time.monotonic() < deadline:
            count = self.waiting
            await asyncio.sleep(self._batching.max_wait * SILENCE)
            if self.waiting == count:
                return

    def _take(self) -> list[_Waiting]:
        """Take a worker's share of the queue: the oldest row and those of the most similar length.

        They are chosen among the oldest only, so that none waits much longer than in turn.
        """
        self._drop_cancelled()
        share = -(-self.waiting // self._batching.workers)
        size = min(self._batching.max_batch, max(MIN_BATCH_ROWS, share))
        oldest = self._queue[: MAX_LOOKAHEAD * self._batching.max_batch]
        lengths = [sum(map(len, waiting.row)) for waiting in oldest]
        nearest = sorted(range(len(oldest)), key=lambda index: abs(lengths[index] - lengths[0]))[:size]
        totals = itertools.accumulate(lengths[index] for index in nearest)
        fitting = sum(total <= MAX_BATCH_CHARACTERS for total in totals)
        taken = set(nearest[: max(1, fitting)])  # sorting is stable: of rows of a length the older ones
        batch = [oldest[index] for index in sorted(taken)]
        self._queue = [waiting for index, waiting in enumerate(self._queue) if index not in taken]
        return batch

    async def _answer_batch(self, batch: Sequence[_Waiting]) -> None:
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        rows = [waiting.row for waiting in batch]
        try:
            answers = await loop.run_in_executor(self._threads, self._answer, rows)
        except Exception as error:  # whatever it is, the service goes on; each request gets it
            log.exception("a batch of %d rows could not be answered", len(batch))
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
        self._seconds = PACE_DECAY * self._seconds + time.monotonic() - started
        self._rows = PACE_DECAY * self._rows + len(batch)
        self._on_batch(len(batch))
