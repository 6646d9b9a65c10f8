"""More clients than there is room for: who waits longest makes room. What goes into the log."""

import contextlib
import logging
import select
import socket
import time
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from deploy import middleware, server
from deploy.client import Client
from deploy.schemas import Limits
from tests.deploy.running import (
    BODY,
    CONFIG,
    GET,
    LIMITS,
    POST,
    Slow,
    connect,
    exchange,
    raw,
    rest,
    running,
    status,
)


def test_slow_bodies_make_room_for_whole_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "MIN_BODY_SECONDS", 0.2)
    with running(Slow(CONFIG, 0.0), Limits(requests=8)) as url:
        slow = [connect(url) for _ in range(8)]
        for connection in slow:
            connection.sendall(POST + b"Content-Length: 500\r\n\r\n{")
        time.sleep(0.5)
        assert Client(url).predict([("a",)])
        assert sum(bool(select.select([connection], [], [], 0)[0]) for connection in slow) in range(1, 4)
        for connection in slow:
            connection.close()


def test_bodies_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "MAX_HELD_BYTES", 100_000)
    with running(Slow(CONFIG, 0.0), Limits(body=60_000)) as url:
        with connect(url) as slow:
            slow.sendall(POST + b"Content-Length: 60000\r\n\r\n" + b" " * 59_000)
            time.sleep(0.3)
            request = POST + b"Content-Length: 50000\r\n\r\n" + BODY.ljust(50_000)
            assert status(raw(url, request)) == 429
        time.sleep(0.3)
        assert status(raw(url, request)) == 200


@pytest.fixture
def captured(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """stderr, with a log that has held nothing back yet."""
    for log in map(logging.getLogger, ("uvicorn.error", "asyncio")):
        for present in list(log.filters):
            log.removeFilter(present)
    return capsys


def warnings(captured: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in captured.readouterr().err.splitlines() if not line.startswith("serving on")]


def test_silent_connections_leave_room_for_others(
    monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.2)
    with running(Slow(CONFIG, 0.0), connections=8) as url:
        silent = [connect(url) for _ in range(30)]
        for _ in range(5):
            assert Client(url).predict([("a",)])
            silent += [connect(url) for _ in range(10)]
        for connection in silent:
            connection.close()
    lines = warnings(captured)
    assert [line for line in lines if "silent and slow ones are closed" in line]
    assert len(lines) <= 2


def test_idle_connections_leave_room_too(
    monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "IDLE_GRACE_SECONDS", 0.2)
    with running(Slow(CONFIG, 0.0), connections=4) as url, contextlib.ExitStack() as stack:
        for _ in range(12):
            assert status(exchange(stack.enter_context(connect(url)), GET + b"\r\n")) == 200


def test_new_connections_are_closed_before_idle_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(server, "IDLE_GRACE_SECONDS", 60.0)
    with running(Slow(CONFIG, 0.0), connections=4) as url, contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(url)) for _ in range(3)]
        for connection in idle:
            assert status(exchange(connection, GET + b"\r\n")) == 200
        for _ in range(5):
            stack.enter_context(connect(url))
        assert Client(url).get("/health")
        for connection in idle:
            assert status(exchange(connection, GET + b"\r\n")) == 200


def half_a_body(url: str, before: bytes = b"") -> socket.socket:
    connection = connect(url)
    connection.sendall(before + POST + b"Content-Length: 500\r\n\r\n{")
    return connection


def test_half_bodies_leave_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that came first are closed first, with the reason."""
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.2)
    with running(Slow(CONFIG, 0.0), LIMITS, connections=4) as url, contextlib.ExitStack() as stack:
        slow = []
        for _ in range(4):
            slow.append(stack.enter_context(half_a_body(url)))
            time.sleep(0.05)
        started = time.monotonic()
        assert Client(url).predict([("a",)])
        assert time.monotonic() - started < LIMITS.seconds / 2
        assert status(rest(slow[0])) == 408
        assert not select.select(slow[-1:], [], [], 0)[0]


def test_a_whole_request_is_not_closed_for_others_beside_half_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.1)
    whole = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    with running(Slow(CONFIG, 1.0), LIMITS, connections=2) as url, contextlib.ExitStack() as stack:
        busy, both = stack.enter_context(connect(url)), stack.enter_context(half_a_body(url, before=whole))
        busy.sendall(whole)
        other = stack.enter_context(connect(url))
        other.sendall(GET + b"Connection: close\r\n\r\n")
        first, second = rest(both).split(b"HTTP/1.1 ")[1:]  # one is answered before the connection ends
        assert (first[:3], second[:3]) == (b"200", b"408")
        assert b"in use" in second
        assert status(exchange(busy, b"")) == 200
        assert status(rest(other)) == 200


def test_connections_at_work_are_not_closed_for_others(
    monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "GRACE_SECONDS", 60.0)
    with running(Slow(CONFIG, 0.5), connections=3) as url:
        request = POST + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY) + BODY
        busy = [connect(url) for _ in range(9)]
        for connection in busy:
            connection.sendall(request)
        answers = [rest(connection) for connection in busy]
    assert [status(answer) for answer in answers] == 9 * [200]
    assert len(warnings(captured)) == 1


def test_running_out_of_descriptors_is_said_once(captured: pytest.CaptureFixture[str]) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with running(Slow(CONFIG, 0.0)) as url, connect(url) as first:
        assert status(exchange(first, GET + b"\r\n")) == 200
        others = [socket.socket() for _ in range(10)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))  # nothing more can be opened here
        try:
            for other in others:
                other.connect(first.getpeername())
                assert status(exchange(first, GET + b"\r\n")) == 200
            time.sleep(0.2)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert status(exchange(others[-1], GET + b"\r\n")) == 200
        for other in others:
            other.close()
    (line,) = warnings(captured)
    assert "no connection can be accepted" in line


def test_bad_requests_do_not_fill_the_log(captured: pytest.CaptureFixture[str]) -> None:
    with running(Slow(CONFIG, 0.0)) as url:
        for _ in range(30):
            assert status(raw(url, b"no HTTP\r\n\r\n")) == 400
            raw(url, GET + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert 1 <= len(warnings(captured)) <= 3


class Lines(logging.Handler):
    """What is said to a log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_what_was_held_back_is_counted() -> None:
    clock = [0.0]
    log, handler = logging.Logger("test"), Lines()
    log.addHandler(handler)
    log.addFilter(server.OncePerMinute(lambda: clock[0]))

    def fail(what: Any) -> None:
        try:
            raise what
        except Exception:
            log.exception("failed")

    for number in range(5):
        log.warning("request %d", number)
        fail(ValueError(number))
        fail(TypeError(number))
    assert len(handler.lines) == 3
    clock[0] = server.LOG_SECONDS + 1
    log.warning("request %d", 9)
    assert handler.lines[3:] == ["request 9 (4 more like this since)"]
