"""uvicorn with bounds on its connections, and with a shutdown that answers what it took."""

import asyncio
import contextlib
import logging
import socket
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from types import FrameType

import uvicorn

from common.errors import InputError
from common.messages import say
from deploy.connections import IDLE_SECONDS, Connection
from deploy.middleware import RequestMiddleware
from deploy.open_files import RESERVE, room_for

BACKLOG = 2048  # connections that the system accepts before we do
MAX_ACCEPTED_AT_ONCE = 16  # connections, before others are served
GRACE_SECONDS = 2.0  # that a new connection may be silent, or a body incomplete, if others have no room
IDLE_GRACE_SECONDS = 5.0  # the same for a connection that has had an answer
RETRY_SECONDS = 1.0  # if the system has nothing left to accept with
POLL_SECONDS = 0.05  # between looks at what is still open
SWEEP_SECONDS = 0.1  # between looks for connections that are late
LOG_SECONDS = 60.0  # in which a message is written once
MAX_LOG_KINDS = 1000  # of messages that are remembered
_LOG = logging.getLogger("uvicorn.error")


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, which does not listen yet; InputError if the address cannot be had."""
    if port > 65535:  # of which the system would take the lower 16 bits
        raise InputError(f"--port {port}: ports end at 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise InputError(f"--host {host} --port {port}: {error}") from None
    return bound


def connections_allowed(requested: int) -> int:
    """How many connections a service can hold, with a note if they are fewer than requested."""
    room = room_for(requested)
    if room < 1:
        raise InputError("the limit of open files is too low for any connection; raise it: ulimit -n 4096")
    if room < requested:
        say(
            f"note: the limit of open files allows {room} connections at once, not {requested}; "
            f"to have more: ulimit -n {requested + RESERVE}"
        )
    return room


class OncePerMinute(logging.Filter):
    """Let one record of each kind through a minute, and say how many were held back before it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[object, tuple[float, int]] = {}  # when written last, and how many were held since

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = self._kind(record), self._clock()
        last, held = self._seen.get(kind, (-LOG_SECONDS, 0))
        if now - last < LOG_SECONDS:
            self._seen[kind] = last, held + 1
            return False
        if len(self._seen) > MAX_LOG_KINDS:
            self._seen.clear()
        self._seen[kind] = now, 0
        if held:
            record.msg = f"{record.msg} ({held} more like this since)"
        return True

    def _kind(self, record: logging.LogRecord) -> object:
        """What makes two records alike: the message without its values, and where an exception was raised."""
        if not record.exc_info:
            return record.msg
        kind, _, trace = record.exc_info
        raised = traceback.extract_tb(trace)[-1:]
        return record.msg, kind, *((frame.filename, frame.lineno) for frame in raised)


class Server(uvicorn.Server):
    """Serves an application on a bound socket until SIGTERM or SIGINT.

    Then it takes no more connections; requests on those it has are answered, each with
    ``Connection: close``. At the end an idle connection is closed after ``idle`` seconds, any other after
    ``patience`` seconds.

    No more than ``connections`` are open at once. If one more comes, the one that has waited longest without
    a whole request is closed for it; if all are being answered, it waits to be accepted.
    """

    def __init__(
        self,
        app: RequestMiddleware,
        bound: socket.socket,
        idle: float = 1.0,
        patience: float = 60.0,
        connections: int = 4096,
    ) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="on",
            loop="asyncio:SelectorEventLoop",  # whose readers we use, on Windows too
            http=Connection,
            ws="none",
            server_header=False,
            timeout_keep_alive=int(IDLE_SECONDS),
            timeout_graceful_shutdown=max(1, int(patience)),
        )
        super().__init__(config)
        self._app, self._bound, self._idle, self._patience = app, bound, idle, patience
        self._max_connections = connections
        # Accepted, but no connection yet.
        self._connecting: set[asyncio.Task[tuple[asyncio.Transport, asyncio.Protocol]]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._next_sweep: asyncio.TimerHandle | None = None
        for name in ("uvicorn.error", "asyncio"):
            log = logging.getLogger(name)
            if not any(isinstance(present, OncePerMinute) for present in log.filters):
                log.addFilter(OncePerMinute())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Unlike uvicorn's own, this does not raise the signal again at the end: a clean exit is exit 0.
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])  # it listens nowhere: accepting is ours
        self._bound.listen(BACKLOG)
        self._bound.setblocking(False)
        self._resume_accepting()
        self._end_late_connections()
        host, port = self._bound.getsockname()[:2]
        print(f"serving on http://{f'[{host}]' if ':' in host else host}:{port}", file=sys.stderr, flush=True)

    def _connections(self) -> list[Connection]:
        return [each for each in self.server_state.connections if isinstance(each, Connection)]

    def _end_late_connections(self) -> None:
        """Now, and again and again."""
        loop = asyncio.get_running_loop()
        self._next_sweep = loop.call_later(SWEEP_SECONDS, self._end_late_connections)
        for connection in self._connections():
            if loop.time() >= min(connection.deadline, connection.write_deadline):
                loop.call_soon(connection.end_late)

    def _is_full(self) -> bool:
        return len(self.server_state.connections) + len(self._connecting) >= self._max_connections

    def _resume_accepting(self) -> None:
        asyncio.get_running_loop().add_reader(self._bound.fileno(), self._accept)

    def _pause_accepting(self, seconds: float, then: Callable[[], None] | None = None) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._bound.fileno())
        self._pause = loop.call_later(seconds, then or self._resume_accepting)

    def _accept(self) -> None:
        """Take connections that wait, a few at a time, as long as there is room for them.

        asyncio's own way takes as many as the backlog holds, and if descriptors run out it reports each.
        """
        for _ in range(MAX_ACCEPTED_AT_ONCE):
            if self._is_full():
                self._make_room()
                return
            try:
                accepted, _ = self._bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                _LOG.warning("no connection can be accepted: %s; trying again", error.strerror)
                self._pause_accepting(RETRY_SECONDS)
                return
            self._connect(accepted)

    def _connect(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        loop = asyncio.get_running_loop()
        state = {"server_state": self.server_state, "app_state": self.lifespan.state}
        protocol = partial(Connection, self._patience / 2, config=self.config, **state)
        connecting = loop.create_task(loop.connect_accepted_socket(protocol, accepted))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)

    def _make_room(self) -> None:
        """Close the connection that has waited longest for a request or its body, or wait for one to end."""
        now, grace = asyncio.get_running_loop().time(), [GRACE_SECONDS, IDLE_GRACE_SECONDS, GRACE_SECONDS]
        waiting = [
            (each.waits_for, each.since, each)
            for each in self._connections()
            if each.waits_for is not None and now - each.since >= grace[each.waits_for]
        ]
        if not waiting:
            _LOG.warning(
                "all %d connections are in use (--max_connections); others wait", self._max_connections
            )
            self._pause_accepting(POLL_SECONDS)
            return
        _, since, silent = min(waiting, key=itemgetter(0, 1))
        self._pause_accepting(0, partial(self._close, silent, since))  # after reading what it has sent

    def _close(self, silent: Connection, since: float) -> None:
        if silent.waits_for is not None and silent.since == since:
            most = self._max_connections
            _LOG.warning("all %d connections are in use; silent and slow ones are closed for others", most)
            silent.make_way()
        self._resume_accepting()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.draining = True
        await self._stop_listening()
        deadline = time.monotonic() + self._idle
        while self.server_state.connections and time.monotonic() < deadline and not self.force_exit:
            await asyncio.sleep(POLL_SECONDS)
        await super().shutdown()
        if self._next_sweep is not None:
            self._next_sweep.cancel()

    async def _stop_listening(self) -> None:
        """Take what the system has accepted for us already; closing the socket would drop it."""
        if self._pause is not None:
            self._pause.cancel()
        asyncio.get_running_loop().remove_reader(self._bound.fileno())
        with contextlib.suppress(OSError):  # BlockingIOError: that was all
            while not self._is_full():
                self._connect(self._bound.accept()[0])
        self._bound.close()  # at once: what the system accepted now would be dropped
        if self._connecting:
            await asyncio.wait(self._connecting)
