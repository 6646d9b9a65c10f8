"""Which Host headers are answered: DNS rebinding must not reach a service without a token."""

import argparse
from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from deploy.client import Client
from deploy.hosts import AllowedHosts, host_list, host_of
from tests.deploy.running import CONFIG, Slow, raw, running


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Slow(CONFIG, 0.0)) as address:
        yield address


def status(url: str, *lines: bytes) -> int:
    return int(raw(url, b"\r\n".join([*lines, b"", b""])).split()[1])


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost", "localhost.", "localhost:1", "127.0.0.1", "127.0.0.1:18080", "127.9.9.9",
     "[::1]", "[::1]:18080", "[0:0:0:0:0:0:0:1]:80", "[::ffff:127.0.0.1]"],
)  # fmt: skip
def test_names_of_this_machine_to_itself_are_answered(url: str, host: str) -> None:
    assert status(url, b"GET /model HTTP/1.1", b"Host: " + host.encode()) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:18080", "localhost.evil.example", "evil-localhost",
     "127.0.0.1.evil.example", "192.0.2.1", "0.0.0.0", "[2001:db8::1]", "169.254.169.254",
     "2130706433", "127.1"],
)  # fmt: skip
@pytest.mark.parametrize("path", [b"/", b"/model", b"/health", b"/predict", b"/nothing"])
def test_other_names_are_not(url: str, host: str, path: bytes) -> None:
    answer = raw(url, b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, host.encode()))
    assert b" 421 " in answer.splitlines()[0]
    assert b"--allowed_hosts" in answer


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"Host:"],
        [b"Host: localhost", b"Host: localhost"],
        [b"Host: localhost", b"Host: evil.example"],
        [b"Host: evil.example", b"Host: localhost"],
        [b"Host: localhost, evil.example"],
        [b"Host: user@localhost"],
        [b"Host: localhost/evil.example"],
        [b"Host: localhost:80:80"],
        [b"Host: [::1"],
        [b"Host: [not an address]"],
        [b"Host: \xff\xfe"],
        [b"Host: a" + b"a" * 5000],
        [b"Host: http://localhost"],
        [b"Host: .localhost"],
    ],
)
def test_what_is_no_host_is_refused(url: str, lines: list[bytes]) -> None:
    assert status(url, b"GET /model HTTP/1.1", *lines) in (400, 421)


def test_an_address_in_the_request_line_counts_before_the_header(url: str) -> None:
    """RFC 9112, 3.2.2: a server ignores Host where the target is in absolute form."""
    ours, theirs = b"Host: localhost", b"Host: evil.example"
    assert status(url, b"GET http://evil.example/model HTTP/1.1", ours) == 421
    assert status(url, b"GET http://evil.example:80/model HTTP/1.1", ours) == 421
    assert status(url, b"GET http://[2001:db8::1]/model HTTP/1.1", ours) == 421
    assert status(url, b"GET http://localhost:18080/model HTTP/1.1", theirs) == 200
    assert status(url, b"GET http://[::1]:18080/model HTTP/1.1", theirs) == 200
    assert status(url, b"GET http://localhost/model HTTP/1.1", ours, ours) == 400


def test_only_http_1_0_may_leave_it_out(url: str) -> None:
    assert status(url, b"GET /model HTTP/1.0") == 200
    assert status(url, b"GET /model HTTP/1.0", b"Host: evil.example") == 421
    assert status(url, b"GET http://evil.example/model HTTP/1.0") == 421
    assert status(url, b"GET http://localhost/model HTTP/1.0") == 200
    assert status(url, b"GET http://localhost/model HTTP/1.1") == 400


@pytest.mark.parametrize(
    ("allowed", "host", "answered"),
    [
        ("a.example", "a.example", True),
        ("a.example", "A.EXAMPLE.:80", True),
        ("a.example", "b.a.example", False),
        ("a.example,b.example", "b.example", True),
        ("*.a.example", "x.y.a.example", True),
        ("*.a.example", "a.example", False),
        ("*.a.example", "xa.example", False),
        ("*", "anything", True),
        ("192.0.2.1", "192.0.2.1:80", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("[2001:DB8::1]", "[2001:db8:0::1]:80", True),
    ],
)
def test_more_hosts_can_be_allowed(allowed: str, host: str, answered: bool) -> None:
    name = host_of(host.encode())
    assert name is not None
    assert AllowedHosts("127.0.0.1", host_list(allowed)).allow(name) == answered
    assert AllowedHosts("127.0.0.1", host_list(allowed)).allow("localhost")


@pytest.mark.parametrize("text", ["", ",", "http://a", "a:80", "a/b", "*a", "a b", "a.*", "[::1", "é"])
def test_what_is_no_list_of_hosts_is_wrong_usage(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="host"):
        host_list(text)


def test_beyond_loopback_addresses_are_answered_and_names_are_not() -> None:
    """Rebinding needs a name: a page's requests carry an address only where it came from that address."""
    hosts = AllowedHosts("0.0.0.0")
    assert all(map(hosts.allow, ("192.0.2.1", "2001:db8::1", "127.0.0.1", "localhost")))
    assert not hosts.allow("evil.example")
    assert AllowedHosts("192.0.2.1", ("box.example",)).allow("box.example")


@pytest.mark.parametrize("kind", [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data",
                                  b"text/plain; application/json", b""])  # fmt: skip
def test_a_page_from_elsewhere_can_post_nothing(url: str, kind: bytes) -> None:
    """What browsers send across sites unasked is no JSON; for JSON they ask first, and get no consent."""
    body = b'{"text": "a"}'
    lines = [b"Host: localhost", b"Origin: http://evil.example", b"Content-Length: %d" % len(body)]
    answer = raw(url, b"\r\n".join([b"POST /predict HTTP/1.1", *lines, b"Content-Type: " + kind, b"", body]))
    assert b" 415 " in answer.splitlines()[0]
    asked = [b"Access-Control-Request-Method: POST", b"Access-Control-Request-Headers: content-type"]
    answer = raw(url, b"\r\n".join([b"OPTIONS /predict HTTP/1.1", *lines[:2], *asked, b"", b""]))
    assert b" 405 " in answer.splitlines()[0]
    assert b"access-control-allow" not in answer.lower()


def test_our_client_sends_what_is_allowed(url: str) -> None:
    assert Client(url.replace("127.0.0.1", "localhost")).get("/ready")
