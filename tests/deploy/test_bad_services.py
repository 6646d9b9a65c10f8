"""deploy.client and bench.load_test against a foreign server: no wait is endless."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from bench import load_test as load_module
from bench.load_test import LoadTest
from common.errors import InputError
from deploy import client as client_module
from deploy.client import Client
from deploy.client import main as ask
from deploy.open_files import RESERVE, room_for

OK = b"HTTP/1.1 200 OK\r\n"
Behaviour = Callable[[], Iterator[bytes]]


def drip(begun: bytes, piece: bytes) -> Behaviour:
    """For ever a piece more, as slowly as a timeout of a single read allows."""

    def pieces() -> Iterator[bytes]:
        yield begun
        while True:
            time.sleep(0.05)
            yield piece

    return pieces


def flood(begun: bytes, piece: bytes) -> Behaviour:
    """For ever, as fast as it goes."""
    return lambda: itertools.chain([begun], itertools.repeat(piece))


def say(answer: bytes) -> Behaviour:
    return lambda: iter([answer])


def body(content: bytes, status: bytes = OK) -> Behaviour:
    return say(status + b"Content-Length: %d\r\n\r\n" % len(content) + content)


@contextlib.contextmanager
def answering(behaviour: Behaviour) -> Iterator[str]:
    """The URL of something that behaves so on every connection, whatever is asked."""
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            for piece in behaviour():
                if ended.is_set():
                    return
                connection.sendall(piece)
            while connection.recv(65536) and not ended.is_set():  # asked again on the same connection
                for piece in behaviour():
                    connection.sendall(piece)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=[server.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        ended.set()


ENDLESS = {
    "silence": lambda: itertools.chain([b""], iter(lambda: time.sleep(0.05) or b"", None)),
    "a status that drips": drip(b"HTTP/1.1 20", b"0"),
    "a head that drips": drip(OK + b"X: ", b"a"),
    "headers that drip": drip(OK, b"X: a\r\n"),
    "a body that drips": drip(OK + b"Content-Length: 100000\r\n\r\n", b"a"),
    "chunks that drip": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "trailers that drip": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: a\r\n"),
    "continue for ever": flood(b"", 100 * b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a head without end": flood(OK + b"X: ", 65536 * b"a"),
    "headers without end": flood(OK, 1000 * b"X: a\r\n"),
    "a body without end": flood(OK + b"\r\n", 65536 * b"a"),
    "a body that is too long": flood(OK + b"Content-Length: 99999999999\r\n\r\n", 65536 * b"a"),
    "chunks without end": flood(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + 65536 * b"a" + b"\r\n"
    ),
    "trailers without end": flood(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", 1000 * b"X: a\r\n"),
}
STRANGE = {
    "no JSON": body(b"<html>"),
    "nested JSON": body(100_000 * b"["),
    "a long number": body(b'{"kind": ' + 5000 * b"9" + b"}"),
    "no object": body(b"[1]"),
    "another object": body(b'{"kind": 3}'),
    "another service": body(b'{"status": "ok"}'),
    "a long answer": body(b'{"kind": "' + 100_000 * b"a" + b'"}'),
    "an escape sequence": body(b'{"detail": "\\u001b]0;x\\u0007%s"}' % (5000 * b"a"), b"HTTP/1.1 400 No\r\n"),
    "an escape sequence in the status": say(b"HTTP/1.1 \x1b[2J No\r\n\r\n"),
    "another protocol": say(b"220 mail.example ESMTP\r\n"),
    "a status that is no number": say(b"HTTP/1.1 two hundred\r\n\r\n"),
    "no status": say(b"HTTP/1.1\r\n\r\n"),
    "a negative length": say(OK + b"Content-Length: -5\r\n\r\nabc"),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 1 << 20)


@pytest.mark.parametrize("name", ENDLESS)
def test_the_client_ends(name: str) -> None:
    started = time.monotonic()
    with answering(ENDLESS[name]) as url, pytest.raises((OSError, InputError)):
        Client(url, timeout=0.5).get("/model")
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("name", STRANGE)
def test_the_clients_command_says_what_is_wrong_in_a_line(name: str) -> None:
    with answering(STRANGE[name]) as url, pytest.raises(InputError) as caught:
        ask(["--url", url, "--text", "a", "--timeout", "2"])
    message = str(caught.value)
    assert url in message
    assert message.isprintable()
    assert len(message) < 1000


@pytest.mark.parametrize("answer", [b"{}", b"[]", b'{"predictions": 3}', b'{"predictions": [3]}',
                                    b'{"predictions": [{}, {}]}'])  # fmt: skip
def test_a_row_without_its_answer_is_named(tmp_path: Path, answer: bytes) -> None:
    turns = itertools.chain([b'{"kind": "sentence"}'], itertools.repeat(answer))
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\n', encoding="utf-8")
    with (
        answering(lambda: body(next(turns))()) as url,
        pytest.raises(InputError, match=r"rows\.jsonl: row 1: expected .*answer"),
    ):
        ask(["--url", url, "--input", str(rows), "--output", str(tmp_path / "out.jsonl")])
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("name", [*ENDLESS, *STRANGE])
def test_load_ends_and_counts_it(name: str) -> None:
    started = time.monotonic()
    with answering({**ENDLESS, **STRANGE}[name]) as url:
        load = LoadTest(url, "/predict", [{"text": "a"}], [{"label": "0"}], timeout=0.5)
        load.run(40, 2)
    assert time.monotonic() - started < 60
    assert not load.seconds
    assert sum(load.faults.values()) >= 2
    assert load.first_fault.isprintable()
    assert len(load.first_fault) < 1000


def test_more_clients_than_descriptors_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\n', encoding="utf-8")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)  # else the tests' own limit is lowered
    with pytest.raises(InputError, match=r"--clients 500: .* open files"):
        load_module.main(["--clients", "500", "--input", str(rows), "--expected", str(rows)])


def test_the_soft_limit_is_raised_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    limits, infinite = [256, 1024], resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.__setitem__(slice(None), pair))
    assert room_for(100) == 100
    assert limits == [256, 1024]
    assert room_for(500) == 500
    assert limits == [500 + RESERVE, 1024]
    assert room_for(5000) == 1024 - RESERVE
    limits[:] = [256, infinite]
    assert room_for(5000) == 5000
    limits[:] = [infinite, infinite]
    assert room_for(5000) == 5000
    limits[:] = [256, infinite]
    monkeypatch.setattr(resource, "setrlimit", lambda *_: (_ for _ in ()).throw(ValueError("too high")))
    assert room_for(5000) == 256 - RESERVE


def test_without_such_limits_there_is_room_for_what_select_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "resource", None)
    assert room_for(100) == 100
    assert 100 < room_for(100_000) < 512
