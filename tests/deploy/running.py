"""A service that runs in a thread of the tests."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from deploy.app import Service
from deploy.batcher import Batching
from deploy.hosts import AllowedHosts
from deploy.model import Model
from deploy.schemas import Limits
from deploy.server import Server, bind

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = b'{"text": "a"}'
LIMITS = Limits(body=20_000, seconds=10)
# Of a model for sentences, where a test is not of its answers.
CONFIG = SimpleNamespace(finetuning_task="sst-2", model_type="bert", id2label={0: "0", 1: "1"})


class Slow:
    """A model that takes its time, and answers with the text's length as label."""

    kind, texts, text_columns, digest, max_length = "sentence", (1,), ("sentence",), "0" * 64, 16

    def __init__(self, config: Any, seconds: float) -> None:
        self.config, self.seconds = config, seconds
        self.batches: list[int] = []
        self.at_once, self.most_at_once = 0, 0
        self.lock = threading.Lock()

    def answer(self, rows: Sequence[tuple[str, ...]], batch_size: int = 64) -> list[dict[str, Any]]:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.seconds)
        with self.lock:
            self.at_once -= 1
        self.batches.append(len(rows))
        return [
            {"label_id": len(row[0]), "label": row[0], "prob": 1.0, "probabilities": {row[0]: 1.0}}
            for row in rows
        ]


@contextmanager
def running(
    model: Model | Slow,
    limits: Limits | None = None,
    batching: Batching | None = None,
    token: str | None = None,
    hosts: AllowedHosts | None = None,
    connections: int = 4096,
    send_buffer: int = 0,
) -> Iterator[str]:
    """The URL of a service of the model, which ends with the block."""
    bound = bind("127.0.0.1", 0)
    if send_buffer:  # of the system, for each connection
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    service = Service(model, limits, batching, token, hosts)  # type: ignore[arg-type]
    patience = 2 * limits.seconds if limits else 20
    server = Server(service.app, bound, idle=0.2, patience=patience, connections=connections)
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


def connect(url: str) -> socket.socket:
    """A connection to a service."""
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def raw(url: str, content: bytes) -> bytes:
    """What the service answers to bytes that no HTTP library would send."""
    with connect(url) as connection:
        return exchange(connection, content)


def exchange(connection: socket.socket, content: bytes) -> bytes:
    """The same on a connection that is open."""
    connection.sendall(content)
    answer = b""
    while block := connection.recv(65536):
        answer += block
        head, separator, body = answer.partition(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
        if separator and length and len(body) >= int(length[0].split()[1]):
            break
    return answer


def answer_to(url: str, pieces: Iterator[bytes] | list[bytes], pause: float = 0.0) -> bytes:
    """What comes back till the connection's end, for pieces of which not all may be taken."""
    with connect(url) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                break
            if select.select([connection], [], [], pause)[0]:
                break
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionError):
        while block := connection.recv(65536):
            answer += block
    return answer


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side ended it, without a word."""
    try:
        return connection.recv(65536) == b""
    except ConnectionError:
        return True


def status(answer: bytes) -> int:
    return int(answer.split(None, 2)[1])
