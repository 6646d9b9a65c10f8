"""What stands before the service: who may ask, how large, how many at once; and what is counted."""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from deploy.schemas import Limits

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

REFERENCE_PATH = "/convbert/prediction"
_OPEN = {"/", "/health", "/ready", "/docs", "/openapi.json"}  # without a token
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one service, for ``/metrics``."""

    def __init__(self, waiting: Callable[[], int], digest: str) -> None:
        self.registry = CollectorRegistry()
        to = self.registry
        self.requests = Counter("requests", "Requests answered", ["path", "status"], registry=to)
        self.seconds = Histogram("request_seconds", "Time to answer", ["path"], buckets=_SECONDS, registry=to)
        self.batch_rows = Histogram("batch_rows", "Rows of a batch", buckets=_ROWS, registry=to)
        Gauge("queue_rows", "Rows that wait", registry=to).set_function(waiting)
        Gauge("model_info", "The model's digest", ["digest"], registry=to).labels(digest).set(1)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class Refusal(Exception):  # noqa: N818 (an answer, not an error of ours)
    """A request that is not let in."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers


def problem_of(path: str, status: int, reason: str) -> dict[str, Any]:
    """A refusal's body; on the reference's route in the reference's form."""
    reason = reason.encode("utf-8", "backslashreplace").decode()[:500]
    if path == REFERENCE_PATH:
        return {"err_no": status, "err_msg": reason, "key": [], "value": [], "tensors": []}
    return {"detail": reason}


class Gate:
    """ASGI middleware. paths: those that are counted by name. draining: set while the service shuts down,
    when every answer ends its connection."""

    def __init__(
        self, app: App, limits: Limits, metrics: Metrics, paths: set[str], token: str | None = None
    ) -> None:
        self._app, self._limits, self._metrics, self._paths = app, limits, metrics, paths
        self._token = token.encode() if token else None
        self._running = 0
        self.draining = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, started, status = scope["path"], time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.draining:
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        self._running += 1
        try:
            self._check(scope)
            body = await self._body(scope, receive)
            if body is not None:
                await self._answer(scope, body, receive, sending)
        except Refusal as refusal:
            await _refuse(path, refusal, sending)
        finally:
            self._running -= 1
            name = path if path in self._paths else "other"
            if status:
                self._metrics.requests.labels(name, str(status)).inc()
                self._metrics.seconds.labels(name).observe(time.perf_counter() - started)

    async def _answer(self, scope: Message, body: bytes, receive: Receive, send: Send) -> None:
        """Let the application answer, as long as the other side waits for it."""
        answering = asyncio.ensure_future(self._app(scope, _replayed(body), send))
        gone = asyncio.ensure_future(receive())  # the body is read: what comes now is its leaving
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        finally:
            gone.cancel()
            answering.cancel()

    def _check(self, scope: Message) -> None:
        headers = dict(scope["headers"])
        if self._token and scope["path"] not in _OPEN:
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, b"Bearer " + self._token):
                scheme = {"www-authenticate": "Bearer"}
                raise Refusal(401, "give the service's token as Authorization: Bearer …", **scheme)
        if self._running > self._limits.requests:
            reason = f"{self._limits.requests} requests are being answered already; try again later"
            raise Refusal(429, reason, **{"retry-after": "1"})
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._limits.body:
            raise self._too_large()
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if scope["method"] == "POST" and scope["path"] in self._paths and kind != b"application/json":
            raise Refusal(415, "send JSON, with Content-Type: application/json")

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the request is larger than {self._limits.body} bytes")

    async def _body(self, scope: Message, receive: Receive) -> bytes | None:
        """The whole body; None if the other side went away."""
        body, deadline = bytearray(), time.monotonic() + self._limits.seconds
        while True:
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except (TimeoutError, asyncio.TimeoutError):
                raise Refusal(408, "the request did not arrive in time", connection="close") from None
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._limits.body:
                raise self._too_large()
            if not message.get("more_body"):
                return bytes(body)


def _replayed(body: bytes) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        if not messages:
            await asyncio.Event().wait()  # nothing more comes; who leaves is not answered any more
        return messages.pop()

    return receiving


async def _refuse(path: str, refusal: Refusal, send: Send) -> None:
    body = json.dumps(problem_of(path, refusal.status, refusal.reason)).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})
