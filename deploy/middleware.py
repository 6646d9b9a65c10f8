"""What stands before the routes: who may ask, how large, how many at once; and what is counted."""

import asyncio
import hmac
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.hosts import AllowedHosts, host_of
from deploy.schemas import Limits

REFERENCE_PATH = "/convbert/prediction"
_OPEN_PATHS = {"/", "/health", "/ready", "/docs", "/openapi.json"}  # without a token
MAX_HELD_BYTES = 64 << 20  # of all bodies that are received or answered
MAX_LENGTH_DIGITS = 18  # of Content-Length: more are larger than any limit
MIN_BODY_SECONDS = 1.0  # that every body may take, even if others have no room
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one service, for ``/metrics``. waiting: how many rows wait, now."""

    def __init__(self, waiting: Callable[[], int], digest: str) -> None:
        self.registry = to = CollectorRegistry()
        self.requests = Counter("requests", "Requests answered", ["path", "status"], registry=to)
        self.seconds = Histogram("request_seconds", "Time to answer", ["path"], buckets=_SECONDS, registry=to)
        self.batch_rows = Histogram("batch_rows", "Rows of a batch", buckets=_ROWS, registry=to)
        Gauge("queue_rows", "Rows that wait", registry=to).set_function(waiting)
        Gauge("model_info", "The model's digest", ["digest"], registry=to).labels(digest).set(1)


def refusal(path: str, status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Why a request is refused; on the reference's route in the reference's form."""
    reason = reason.encode("utf-8", "backslashreplace").decode()[:500]
    body: dict[str, Any] = {"detail": reason}
    if path == REFERENCE_PATH:
        body = {"err_no": status, "err_msg": reason, "key": [], "value": [], "tensors": []}
    return JSONResponse(body, status, headers)


class RequestMiddleware:
    """ASGI middleware that checks a request and receives its body before the application sees it.

    Requests for ``paths`` are counted by name. While the service shuts down ``draining`` is set, and every
    answer ends its connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        metrics: Metrics,
        paths: set[str],
        token: str | None = None,
        hosts: AllowedHosts | None = None,
    ) -> None:
        self._app, self._limits, self._metrics, self._paths = app, limits, metrics, paths
        self._token = token.encode() if token else None
        self._hosts = hosts or AllowedHosts()
        self._running, self._held = 0, 0  # requests; bytes of their bodies
        self._reading: dict[asyncio.Future[bool], float] = {}  # bodies that still come, and since when
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, started, status, body = scope["path"], time.perf_counter(), 0, bytearray()

        async def counted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.draining:
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        self._running += 1
        try:
            self._check(scope)
            if await self._receive_body(body, receive):
                await self._answer(scope, bytes(body), receive, counted_send)
        except HTTPException as error:
            answer = refusal(path, error.status_code, error.detail, dict(error.headers or {}))
            await answer(scope, receive, counted_send)
        finally:
            self._running -= 1
            self._held -= len(body)
            name = path if path in self._paths else "other"
            if status:
                self._metrics.requests.labels(name, str(status)).inc()
                self._metrics.seconds.labels(name).observe(time.perf_counter() - started)

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Let the application answer, as long as the other side waits for it."""
        answering = asyncio.ensure_future(self._app(scope, _replayed(body), send))
        leaving = asyncio.ensure_future(receive())  # the body is read: nothing else can come now
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        finally:
            leaving.cancel()
            answering.cancel()

    def _check(self, scope: Scope) -> None:
        """HTTPException for what can be refused before its body has come."""
        self._check_host(scope)
        headers = dict(scope["headers"])
        if self._token and scope["path"] not in _OPEN_PATHS:
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, b"Bearer " + self._token):
                reason = "give the service's token as Authorization: Bearer …"
                raise HTTPException(401, reason, {"www-authenticate": "Bearer"})
        if self._running > self._limits.requests:
            self._make_room(f"{self._limits.requests} requests are being answered already")
        length = headers.get(b"content-length", b"").lstrip(b"0")  # int takes no more than 4300 digits
        if length.isdigit() and (len(length) > MAX_LENGTH_DIGITS or int(length) > self._limits.body):
            raise self._too_large()
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if scope["method"] == "POST" and scope["path"] in self._paths and kind != b"application/json":
            raise HTTPException(415, "send JSON, with Content-Type: application/json")

    def _check_host(self, scope: Scope) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if not hosts and scope["http_version"] == "1.0":  # no browser sends that
            return
        host = host_of(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            given = f"{len(hosts)} of them" if len(hosts) != 1 else ascii(hosts[0].decode("latin-1")[:100])
            raise HTTPException(400, f"a request needs one Host header with a host's name, found {given}")
        if not self._hosts.allow(host):
            reason = f"this service does not answer for the host {host[:100]}; if it should, start it with"
            raise HTTPException(421, f"{reason} --allowed_hosts {host[:100]}")

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"the request is larger than {self._limits.body} bytes")

    async def _receive_body(self, body: bytearray, receive: Receive) -> bool:
        """Fill the body; False if the other side went away."""
        reading = asyncio.ensure_future(self._read(body, receive))
        self._reading[reading] = time.monotonic()
        try:
            return await asyncio.wait_for(reading, self._limits.seconds)
        except (TimeoutError, asyncio.TimeoutError):
            reason = "the request did not arrive in time"
            raise HTTPException(408, reason, {"connection": "close"}) from None
        except asyncio.CancelledError:
            if reading in self._reading:  # it is not the reading alone that ends
                raise
            reason = f"the request took more than {MIN_BODY_SECONDS:g} s to arrive, and others wait"
            raise HTTPException(408, reason, {"connection": "close"}) from None
        finally:
            self._reading.pop(reading, None)

    async def _read(self, body: bytearray, receive: Receive) -> bool:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            more = message.get("body", b"")
            if len(body) + len(more) > self._limits.body:
                raise self._too_large()
            if self._held + len(more) > max(MAX_HELD_BYTES, self._limits.body):
                self._make_room("too much is being received already")
            body += more
            self._held += len(more)
            if not message.get("more_body"):
                return True

    def _make_room(self, reason: str) -> None:
        """Give up the request whose body has been coming for longest; HTTPException if that is not long."""
        reading, since = next(iter(self._reading.items()), (None, 0.0))
        if reading is None or time.monotonic() - since < MIN_BODY_SECONDS:
            raise HTTPException(429, f"{reason}; try again later", {"retry-after": "1"})
        del self._reading[reading]
        reading.cancel()


def _replayed(body: bytes) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()  # nothing more comes; who leaves is not answered any more
        return messages.pop()

    return receive
