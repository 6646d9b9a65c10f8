"""A server on this machine that plays those parts of the hub that take uploads."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_right"
_LARGE = (".safetensors", ".bin", ".pdparams")


@dataclass
class Hub:
    """private: repository → whether it is private. files: (repository, branch) → name → bytes. faults: part
    of a path → status of the answer to it. requests: method and path, as they came."""

    url: str = ""
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def create(self, repository: str, private: bool) -> None:
        self.private[repository] = private
        self.files[repository, "main"] = {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub  # each server has a handler class of its own

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 (the library calls them)

    def answer(self) -> None:
        hub, path = self.hub, self.path.split("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path == "/":
            return self.send({})
        hub.requests.append(f"{self.command} {path}")
        for part, status in hub.faults.items():
            if part in path:
                return self.send({"error": "as the test wants"}, status)
        if path.startswith("/store/"):  # a store of its own, which needs no token
            hub.objects[path.rpartition("/")[2]] = body
            return self.send({})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            message = {"X-Error-Message": "Invalid credentials in Authorization header"}
            return self.send({}, 401, message)
        if path == "/api/validate-yaml":
            return self.send({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            made = json.loads(body)
            hub.create(
                f"{made['organization']}/{made['name']}",
                made.get("visibility") == "private" or bool(made.get("private")),
            )
            return self.send({"url": f"{hub.url}/{made['organization']}/{made['name']}"})
        parts = path.removeprefix("/api/models").removesuffix(".git/info/lfs/objects/batch").split("/")
        repository, (work, branch) = "/".join(parts[1:3]), (*parts[3:], "", "")[:2]
        if repository not in hub.private:
            return self.send({}, 404, {"X-Error-Code": "RepoNotFound"})
        if work and (repository, branch) not in hub.files:
            return self.send({}, 404, {"X-Error-Code": "RevisionNotFound"})
        return self.send(self.repository_answer(repository, work, branch, path, body))

    def repository_answer(
        self, repository: str, work: str, branch: str, path: str, body: bytes
    ) -> dict[str, Any]:
        hub = self.hub
        if path.endswith("/objects/batch"):
            asked = json.loads(body)["objects"]
            upload = {each["oid"]: {"upload": {"href": f"{hub.url}/store/{each['oid']}"}} for each in asked}
            return {
                "transfer": "basic",
                "objects": [{**each, "actions": upload[each["oid"]]} for each in asked],
            }
        if work == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = {name: "lfs" if name.endswith(_LARGE) else "regular" for name in names}
            return {"files": [{"path": n, "uploadMode": modes[n], "shouldIgnore": False} for n in names]}
        if work == "commit":
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    hub.files[repository, branch][value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    content = hub.objects[value["oid"]]
                    assert hashlib.sha256(content).hexdigest() == value["oid"]
                    hub.files[repository, branch][value["path"]] = content
            hub.commits.append(repository)
            return {"commitUrl": f"{hub.url}/{repository}/commit/0123", "commitOid": "0123"}
        return {"id": repository, "private": hub.private[repository]}

    def send(self, answer: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def playing_the_hub() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
