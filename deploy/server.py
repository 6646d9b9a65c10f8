"""uvicorn with a shutdown that answers what it took."""

import asyncio
import contextlib
import importlib.util
import socket
import sys
import time
from types import FrameType
from typing import Any

import uvicorn

from commands.errors import InputError
from deploy.gate import Gate

_BACKLOG = 2048
_STEP = 0.05  # seconds between looks at what is still open


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


class Server(uvicorn.Server):
    """Serves an application on a bound socket until SIGTERM or SIGINT.

    Then it takes no more connections; requests on those it has are answered, each with
    ``Connection: close``. An idle connection is closed after ``idle`` seconds, any after ``patience``.
    """

    def __init__(self, gate: Gate, bound: socket.socket, idle: float = 1.0, patience: float = 60.0) -> None:
        config = uvicorn.Config(
            gate,
            log_level="warning",
            access_log=False,
            backlog=_BACKLOG,
            lifespan="on",
            loop="asyncio",  # whose way of listening our shutdown knows
            http="httptools" if importlib.util.find_spec("httptools") else "h11",
            ws="none",
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=max(1, int(patience)),
        )
        super().__init__(config)
        self._gate, self._bound, self._idle = gate, bound, idle

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Unlike uvicorn's own, this does not raise the signal again at the end: a clean exit is exit 0.
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self._bound.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        print(f"serving on http://{shown}:{port}", file=sys.stderr, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gate.draining = True
        await self._stop_listening()
        deadline = time.monotonic() + self._idle
        while self.server_state.connections and time.monotonic() < deadline and not self.force_exit:
            await asyncio.sleep(_STEP)
        await super().shutdown(sockets)

    async def _stop_listening(self) -> None:
        """Take what the system has accepted for us already; closing the socket would drop it."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._bound.fileno())
        taken = []
        with contextlib.suppress(BlockingIOError):
            while True:
                taken.append(self._bound.accept()[0])
        for server in self.servers:
            server.close()
        for connection in taken:
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol
