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

import http.client
import json
import os
import socket
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event, Timer, local
from typing import Any

from common.command_line import CommandParser, count, path, run, seconds
from common.errors import InputError, UsageError
from common.files import atomic_write
from common.json_files import read_json_objects
from common.messages import escape_unprintable, shortened
from deploy.open_files import room_for

MAX_ANSWER_BYTES = 64 << 20
TOKEN_VARIABLE = "CONVBERT_GLUE_TOKEN"
_ROUTES = {"sentence": "/predict", "question": "/answer"}  # by the kind of model


class RefusedError(InputError):
    """The service answered with another status than 200."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """One connection to a service, kept open. Not for several threads at once.

    Args:
        url: ``http://host:port``.
        token: As in the service's --token_file.
        timeout: Seconds for a whole answer.
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
        self._url, self._prefix, self._timeout = url, parts.path.rstrip("/"), timeout
        self._connection = kind(host, port, timeout=timeout)
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def post(self, route: str, body: Any) -> Any:
        """The JSON that a route answers with.

        Raises:
            RefusedError: The service refuses.
            OSError: It is away, or takes too long.
        """
        return self._ask("POST", route, json.dumps(body).encode())

    def get(self, route: str) -> Any:
        """The same without a body."""
        return self._ask("GET", route, None)

    def _ask(self, method: str, route: str, body: bytes | None) -> Any:
        where = f"{self._url}{route}"
        try:
            status, content = self._exchange(method, route, body)
        except http.client.HTTPException as error:
            self.close()
            reason = escape_unprintable(str(error))[:200] or type(error).__name__
            raise ConnectionError(f"{where}: {reason}") from None
        except OSError:
            self.close()
            raise
        if status != 200:
            raise RefusedError(f"{where}: {status}: {_reason(content)}", status)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise InputError(f"the answer is not JSON: {shortened(content[:100])}", path=where) from None

    def _exchange(self, method: str, route: str, body: bytes | None) -> tuple[int, bytes]:
        """Status and body. Every read has a timeout, but an answer that drips needs one for the whole."""
        if self._connection.sock is None:
            self._connection.connect()
        with _shut_down_after(self._timeout, self._connection.sock) as is_late:
            try:
                self._connection.request(method, self._prefix + route, body, self._headers)
                response = self._connection.getresponse()
                content = response.read(MAX_ANSWER_BYTES + 1)
                if response.length and len(content) <= MAX_ANSWER_BYTES:
                    raise http.client.IncompleteRead(content, response.length)
            except (OSError, http.client.HTTPException):
                if not is_late():
                    raise
        if is_late():
            raise TimeoutError(f"no whole answer within {self._timeout:g} s")
        if len(content) > MAX_ANSWER_BYTES:
            raise OSError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        return response.status, content

    def predict(self, rows: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
        """Answers to texts or pairs, in their order, as ``/predict`` gives them."""
        inputs = [dict(zip(("text", "text_pair"), row, strict=False)) for row in rows]
        return answers_in(self.post("/predict", {"inputs": inputs}))

    def answer(self, question: str, context: str) -> dict[str, Any]:
        """The answer to a question on a passage, as ``/answer`` gives it."""
        return answers_in(self.post("/answer", {"question": question, "context": context}))[0]

    def route(self) -> str:
        """The route that the service's model answers at: ``/answer`` if it is asked questions."""
        values = self.get("/model")
        if not isinstance(values, dict) or values.get("kind") not in _ROUTES:
            raise InputError(f"is not what deploy.serve says: {shortened(values)}", path=f"{self._url}/model")
        return _ROUTES[values["kind"]]

    def close(self) -> None:
        """End the connection; the next request opens another."""
        self._connection.close()


def token_from_environment() -> str | None:
    """The token in $CONVBERT_GLUE_TOKEN."""
    return os.environ.get(TOKEN_VARIABLE) or None


@contextmanager
def _shut_down_after(seconds: float, connection: socket.socket) -> Iterator[Callable[[], bool]]:
    """End a connection that is still in use then, in the middle of whatever it does. Yields: has it been?"""
    late = Event()

    def end() -> None:
        late.set()
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # of TLS too, below it

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield late.is_set
    finally:
        timer.cancel()


def _reason(content: bytes) -> str:
    try:
        values = json.loads(content)
        return escape_unprintable(str(values.get("detail") or values.get("err_msg")))[:500]
    except (ValueError, AttributeError, RecursionError):
        return repr(content[:100])


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m deploy.client", description=__doc__)
    add_service(parser)
    parser.add_argument("--text", "--question", metavar="T", help="a text, or a question")
    parser.add_argument("--text_pair", "--context", metavar="T", help="the second text, or the passage")
    parser.add_argument("--input", type=path, metavar="FILE.jsonl", help="objects as the route takes them")
    parser.add_argument("--output", type=path, metavar="FILE.jsonl", help="of --input")
    parser.add_argument("--clients", type=count, default=8, metavar="N", help="requests at once (default: 8)")
    return parser


def add_service(parser: CommandParser) -> None:
    """--url and --timeout."""
    parser.add_argument("--url", default="http://127.0.0.1:18080", help="(default: http://127.0.0.1:18080)")
    parser.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="N", help="seconds for an answer (default: 60)"
    )


@contextmanager
def service_at(url: str) -> Iterator[None]:
    """Turn an OSError into an InputError that names the service."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{error.strerror or error}; is the service running there?", path=url) from None


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if (flags.text is None) == (flags.input is None) or bool(flags.input) != bool(flags.output):
        raise UsageError("give --text (and --text_pair), or --input and --output")
    connect = partial(Client, flags.url, token_from_environment(), flags.timeout)
    with service_at(flags.url):
        client = connect()
        route = client.route()
        if flags.input:
            ask_file(connect, route, flags.input, flags.output, flags.clients)
            return
        names = ("question", "context") if route == "/answer" else ("text", "text_pair")
        texts = zip(names, (flags.text, flags.text_pair), strict=True)
        row = {name: text for name, text in texts if text is not None}
        print(json.dumps(only_answer(client.post(route, row))))


def ask_file(connect: Callable[[], Client], route: str, source: str, target: str, clients: int) -> None:
    """A request a line, several at once, the answers in the order of the lines."""
    thread = local()

    def ask(numbered: tuple[int, dict[str, Any]]) -> dict[str, Any]:
        if not hasattr(thread, "client"):
            thread.client = connect()
        number, row = numbered
        try:
            return only_answer(thread.client.post(route, row))
        except InputError as error:
            raise InputError(f"row {number}: {error}", path=source) from None

    rows = read_json_objects(source)
    clients = min(clients, len(rows), room_for(clients))
    with atomic_write(target) as file, ThreadPoolExecutor(clients) as pool:
        for index, answer in enumerate(pool.map(ask, enumerate(rows, 1))):
            file.write((json.dumps({"index": index, **answer}) + "\n").encode())
    print(f"{target}: {len(rows)} rows")


def only_answer(response: Any) -> dict[str, Any]:
    """The answer in a response to one input, without the fields that are null."""
    answers = answers_in(response)
    if len(answers) != 1:
        raise InputError(f"expected one answer, found {len(answers)}")
    return {key: value for key, value in answers[0].items() if value is not None}


def answers_in(response: Any) -> list[dict[str, Any]]:
    """The answers in a response; InputError for what deploy.serve does not send."""
    if isinstance(response, dict):
        answers = response.get("predictions") or response.get("answers")
        if isinstance(answers, list) and all(isinstance(answer, dict) for answer in answers):
            return answers
    raise InputError(f"expected answers as deploy.serve gives them, found {shortened(response)}")


if __name__ == "__main__":
    run(main)
