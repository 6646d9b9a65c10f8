"""One connection of the service: uvicorn's, with bounds on what a request's head and framing may hold and
on how long anything may take. No Paddle, no model.

uvicorn and httptools have no such bounds: a head of any size is collected, which takes quadratic time, and a
connection that says nothing, or reads nothing, stays for ever.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from deploy.middleware import error_body

MAX_HEAD_BYTES = 32 * 1024  # of request line and headers; of what frames a body as well
MAX_TARGET_BYTES = 16 * 1024  # of the request line's address
MAX_HEADERS = 100
MAX_CHUNKS = 10_000  # of a body
CHUNK_FRAME_BYTES = 8  # around a chunk: its length and two line ends
HEAD_SECONDS = 10.0  # in which a request's head must have come
IDLE_SECONDS = 30.0  # that a connection is kept open between requests
LINGER_SECONDS = 5.0  # in which a refusal is to be read, while what still comes is thrown away
MAX_LINGER_BYTES = 64 * 1024 * 1024  # of what is thrown away, and of any body


class WaitingConnections:
    """Connections that wait for a request, its head or its body, each kind in the order of its waiting."""

    def __init__(self) -> None:
        # Since when: connections without any answer yet, with an answer behind them, and with a head whose
        # body is not whole.
        self._new: dict[Connection, float] = {}
        self._idle: dict[Connection, float] = {}
        self._bodies: dict[Connection, float] = {}
        self._kinds = (self._new, self._idle, self._bodies)

    def add(self, connection: "Connection", now: float) -> None:
        """For a request, or the rest of its head."""
        self.discard(connection)
        (self._idle if connection.has_answered else self._new)[connection] = now

    def add_body(self, connection: "Connection", now: float) -> None:
        """For the rest of a body."""
        self.discard(connection)
        self._bodies[connection] = now

    def discard(self, connection: "Connection") -> None:
        """It waits no more."""
        for kind in self._kinds:
            kind.pop(connection, None)

    def longest(self, now: float, grace: float, idle_grace: float) -> "tuple[Connection, float] | None":
        """The connection that has waited longest and when it began, if that is longer than the grace.

        New ones first: who had an answer is likely to ask again, and would see its request lost. Bodies last:
        what came of them would have to be sent again.
        """
        for kind, seconds in zip(self._kinds, (grace, idle_grace, grace), strict=True):
            connection, since = next(iter(kind.items()), (None, now))
            if connection is not None and now - since >= seconds:
                return connection, since
        return None

    def is_waiting(self, connection: "Connection", since: float) -> bool:
        """Whether it has waited since then without a pause."""
        return any(kind.get(connection) == since for kind in self._kinds)


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds.

    Args:
        waiting: Where it is listed while it waits.
        seconds: For what follows an answer, and for taking one off us.
        settings: uvicorn's.

    Attributes:
        has_answered: Whether there was an answer on this connection.
    """

    def __init__(self, waiting: WaitingConnections, seconds: float, **settings: Any) -> None:
        super().__init__(**settings)
        self._waiting, self._seconds = waiting, seconds
        self.has_answered = False
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._in_head, self._in_body = False, False  # of a request
        self._received, self._body, self._chunks = 0, 0, 0  # bytes since the head began or ended; of body
        self._head, self._thrown_away = 0, 0  # bytes
        self._refusal, self._refused = (0, ""), False

    # Time

    def _within(self, seconds: float, late: Callable[[], None]) -> None:
        self._no_timer()
        self._timer = self.loop.call_later(seconds, late)

    def _no_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, seconds: float) -> None:
        """For a request to begin, or for its head to be whole."""
        if not self._is_answering():
            self._waiting.add(self, self.loop.time())
        self._within(seconds, self._late)

    def _is_answering(self) -> bool:
        """Whether a request, the last of those that came, has not had its answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _late(self) -> None:
        if self._in_head and not self._refused and not self.transport.is_closing():
            self.refuse(408, f"the request's head did not arrive within {HEAD_SECONDS:g} s")
        else:
            self.give_up()

    def give_up(self) -> None:
        """End the connection without a word."""
        self._waiting.discard(self)
        self.transport.abort()

    def make_way(self) -> None:
        """End the connection for another one; who has sent a part of a body is told why."""
        if self._refused or not (self._in_body and self._is_answering()):
            self.give_up()
            return
        self.refuse(408, "the request's body is slow to arrive, and all connections are in use; try again")
        self.transport.close()  # at once, without waiting till the refusal is read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.discard(self)
        self._no_timer()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._seconds, self.give_up)

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    # What comes

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._thrown_away += len(data)
            if self._thrown_away > MAX_LINGER_BYTES:
                self.give_up()
            return
        self._received += len(data)
        super().data_received(data)
        if self._in_head and self._received > MAX_HEAD_BYTES:
            self.refuse(431, f"the request's head is larger than {MAX_HEAD_BYTES} bytes")
        elif self._in_body:
            self._check_framing()

    def _check_framing(self) -> None:
        """What a body's chunks have around them: lengths, extensions and trailers."""
        around = self._received - self._body
        if around > MAX_HEAD_BYTES + CHUNK_FRAME_BYTES * self._chunks or self._body > MAX_LINGER_BYTES:
            self.refuse(413, "the body is too large, or its chunks are mostly extensions and trailers")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._received, self._head = True, 0, 0
        self._wait(HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            self._stop(414, f"the request's address is longer than {MAX_TARGET_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # a trailer, which nothing here needs
            return
        super().on_header(name, value)
        self._head += len(name) + len(value) + 4
        if self._head + len(self.url) > MAX_HEAD_BYTES:
            self._stop(431, f"the request's head is larger than {MAX_HEAD_BYTES} bytes")
        if len(self.headers) > MAX_HEADERS:
            self._stop(431, f"the request has more than {MAX_HEADERS} headers")

    def _stop(self, status: int, reason: str) -> None:
        """End parsing from within it; ``send_400_response`` follows."""
        self._refusal = status, reason
        raise ValueError(reason)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._received, self._body, self._chunks = 0, 0, 0
        self._no_timer()
        self._waiting.discard(self)
        self._take_host_from_target()
        super().on_headers_complete()
        self._in_body = True
        self._wait_for_body()

    def _wait_for_body(self) -> None:
        """From now, unless an earlier request of this connection is still being answered."""
        if not self.pipeline:
            self._waiting.add_body(self, self.loop.time())

    def _take_host_from_target(self) -> None:
        """``GET http://host/path``: that host counts, and not the header's (RFC 9112, 3.2.2).

        HTTP/1.0 may leave the header out; HTTP/1.1 may not, and is refused.
        """
        if self.url.startswith(b"/") or self.url == b"*":
            return
        target = httptools.parse_url(self.url)
        if target.host:
            host = b"[" + target.host + b"]" if b":" in target.host else target.host
            host += b"" if target.port is None else b":%d" % target.port
            self.headers[:] = [(name, host if name == b"host" else value) for name, value in self.headers]
            if self.parser.get_http_version() == "1.0" and b"host" not in dict(self.headers):
                self.headers.append((b"host", host))

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            self._stop(413, f"the body comes in more than {MAX_CHUNKS} chunks")

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._waiting.discard(self)
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._wait(IDLE_SECONDS)

    def on_response_complete(self) -> None:
        self.has_answered = True
        self._waiting.discard(self)
        super().on_response_complete()
        if self.transport.is_closing():  # what is still to be written must get away
            self._within(self._seconds, self.give_up)
        elif self._in_body and self.cycle.response_complete:  # answered before it was whole
            if self.expect_100_continue:
                self.transport.close()
            self._waiting.add(self, self.loop.time())
            self._within(self._seconds, self.give_up)
        elif self._in_head and not self._is_answering():  # of the next request, whose time runs already
            self._waiting.add(self, self.loop.time())
        elif not self._is_answering():
            self._wait(IDLE_SECONDS)
        elif self._in_body:
            self._wait_for_body()

    # Refusals

    def send_400_response(self, msg: str) -> None:
        status, reason = self._refusal
        if "Content-Length overflow" in str(sys.exc_info()[1]):  # the parser's, where 64 bits do not hold it
            status, reason = 413, "the request is larger than any limit"
        self.refuse(status or 400, reason or "this is not an HTTP request")

    def refuse(self, status: int, reason: str) -> None:
        """Answer what is not passed on to the application, and close.

        Where earlier requests of this connection are still to be answered, they are, and this one is not.
        """
        if self._refused:
            return
        self._refused = True
        pending = self._is_answering()
        if pending and not self._in_body:
            self.cycle.keep_alive = False
            self._no_timer()
            return
        if self._in_body and (not pending or self.cycle.response_started or self.pipeline):
            self.give_up()  # there is, or will be, an answer to this request
            return
        if pending:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = json.dumps(error_body("", status, reason)).encode()
        self.transport.write(
            STATUS_LINE[status] + b"content-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )
        self._linger()

    def _linger(self) -> None:
        """Let the refusal be read: closing at once, with more on its way to us, could take it back."""
        self._waiting.add(self, self.loop.time())
        self._within(LINGER_SECONDS, self.give_up)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
