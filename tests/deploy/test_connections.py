"""Clients that send too much, too slowly, or nothing at all: each costs little, and the others are served."""

import contextlib
import json
import logging
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from deploy import connections, log_filter, middleware, server
from deploy.client import Client
from deploy.schemas import Limits
from tests.deploy.running import CONFIG, Slow, connect, exchange, raw, running

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LIMITS = Limits(body=20_000, seconds=10)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Slow(CONFIG, 0.0), LIMITS) as address:
        yield address


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


HEADS = {
    "one header": (b"X: " + b"a" * 4000, 100 * [b"a" * 4000], 431),
    "one header's name": (b"X" * 4000, 100 * [b"X" * 4000], 431),
    "many headers": (b"", 30 * [b"".join(b"X%d: a\r\n" % number for number in range(50))], 431),
    "tiny headers": (b"", 200 * [b"a:\r\n"], 431),
    "folded": (b"X: a", 100 * [b"\r\n " + b"a" * 4000], 400),
    "cookies": (b"", 100 * [b"Cookie: " + b"a" * 4000 + b"\r\n"], 431),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_bounded(url: str, name: str) -> None:
    first, more, wanted = HEADS[name]
    answer = answer_to(url, [GET + first, *more])
    assert status(answer) in (wanted, 431)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
    assert Client(url).get("/health")


@pytest.mark.parametrize("name", HEADS)
def test_a_head_in_one_piece_is_bounded_too(url: str, name: str) -> None:
    first, more, wanted = HEADS[name]
    answer = answer_to(url, [GET + first + b"".join(more) + b"\r\n\r\n"])
    assert status(answer) in (wanted, 431)


def test_a_head_of_one_read_is_bounded_too(url: str) -> None:
    assert status(answer_to(url, [GET + b"X: " + b"a" * 50_000 + b"\r\n\r\n"])) == 431
    assert status(answer_to(url, [GET + 20 * (b"X: " + b"a" * 2000 + b"\r\n") + b"\r\n"])) == 431


@pytest.mark.parametrize("pieces", [[b"GET /" + b"a" * 40_000], [b"GET /", *(40 * [b"a" * 1000])]])
def test_an_address_is_bounded(url: str, pieces: list[bytes]) -> None:
    assert status(answer_to(url, [*pieces, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"])) == 414


def test_an_endless_head_neither_stalls_the_others_nor_is_collected(url: str) -> None:
    """200 MB on one connection took 38 seconds of quadratic work, during which nobody was answered."""
    taken = 0
    with connect(url) as connection:
        connection.sendall(GET + b"X: ")
        client = Client(url)
        for _ in range(200):
            try:
                connection.sendall(b"a" * (1 << 20))
            except OSError:
                break
            taken += 1 << 20
            assert client.get("/health")
        answer = rest(connection)
    assert status(answer) == 431
    assert taken <= 2 * connections.MAX_LINGER_BYTES


def test_what_is_within_the_bounds_is_answered(url: str) -> None:
    head = GET + b"".join(b"X%d: %s\r\n" % (number, b"a" * 200) for number in range(90))
    assert b" 200 " in raw(url, head + b"\r\n")
    assert b" 200 " in raw(url, GET.replace(b"/health", b"/?text=" + b"a" * 10_000) + b"\r\n")


def chunks(body: bytes, size: int, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces)
    return framed + b"0\r\n" + trailer + b"\r\n"


BODY = b'{"text": "a"}'


@pytest.mark.parametrize(
    "framed",
    [
        chunks(BODY, 1),
        chunks(BODY.ljust(9000), 1),
        chunks(BODY, 5, b";a=b"),
        chunks(BODY, 5, b"", b"X: a\r\nContent-Type: text/plain\r\n"),
    ],
)
def test_chunks_are_taken(url: str, framed: bytes) -> None:
    answer = raw(url, CHUNKED + framed)
    assert status(answer) == 200, answer


@pytest.mark.parametrize(
    "pieces",
    [
        [chunks(BODY.ljust(15_000), 1)],
        [b"1;" + b"a" * 3000, *(300 * [b"a" * 1000])],
        [b"1;a=" + b'"' + b"a" * 3000, *(300 * [b"a" * 1000])],
        [b"1\r\n{\r\n0\r\nX: ", *(300 * [b"a" * 1000])],
        [b"1\r\n{\r\n0\r\n", *(300 * [b"X: " + b"a" * 1000 + b"\r\n"])],
        [b"0" * 3000, *(300 * [b"0" * 1000])],
    ],
    ids=["tiny chunks", "extension", "quoted extension", "trailer", "trailers", "zeros"],
)
def test_chunks_are_bounded(url: str, pieces: list[bytes]) -> None:
    answer = answer_to(url, [CHUNKED, *pieces])
    assert status(answer) in (400, 413)
    assert Client(url).get("/health")


@pytest.mark.parametrize(
    ("length", "wanted"),
    [
        (b"0" * 5000 + b"13", 200),
        (b"0" * 5000 + b"20001", 413),
        (b"9" * 19, 413),
        (b"9" * 24, 413),
        (b"9" * 5000, 413),
        (b"1 3", 400),
        (b"-13", 400),
    ],
)
def test_a_length_of_any_size_is_understood(url: str, length: bytes, wanted: int) -> None:
    """Python makes no integer of more than 4300 digits."""
    answer = raw(url, POST + b"Content-Length: " + length + b"\r\n\r\n" + BODY)
    assert status(answer) == wanted, answer


def test_a_body_after_its_refusal_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_LINGER_BYTES", 1 << 20)
    with running(Slow(CONFIG, 0.0), LIMITS) as url, connect(url) as connection:
        assert status(exchange(connection, POST + b"Content-Length: 999999999\r\n\r\n")) == 413
        for _ in range(1000):
            try:
                connection.sendall(b"a" * 65536)
            except OSError:
                return
    pytest.fail("it read 64 MB")


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET", GET, GET + b"X", POST[:-9]])
def test_a_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    with running(Slow(CONFIG, 0.0)) as url, connect(url) as connection:
        connection.sendall(begun)
        answer = rest(connection)
    assert (status(answer) == 408) if begun.strip() else (answer == b"")


@pytest.mark.parametrize("drip", [b"a", b"\r\n"])
def test_a_head_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch, drip: bytes) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.4)
    with running(Slow(CONFIG, 0.0)) as url:
        begun = GET + b"X: " if drip == b"a" else b""
        answer = answer_to(url, [begun, *(200 * [drip])], pause=0.05)
    assert (status(answer) == 408) if drip == b"a" else (answer == b"")


@pytest.mark.parametrize("drip", [b"", b"\r\n"])
def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch, drip: bytes) -> None:
    """Also where line ends come, which begin no request; uvicorn then forgot to close it."""
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.4)
    with running(Slow(CONFIG, 0.0)) as url, connect(url) as connection:
        assert status(exchange(connection, GET + b"\r\n")) == 200
        for _ in range(200):
            try:
                connection.sendall(drip)
            except OSError:
                break
            if select.select([connection], [], [], 0.05)[0]:
                break
        assert is_closed(connection)


@pytest.mark.parametrize("head", [CHUNKED + b"1\r\n", POST + b"Content-Length: 500\r\n\r\n"])
def test_a_body_that_drips_is_given_up(head: bytes) -> None:
    with running(Slow(CONFIG, 0.0), Limits(seconds=0.5)) as url:
        drip = b"a\r\n1\r\n" if b"chunked" in head else b"a"
        assert status(answer_to(url, [head, *(200 * [drip])], pause=0.05)) == 408


def test_who_reads_nothing_is_left() -> None:
    """Many requests for a long answer: the answers fill all buffers, and are never taken."""
    limits = Limits(seconds=0.5, requests=2)
    with running(Slow(CONFIG, 0.0), limits, send_buffer=10_000) as url, contextlib.ExitStack() as stack:
        port = int(url.rpartition(":")[2])
        for _ in range(4):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", port))
            deaf.sendall(60 * (GET.replace(b"/health", b"/docs") + b"\r\n"))
        deadline = time.monotonic() + 60
        while status(raw(url, GET + b"\r\n")) != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_bad_request_behind_a_good_one_does_not_answer_for_it() -> None:
    with running(Slow(CONFIG, 0.3)) as url:
        for bad in (b"no HTTP\r\n\r\n", GET + 150 * b"X: a\r\n"):
            good = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
            answer = answer_to(url, [good + bad])
            assert status(answer) == 200
            assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("begun", [GET, GET + b"X: " + b"a" * 60_000, b"no HTTP"])
def test_the_next_request_takes_no_answer_away(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    """Its head does not come, or is bad, and others want the connection, while an answer is awaited."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(server, "IDLE_GRACE_SECONDS", 0.1)
    with running(Slow(CONFIG, 1.0), connections=1) as url, connect(url) as connection:
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + begun)
        time.sleep(0.1)
        with connect(url) as other:
            assert status(rest(connection)) == 200
            assert status(exchange(other, GET + b"\r\n")) == 200


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
    log.addFilter(log_filter.OncePerMinute(lambda: clock[0]))

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
    clock[0] = log_filter.SECONDS + 1
    log.warning("request %d", 9)
    assert handler.lines[3:] == ["request 9 (4 more like this since)"]
