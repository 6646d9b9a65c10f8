"""A web server on this machine that misbehaves on request; what the download tests share."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Web:
    """files: path → bytes. cuts: after how many bytes the next answers break off. faults: status codes that
    the next requests get. slow: seconds before an answer. drip: seconds after each byte. endless: send zeros
    for ever behind a file. ranges: whether parts can be asked for. requests: (path, Range header) as they
    came."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)
    slow: float = 0.0
    ranges: bool = True
    lengths: bool = True
    drip: float = 0.0
    endless: bool = False
    requests: list[tuple[str, str]] = field(default_factory=list)

    def served(self, path: str) -> int:
        """How often a file was asked for."""
        return sum(asked == path for asked, _ in self.requests)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web  # each server has a handler class of its own

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        web = self.web
        path, asked = self.path.split("?")[0], self.headers.get("Range", "")
        if body:
            web.requests.append((path, asked))
        if web.slow:
            threading.Event().wait(web.slow)
        content = web.files.get(path)
        if body and web.faults:
            return self.refuse(web.faults.pop(0))
        if content is None:
            return self.refuse(404)
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        begin = int(asked[6:].split("-")[0]) if asked and web.ranges else 0
        if self.headers.get("If-Range", etag) != etag:
            begin = 0
        if begin and begin >= len(content):
            return self.refuse(416)
        part = content[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if web.lengths:
            self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", etag)
        for key, value in web.headers.get(path, {}).items():
            self.send_header(key, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if body:
            cut = web.cuts.pop(0) if web.cuts else len(part)
            self.send(part[:cut])

    def send(self, content: bytes) -> None:
        with suppress(ConnectionError):  # who has enough goes away
            for number in range(len(content) if self.web.drip else 0):
                self.wfile.write(content[number : number + 1])
                threading.Event().wait(self.web.drip)
            self.wfile.write(b"" if self.web.drip else content)
            while self.web.endless:
                self.wfile.write(bytes(1 << 16))

    def refuse(self, status: int) -> None:
        self.send_response(status)
        for key, value in self.web.headers.get(self.path.split("?")[0], {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Web]:
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": web}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
