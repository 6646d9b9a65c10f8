"""A log that no flood of requests can fill: what is said again and again is said once a minute."""

import logging
import time

SECONDS = 60.0
_MOST = 1000  # kinds of messages that are remembered


class OncePerMinute(logging.Filter):
    """Let one record of each kind through a minute, and say how many were held back before it."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[object, float] = {}
        self._held: dict[object, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = self._kind(record), time.monotonic()
        if kind in self._last and now - self._last[kind] < SECONDS:
            self._held[kind] = self._held.get(kind, 0) + 1
            return False
        if len(self._last) > _MOST:
            self._last.clear()
        self._last[kind] = now
        if held := self._held.pop(kind, 0):
            record.msg = f"{record.msg} ({held} more like this since)"
        return True

    def _kind(self, record: logging.LogRecord) -> object:
        """What makes two records alike: the message without its values, and where an exception was raised."""
        if not record.exc_info or record.exc_info[0] is None:
            return record.msg
        trace = record.exc_info[2]
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        at = trace and (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        return record.msg, record.exc_info[0], at
