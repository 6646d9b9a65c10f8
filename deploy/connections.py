"""One connection of the service: uvicorn's, with bounds on what a request's head and framing may hold and
on how long anything may take. No Paddle, no model.

uvicorn and httptools have no such bounds: a head of any size is collected, which takes quadratic time, and a
connection that says nothing, or reads nothing, stays for ever.
"""

import asyncio
import math
import sys
from enum import IntEnum
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from deploy.middleware import refusal

MAX_HEAD_BYTES = 32 * 1024  # of request line and headers; of what frames a body as well
MAX_TARGET_BYTES = 16 * 1024  # of the request line's address
MAX_HEADERS = 100
MAX_CHUNKS = 10_000  # of a body
CHUNK_FRAME_BYTES = 8  # around a chunk: its length and two line ends
HEAD_SECONDS = 10.0  # in which a request's head must have come
IDLE_SECONDS = 30.0  # that a connection is kept open between requests
LINGER_SECONDS = 5.0  # in which a refusal is to be read, while what still comes is thrown away
MAX_LINGER_BYTES = 64 * 1024 * 1024  # of what is thrown away, and of any body


class Wait(IntEnum):
    """What a connection waits for, in the order in which connections are closed for others.

    New ones first: who had an answer is likely to ask again, and would see its request lost. Bodies last:
    what came of them would have to be sent again.
    """

    FIRST_REQUEST = 0
    NEXT_REQUEST = 1
    BODY = 2


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds. Its server calls ``end_late`` when a deadline is over.

    seconds: for what follows an answer, and for taking one off us. Times are the loop's.
    """

    def __init__(self, seconds: float, **settings: Any) -> None:
        super().__init__(**settings)
        self._seconds = seconds
        self.waits_for: Wait | None = None  # what must come next, unless a request is being answered
        self.since = 0.0  # when that wait began
        self.deadline = self.write_deadline = math.inf  # when to end the connection, also if it is not read
        self._has_answered = False
        self._in_head, self._in_body = False, False  # of a request
        self._received, self._body, self._chunks = 0, 0, 0  # bytes since the head began or ended; of body
        self._head, self._thrown_away = 0, 0  # bytes
        self._refusal, self._refused = (0, ""), False

    def _wait(self, kind: Wait | None = None) -> None:
        """From now, for a request unless another kind is given."""
        request = Wait.NEXT_REQUEST if self._has_answered else Wait.FIRST_REQUEST
        self.waits_for, self.since = request if kind is None else kind, self.loop.time()

    def _end_within(self, seconds: float) -> None:
        self.deadline = self.loop.time() + seconds

    def _wait_for_request(self, seconds: float) -> None:
        """To begin, or for its head to be whole."""
        if not self._is_answering():
            self._wait()
        self._end_within(seconds)

    def _is_answering(self) -> bool:
        """Whether a request, the last of those that came, has not had its answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def end_late(self) -> None:
        """End the connection because a deadline is over."""
        is_deaf = self.loop.time() >= self.write_deadline
        if self._in_head and not self._refused and not self.transport.is_closing() and not is_deaf:
            self.refuse(408, f"the request's head did not arrive within {HEAD_SECONDS:g} s")
        else:
            self.give_up()

    def give_up(self) -> None:
        """End the connection without a word."""
        self.waits_for, self.deadline, self.write_deadline = None, math.inf, math.inf
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
        self._wait_for_request(HEAD_SECONDS)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.write_deadline = self.loop.time() + self._seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        self.write_deadline = math.inf

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
        around = self._received - self._body  # a body's chunks: lengths, extensions and trailers
        most = MAX_HEAD_BYTES + CHUNK_FRAME_BYTES * self._chunks
        if self._in_body and (around > most or self._body > MAX_LINGER_BYTES):
            self.refuse(413, "the body is too large, or its chunks are mostly extensions and trailers")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._received, self._head = True, 0, 0
        self._wait_for_request(HEAD_SECONDS)

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
        self.waits_for, self.deadline = None, math.inf
        self._take_host_from_target()
        super().on_headers_complete()
        self._in_body = True
        if not self.pipeline:  # no earlier request of this connection is being answered
            self._wait(Wait.BODY)

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
        self._in_body, self.waits_for = False, None
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._wait_for_request(IDLE_SECONDS)

    def on_response_complete(self) -> None:
        self._has_answered, self.waits_for = True, None
        super().on_response_complete()
        if self.transport.is_closing():  # what is still to be written must get away
            self._end_within(self._seconds)
        elif self._is_answering():
            if self._in_body and not self.pipeline:
                self._wait(Wait.BODY)
        elif self._in_body:  # answered before it was whole
            if self.expect_100_continue:
                self.transport.close()
            self._wait_for_request(self._seconds)
        elif self._in_head:  # of the next request, whose time runs already
            self._wait()
        else:
            self._wait_for_request(IDLE_SECONDS)

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
            self.cycle.keep_alive, self.deadline = False, math.inf
            return
        if self._in_body and (not pending or self.cycle.response_started or self.pipeline):
            self.give_up()  # there is, or will be, an answer to this request
            return
        if pending:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        answer = refusal("", status, reason, {"connection": "close"})
        head = b"".join(b"%s: %s\r\n" % header for header in answer.raw_headers)
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + bytes(answer.body))
        # Let it be read: closing at once, with more on its way to us, could take it back.
        self._wait()
        self._end_within(LINGER_SECONDS)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
