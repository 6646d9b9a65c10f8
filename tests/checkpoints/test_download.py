"""The downloader against a local server: cuts, wrong digests, no network, full disks, rivals."""

import hashlib
import os
import random
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkpoints import download
from checkpoints.download import ATTEMPTS, Source, fetch
from tests.checkpoints.golden_folders import check_error, error_of
from tests.checkpoints.web import Web

CONTENT = random.Random(0).randbytes(3_000_000)
SHA = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def web(web: Web) -> Web:
    web.files["/file"] = CONTENT
    return web


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def known(web: Web) -> Source:
    return Source(f"{web.url}/file", len(CONTENT), SHA)


@pytest.mark.parametrize("digest", [SHA, f"md5:{hashlib.md5(CONTENT).hexdigest()}", ""])
@pytest.mark.parametrize("size", [len(CONTENT), 0])
def test_a_file_arrives_whole_and_once(web: Web, tmp_path: Path, digest: str, size: int) -> None:
    source = Source(f"{web.url}/file", size, digest)
    for _ in range(2):
        assert fetch(source, tmp_path / "sub" / "x", pause=0) == tmp_path / "sub" / "x"
    assert (tmp_path / "sub" / "x").read_bytes() == CONTENT
    assert names_in(tmp_path / "sub") == ["x"]
    assert web.requests == [("/file", "")]


def test_a_cut_transfer_goes_on_where_it_stopped(web: Web, tmp_path: Path) -> None:
    web.cuts = [1_000_000, 700_000]
    fetch(known(web), tmp_path / "x", pause=0)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert web.requests == [("/file", ""), ("/file", "bytes=1000000-"), ("/file", "bytes=1700000-")]


@pytest.mark.parametrize(
    ("part", "ranges"),
    [
        (CONTENT[:2_000_000], ["bytes=2000000-"]),
        (CONTENT, []),
        (b"x" * 2_000_000, ["bytes=2000000-", ""]),
    ],
    ids=["of a killed process", "complete", "of something else"],
)
def test_a_part_is_gone_on_from(web: Web, tmp_path: Path, part: bytes, ranges: list[str]) -> None:
    (tmp_path / ".x.part").write_bytes(part)
    fetch(known(web), tmp_path / "x", pause=0)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert names_in(tmp_path) == ["x"]
    assert web.requests == [("/file", asked) for asked in ranges]


@pytest.mark.parametrize("size", [len(CONTENT) + 5, len(CONTENT) * 2])
def test_a_part_longer_than_the_file(web: Web, tmp_path: Path, size: int) -> None:
    (tmp_path / ".x.part").write_bytes((CONTENT * 2)[:size])
    fetch(known(web), tmp_path / "x", pause=0)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_without_a_digest_only_an_unchanged_file_is_gone_on_with(web: Web, tmp_path: Path) -> None:
    source = Source(f"{web.url}/file")
    web.cuts = [1_000_000] * ATTEMPTS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "ATTEMPTS", 1)
        error_of(lambda: fetch(source, tmp_path / "x", pause=0))
    web.cuts = []
    changed = web.files["/file"] = CONTENT[::-1]
    fetch(source, tmp_path / "x", pause=0)
    assert (tmp_path / "x").read_bytes() == changed
    (tmp_path / "y").unlink(missing_ok=True)
    (tmp_path / ".y.part").write_bytes(b"of unknown origin")  # and no note of what it was a part of
    fetch(source, tmp_path / "y", pause=0)
    assert (tmp_path / "y").read_bytes() == changed


@pytest.mark.parametrize(
    "behaviour",
    [{"ranges": False, "cuts": [1_000_000]}, {"lengths": False}, {"faults": [503, 429, 500]}],
    ids=["no ranges", "no length", "busy"],
)
def test_a_server_may_be_simple_or_busy(web: Web, tmp_path: Path, behaviour: dict[str, Any]) -> None:
    for name, value in behaviour.items():
        setattr(web, name, value)
    fetch(known(web), tmp_path / "x", pause=0)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_server_that_always_breaks_off(web: Web, tmp_path: Path) -> None:
    web.cuts = [1000] * ATTEMPTS
    message = error_of(lambda: fetch(known(web), tmp_path / "x", pause=0))
    assert message.startswith(f"{web.url}/file: cannot be fetched: cut short: 5000 of 3000000 bytes; ")
    assert message.endswith(f"as {tmp_path / 'x'}")
    fetch(known(web), tmp_path / "x", pause=0)
    assert web.requests[-1] == ("/file", "bytes=5000-")
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("size", "digest", "fragment"),
    [
        (0, "sha256:" + "0" * 64, f"has {SHA.replace(':', ' ')}, expected was {'0' * 64}"),
        (0, "md5:" + "0" * 32, f"has md5 {hashlib.md5(CONTENT).hexdigest()}, expected was {'0' * 32}"),
        (2_999_999, SHA, "has 3000000 bytes, expected were 2999999"),
    ],
)
def test_a_wrong_file_is_not_kept(web: Web, tmp_path: Path, size: int, digest: str, fragment: str) -> None:
    source = Source(f"{web.url}/file", size, digest)
    check_error(lambda: fetch(source, tmp_path / "x", pause=0), source.url, fragment, "not kept")
    assert names_in(tmp_path) == []


def test_a_damaged_file_in_its_place_is_fetched_again(web: Web, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"?" + CONTENT[1:])
    fetch(known(web), tmp_path / "x", pause=0)
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize(("code", "reason"), [(404, "Not Found"), (403, "Forbidden"), (410, "Gone")])
def test_an_absent_file_is_asked_for_once(web: Web, tmp_path: Path, code: int, reason: str) -> None:
    web.faults = [code]
    check_error(lambda: fetch(known(web), tmp_path / "x", pause=0), f"{web.url}/file", str(code), reason)
    assert (names_in(tmp_path), len(web.requests)) == ([], 1)


def test_who_never_answered_is_asked_twice(
    web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a server that did answer, and then no more, is asked as often as any."""
    url = "http://127.0.0.1:9/x"
    error_of(lambda: fetch(Source(url), tmp_path / "x", pause=0))
    assert capsys.readouterr().err.count("trying again in 0 s\n") == 1
    web.cuts = [1000] * ATTEMPTS
    error_of(lambda: fetch(known(web), tmp_path / "x", pause=0))
    assert capsys.readouterr().err.count("trying again in 0 s\n") == ATTEMPTS - 1


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,nowhere.invalid")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        for url in (refused, "http://nowhere.invalid/x"):
            message = error_of(lambda url=url: fetch(Source(url), tmp_path / "x", pause=0))  # type: ignore[misc]
            assert message.startswith(f"{url}: cannot be fetched: ")
            assert message.endswith(f"or bring the file yourself, as {tmp_path / 'x'}")


@pytest.mark.parametrize("value", ["1", "true", "ON"])
def test_offline_nothing_is_asked_for(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    check_error(
        lambda: fetch(known(web), tmp_path / "x"), tmp_path / "x", "HF_HUB_OFFLINE", f"{web.url}/file"
    )
    (tmp_path / "x").write_bytes(CONTENT)
    assert fetch(known(web), tmp_path / "x") == tmp_path / "x"
    assert web.requests == []


def test_a_disk_too_small_is_said_before(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2_999_999))
    check_error(lambda: fetch(known(web), tmp_path / "x", pause=0), tmp_path, "2999999 bytes left", "3000000")
    (tmp_path / ".x.part").write_bytes(CONTENT[:10])  # less is to come
    fetch(known(web), tmp_path / "x", pause=0)
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize("lengths", [True, False])
@pytest.mark.parametrize("size", [0, 2_999_999])
def test_more_than_was_promised_is_not_taken(web: Web, tmp_path: Path, lengths: bool, size: int) -> None:
    web.lengths, web.endless = lengths, not lengths
    source = Source(f"{web.url}/file", size, max_size=2_999_999)
    message = error_of(lambda: fetch(source, tmp_path / "x", pause=0))
    fragment = f"has 3000000 bytes, expected were {'' if size else 'at most '}2999999"
    assert message.startswith(
        f"{source.url}: {fragment if lengths else 'sends more than 2999999 bytes'}; it was not"
    )
    assert (names_in(tmp_path), len(web.requests)) == ([], 1)


def test_an_answer_without_end_is_stopped_at_the_known_size(web: Web, tmp_path: Path) -> None:
    web.lengths, web.endless = False, True
    assert "sends more than 3000000 bytes" in error_of(lambda: fetch(known(web), tmp_path / "x", pause=0))
    (tmp_path / ".x.part").write_bytes(CONTENT[:1_000_000])
    assert "sends more than 3000000 bytes" in error_of(lambda: fetch(known(web), tmp_path / "x", pause=0))
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("size", [1, 2_999_999, 3_000_001])
def test_a_wrong_length_is_refused_before_the_first_byte(web: Web, tmp_path: Path, size: int) -> None:
    source = Source(f"{web.url}/file", size, SHA)
    assert f"has 3000000 bytes, expected were {size};" in error_of(
        lambda: fetch(source, tmp_path / "x", pause=0)
    )
    assert names_in(tmp_path) == []


def test_a_server_that_drips_is_given_up(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_SLOW_SECONDS", 0.1)
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    web.files["/file"], web.drip = b"x" * 1000, 0.02
    message = error_of(lambda: fetch(Source(f"{web.url}/file"), tmp_path / "x", pause=0))
    assert "cannot be fetched: slower than 1000 bytes a second; start again later" in message
    assert len(web.requests) == 2


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x"])
def test_a_redirect_out_of_the_web_is_not_followed(web: Web, tmp_path: Path, target: str) -> None:
    web.faults, web.headers["/file"] = [302], {"Location": target}
    assert f"{web.url}/file: " in error_of(lambda: fetch(Source(f"{web.url}/file"), tmp_path / "x", pause=0))
    assert names_in(tmp_path) == []


def test_a_redirect_within_the_web_is_followed(web: Web, tmp_path: Path) -> None:
    web.faults, web.headers["/old"] = [301], {"Location": f"{web.url}/file"}
    fetch(Source(f"{web.url}/old", len(CONTENT), SHA), tmp_path / "x", pause=0)
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("before", "after", "followed"),
    [
        ("https://a/x", "https://b/y", True), ("https://a/x", "http://a/x", False),
        ("http://a/x", "https://a/x", True), ("http://a/x", "http://b/x", True),
        ("http://a/x", "ftp://a/x", False), ("https://a/x", "file:///x", False),
    ],
)  # fmt: skip
def test_no_redirect_leads_from_an_encrypted_connection_to_an_open_one(
    before: str, after: str, followed: bool
) -> None:
    request, redirects = urllib.request.Request(before), download._CautiousRedirects()
    if followed:
        new = redirects.redirect_request(request, None, 302, "Found", {}, after)
        assert new is not None
        assert new.full_url == after
    else:
        with pytest.raises(urllib.error.HTTPError, match="it leads to"):
            redirects.redirect_request(request, None, 302, "Found", {}, after)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x", "no/url"])
def test_only_the_web_is_asked(tmp_path: Path, url: str) -> None:
    check_error(lambda: fetch(Source(url), tmp_path / "x", pause=0), url, "unknown url type")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", [".x.part", ".x.part.etag"])
@pytest.mark.parametrize(
    "plant",
    [
        lambda path, victim: path.symlink_to(victim),
        lambda path, victim: path.hardlink_to(victim),
        lambda path, victim: path.symlink_to(victim.with_name("new")),
        lambda path, victim: os.mkfifo(path),
    ],
    ids=["link", "second name", "link to nothing", "pipe"],
)
def test_what_was_planted_where_parts_are_written_is_not_followed(
    web: Web, tmp_path: Path, name: str, plant: Callable[[Path, Path], object]
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "x").mkdir()
    if name.endswith("etag"):
        (tmp_path / "x" / ".x.part").write_bytes(CONTENT[:10])
    plant(tmp_path / "x" / name, victim)
    fetch(Source(f"{web.url}/file"), tmp_path / "x" / "x", pause=0)
    assert (tmp_path / "x" / "x").read_bytes() == CONTENT
    assert names_in(tmp_path / "x") == ["x"]
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "new").exists()
    assert web.requests == [("/file", "")]
