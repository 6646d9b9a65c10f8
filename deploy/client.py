"""Ask a running service, from Python or from the command line. Needs nothing but Python's own library.

Example:
  python -m deploy.client --url http://127.0.0.1:18080 --text "A fine film ."
  python -m deploy.client --url http://127.0.0.1:18080 --input rows.jsonl --output answers.jsonl

From Python:
  from deploy.client import Client
  Client("http://127.0.0.1:18080").predict([("A fine film .",)])

A file is .jsonl; each line goes as one request, and the answers are written in the order of the lines. With
a token in $CONVBERT_GLUE_TOKEN requests carry it.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import http.client
import json
import os
import urllib.parse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local
from typing import Any

from commands.command_line import CommandParser, count, path, run
from commands.errors import InputError, UsageError
from commands.files import read_json_objects

TOKEN_VARIABLE = "CONVBERT_GLUE_TOKEN"


class RefusedError(InputError):
    """The service did not answer with 200. status: what it said instead."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """One connection to a service, kept open. Not for several threads at once.

    url: ``http://host:port``. token: as in the service's --token_file. timeout: seconds.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 60.0) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # such as a port above 65535
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise UsageError(f"--url {url}: expected http://host:port")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._url, self._prefix = url, parts.path.rstrip("/")
        self._connection = kind(host, port, timeout=timeout)
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def post(self, route: str, body: Any) -> Any:
        """The JSON that a route answers with; RefusedError where it refuses, OSError where it is away."""
        return self._ask("POST", route, json.dumps(body).encode())

    def get(self, route: str) -> Any:
        """The same without a body."""
        return self._ask("GET", route, None)

    def _ask(self, method: str, route: str, body: bytes | None) -> Any:
        try:
            self._connection.request(method, self._prefix + route, body, self._headers)
            response = self._connection.getresponse()
            content = response.read()
        except http.client.HTTPException as error:
            self._connection.close()
            raise ConnectionError(f"{self._url}: {error or type(error).__name__}") from None
        except OSError:
            self._connection.close()
            raise
        if response.status != 200:
            raise RefusedError(f"{self._url}{route}: {response.status}: {_reason(content)}", response.status)
        return json.loads(content)

    def predict(self, rows: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
        """Answers to texts or pairs, in their order, as ``/predict`` gives them."""
        inputs = [dict(zip(("text", "text_pair"), row, strict=False)) for row in rows]
        found: list[dict[str, Any]] = self.post("/predict", {"inputs": inputs})["predictions"]
        return found

    def answer(self, question: str, context: str) -> dict[str, Any]:
        """The answer to a question on a passage, as ``/answer`` gives it."""
        found: dict[str, Any] = self.post("/answer", {"question": question, "context": context})["answers"][0]
        return found

    def close(self) -> None:
        self._connection.close()


def token_given() -> str | None:
    """The token in the environment."""
    return os.environ.get(TOKEN_VARIABLE) or None


def _reason(content: bytes) -> str:
    try:
        found = json.loads(content)
        return str(found.get("detail") or found.get("err_msg"))
    except (ValueError, AttributeError):
        return repr(content[:100])


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m deploy.client", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:18080", help="(default: http://127.0.0.1:18080)")
    parser.add_argument("--text", "--question", metavar="T", help="a text, or a question")
    parser.add_argument("--text_pair", "--context", metavar="T", help="the second text, or the passage")
    parser.add_argument("--input", type=path, metavar="FILE.jsonl", help="objects as the route takes them")
    parser.add_argument("--output", type=path, metavar="FILE.jsonl", help="of --input")
    parser.add_argument("--clients", type=count, default=8, metavar="N", help="requests at once (default: 8)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if (flags.text is None) == (flags.input is None) or bool(flags.input) != bool(flags.output):
        raise UsageError("give --text (and --text_pair), or --input and --output")
    token = token_given()
    try:
        questions = Client(flags.url, token).get("/model")["kind"] == "question"
        route = "/answer" if questions else "/predict"
        names = ("question", "context") if questions else ("text", "text_pair")
        if flags.input:
            ask_file(flags.url, token, route, flags.input, flags.output, flags.clients)
            return
        texts = [text for text in (flags.text, flags.text_pair) if text is not None]
        body = dict(zip(names, texts, strict=False))
        print(json.dumps(only_answer(Client(flags.url, token).post(route, body))))
    except OSError as error:
        raise InputError(f"{flags.url}: {error.strerror or error}; is the service running there?") from None


def ask_file(url: str, token: str | None, route: str, source: str, target: str, clients: int) -> None:
    """A request a line, several at once, the answers in the order of the lines."""
    from commands.files import atomic_write

    own = local()

    def ask(numbered: tuple[int, dict[str, Any]]) -> Any:
        if not hasattr(own, "client"):
            own.client = Client(url, token)
        number, row = numbered
        try:
            return only_answer(own.client.post(route, row))
        except RefusedError as error:
            raise InputError(f"{source}: row {number}: {error}") from None

    rows = read_json_objects(source)
    with atomic_write(target) as file, ThreadPoolExecutor(clients) as pool:
        for index, found in enumerate(pool.map(ask, enumerate(rows, 1))):
            file.write((json.dumps({"index": index, **found}) + "\n").encode())
    print(f"{target}: {len(rows)} rows")


def only_answer(found: dict[str, Any]) -> dict[str, Any]:
    """The answer in a response to one input, without what it does not say."""
    (answer,) = found.get("predictions") or found["answers"]
    return {key: value for key, value in answer.items() if value is not None}


if __name__ == "__main__":
    run(main)
