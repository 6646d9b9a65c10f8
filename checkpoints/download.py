"""Fetch a file over HTTP: whole, checked, once. No Paddle.

A transfer that was cut goes on where it stopped, in this process or the next; a file takes its name only
when its size and digest are right; of several processes that want it one fetches and the others wait.
"""

import hashlib
import http.client
import itertools
import math
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from common.errors import InputError
from common.files import sync_folder, write_text
from common.locks import Lock
from common.messages import say
from common.plain_files import is_of_this_user, open_to_go_on, why_not_written

ATTEMPTS = 5
_ATTEMPTS_WITHOUT_CONNECTION = 2  # attempts, where not one has reached the server
_BLOCK = 1 << 20
_TIMEOUT = 20  # seconds without a byte
# Bytes a second, over so many seconds; a slower transfer is begun anew.
_MIN_SPEED, _SLOW_SECONDS = 1000, 60.0
MAX_BYTES = 4 << 30  # bytes of a file whose size nobody knows; the largest published model has 1.4 GB
_MAX_ETAG = 4096


@dataclass(frozen=True)
class Source:
    """A file on a server."""

    url: str
    size: int = 0  # in bytes; 0 where not known
    digest: str = ""  # ``sha256:…`` or ``md5:…``
    max_size: int = MAX_BYTES  # the most bytes that are taken of a file whose size is not known

    @property
    def bound(self) -> int:
        """The bytes beyond which it cannot be the right file."""
        return self.size or self.max_size


class _CutError(Exception):
    """The transfer ended early, or the server asks to come again."""


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` forbids all downloads."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def fetch(source: Source, path: Path, pause: float = 1.0) -> Path:
    """Make sure that the file is at path, and return path.

    pause: seconds before the second attempt, doubled each time. No network, a missing file, a wrong digest, a
    full disk: InputError with the remedy.
    """
    if path.is_file() and not _problem_with(source, path):
        return path
    if is_offline():
        raise InputError(f"not there, and HF_HUB_OFFLINE forbids to fetch {source.url}", path=path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    lock = path.with_name(f".{path.name}.lock")
    with Lock(lock, math.inf, f"{path}: another process is fetching it; waiting"):
        if path.is_file() and not _problem_with(source, path):  # another process fetched it meanwhile
            return path
        try:
            _fetch_part(source, part, pause)
        except OSError as error:
            reason = f"cannot be written: {error.strerror or error}; what was fetched is kept"
            raise InputError(f"{reason}: make room and start again", path=path) from None
        os.replace(part, path)
        _etag_path(part).unlink(missing_ok=True)
        sync_folder(path.parent)
    return path


def _fetch_part(source: Source, part: Path, pause: float) -> None:
    """Fill the part file and check it; on a wrong digest once more from the beginning if it was resumed."""
    problem = ""
    for _ in range(2 if _size_of(part) else 1):
        _transfer_with_retries(source, part, pause)
        problem = _problem_with(source, part)
        if not problem:
            return
        _discard(part)
    raise _not_kept(source, part, problem)


def _not_kept(source: Source, part: Path, problem: str) -> InputError:
    _discard(part)
    reason = f"{problem}; it was not kept. Is it the right address, or a newer file?"
    return InputError(reason, path=source.url)


def _transfer_with_retries(source: Source, part: Path, pause: float) -> None:
    attempts = min(ATTEMPTS, _ATTEMPTS_WITHOUT_CONNECTION)
    for attempt in itertools.count(1):
        try:
            return _transfer(source, part)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # what we have is not the beginning of what is there
                _discard(part)
            elif error.code not in (408, 425, 429, 500, 502, 503, 504):
                raise InputError(f"HTTP {error.code} ({error.reason})", path=source.url) from None
            reason, attempts = f"HTTP {error.code} ({error.reason})", ATTEMPTS
        except urllib.error.URLError as error:
            reason = str(error.reason)
        except ValueError as error:  # no address at all
            raise InputError(f"cannot be fetched: {error}", path=source.url) from None
        except (_CutError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            reason, attempts = str(error) or type(error).__name__, ATTEMPTS
        if attempt >= attempts:
            break
        seconds = pause * 2 ** (attempt - 1)
        say(f"{source.url}: {reason}; trying again in {seconds:g} s")
        time.sleep(seconds)
    target = part.with_name(part.name.removeprefix(".").removesuffix(".part"))
    remedy = f"start again later (what was fetched is kept), or bring the file yourself, as {target}"
    raise InputError(f"cannot be fetched: {reason}; {remedy}", path=source.url)


class _CautiousRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect out of the web, nor from an encrypted connection to an open one."""

    def redirect_request(
        self, request: urllib.request.Request, file: Any, code: int, reason: str, headers: Any, url: str
    ) -> urllib.request.Request | None:
        allowed = ("https",) if request.type == "https" else ("http", "https")
        if urllib.parse.urlsplit(url).scheme not in allowed:
            reason = f"it leads to {url}, and only {' and '.join(allowed)} is followed from there"
            raise urllib.error.HTTPError(request.full_url, code, reason, headers, file)
        return super().redirect_request(request, file, code, reason, headers, url)


def open_url(request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
    """The answer to a request over http or https, whatever else urllib could open."""
    if request.type not in ("http", "https"):
        raise ValueError(f"unknown url type {request.type!r}; expected http:// or https://")
    opener = urllib.request.build_opener(_CautiousRedirects)
    answer: http.client.HTTPResponse = opener.open(request, timeout=timeout)
    return answer


def _transfer(source: Source, part: Path) -> None:
    """One request, from where the part ends; _CutError if less came than was promised."""
    have, etag = _size_of(part), _etag_of(part)
    if have and have == source.size:
        return
    if have and not etag and not source.digest:  # nothing says that the file is still the same
        have = 0
    headers = {"User-Agent": "convbert-glue"}
    if have:
        headers |= {"Range": f"bytes={have}-", **({"If-Range": etag} if etag else {})}
    with open_url(urllib.request.Request(source.url, headers=headers), timeout=_TIMEOUT) as answer:
        if answer.status != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0
        write_text(_etag_path(part), answer.headers.get("ETag", ""))
        length = max(0, int(answer.headers.get("Content-Length") or 0))
        total = have + length if length else source.size
        if total > source.bound or (length and source.size and total != source.size):
            raise _not_kept(source, part, _wrong_size(source, total))
        if total - have > (free := shutil.disk_usage(part.parent).free):
            reason = f"has {free} bytes left, {total - have} are to come; make room and start again"
            raise InputError(reason, path=part.parent)
        with open_to_go_on(part) as file:
            file.seek(have)
            file.truncate()
            if _copy(answer, file, have, total, source.bound) > source.bound:
                raise _not_kept(source, part, f"sends more than {source.bound} bytes")
            file.flush()
            os.fsync(file.fileno())
    if total and part.stat().st_size < total:
        raise _CutError(f"cut short: {part.stat().st_size} of {total} bytes")


def _size_of(part: Path) -> int:
    """The bytes of a part to go on from; what is a link, no plain file or another user's is removed."""
    if why_not_written(part) or (part.exists() and not is_of_this_user(part)):
        _discard(part)
    return part.stat().st_size if part.exists() else 0


def _etag_of(part: Path) -> str:
    path = _etag_path(part)
    if not path.is_file() or why_not_written(path) or not is_of_this_user(path):
        return ""
    return path.read_text(encoding="utf-8", errors="replace")[:_MAX_ETAG]


def _copy(answer: http.client.HTTPResponse, file: IO[bytes], have: int, total: int, bound: int) -> int:
    """Bytes are written as they come, so that whatever ends the transfer, they are kept; returns how many
    there are now. It stops where there are more than ``bound``."""
    name = Path(file.name).name.strip(".")
    begun, begun_at = time.monotonic(), have
    with tqdm(total=total or None, initial=have, unit="B", unit_scale=True, desc=name, disable=None) as bar:
        while have <= bound:
            try:
                block = answer.read1(_BLOCK)
            except (OSError, http.client.HTTPException) as error:  # of the connection, not of the disk
                raise _CutError(str(error) or type(error).__name__) from None
            if not block:
                break
            file.write(block)
            bar.update(len(block))
            have += len(block)
            if time.monotonic() - begun > _SLOW_SECONDS:
                if have - begun_at < _MIN_SPEED * _SLOW_SECONDS:
                    raise _CutError(f"slower than {_MIN_SPEED} bytes a second")
                begun, begun_at = time.monotonic(), have
    return have


def _problem_with(source: Source, path: Path) -> str:
    """What is wrong with a fetched file; empty if nothing is."""
    size = path.stat().st_size
    if size > source.bound or (source.size and size != source.size):
        return _wrong_size(source, size)
    kind, _, wanted = source.digest.partition(":")
    if kind and (actual := file_digest(path, kind)) != wanted:
        return f"has {kind} {actual}, expected was {wanted}"
    return ""


def _wrong_size(source: Source, size: int) -> str:
    return f"has {size} bytes, expected were {'' if source.size else 'at most '}{source.bound}"


def file_digest(path: Path, kind: str) -> str:
    """The digest of a file's bytes, in hex. kind: ``sha256`` or ``md5``."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _etag_path(part: Path) -> Path:
    """Where the server's ETag of a part is kept."""
    return part.with_name(f"{part.name}.etag")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _etag_path(part).unlink(missing_ok=True)
