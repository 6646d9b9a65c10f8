"""A log that no flood of requests can fill: what repeats is written once a minute."""

import logging
import time
import traceback
from collections.abc import Callable

SECONDS = 60.0
MAX_KINDS = 1000  # of messages that are remembered


class OncePerMinute(logging.Filter):
    """Let one record of each kind through a minute, and say how many were held back before it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[object, float] = {}
        self._held: dict[object, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = self._kind(record), self._clock()
        if kind in self._last and now - self._last[kind] < SECONDS:
            self._held[kind] = self._held.get(kind, 0) + 1
            return False
        if len(self._last) > MAX_KINDS:
            self._last.clear()
        self._last[kind] = now
        if held := self._held.pop(kind, 0):
            record.msg = f"{record.msg} ({held} more like this since)"
        return True

    def _kind(self, record: logging.LogRecord) -> object:
        """What makes two records alike: the message without its values, and where an exception was raised."""
        if not record.exc_info:
            return record.msg
        kind, _, trace = record.exc_info
        raised = traceback.extract_tb(trace)[-1:]
        return record.msg, kind, *((frame.filename, frame.lineno) for frame in raised)
