"""Clients that send too much, too slowly, or nothing at all: each costs little, and the others are served."""

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from deploy import connections, server
from deploy.client import Client
from deploy.schemas import Limits
from tests.deploy.running import (
    BODY,
    CONFIG,
    GET,
    LIMITS,
    POST,
    Slow,
    answer_to,
    connect,
    exchange,
    is_closed,
    raw,
    rest,
    running,
    status,
)

CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Slow(CONFIG, 0.0), LIMITS) as address:
        yield address


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
