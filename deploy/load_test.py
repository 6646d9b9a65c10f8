"""Put a running service under load, and check every answer against offline inference.

Example:
  python -m deploy.infer --model_dir exported --input rows.jsonl --output offline.jsonl
  python -m deploy.load_test --url http://127.0.0.1:18080 --input rows.jsonl --expected offline.jsonl \\
      --requests 20000 --clients 32

Each client has a connection of its own and asks one row at a time, taking the next row of the file in turn.
Prints requests a second and latency percentiles. Refusals with 429 are counted apart. A wrong answer, a
lost one and any other refusal are counted, the first is shown, and exit is 1.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import asyncio
import json
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from common.command_line import CommandParser, count, path, run, tolerance
from common.errors import InputError
from common.json_files import read_json_objects
from common.messages import escape_unprintable, shortened
from deploy.client import LARGEST_ANSWER, Client, add_timeout, only_answer, token_given
from deploy.compare_outputs import difference_of
from deploy.descriptors import room_for
from inference.limits import NEAR_TIE

PERCENTILES = (50, 90, 95, 99)


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m deploy.load_test", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:18080", help="(default: http://127.0.0.1:18080)")
    parser.add_argument("--input", required=True, type=path, metavar="FILE.jsonl", help="rows to ask")
    parser.add_argument(
        "--expected", required=True, type=path, metavar="FILE.jsonl", help="what deploy.infer made of them"
    )
    parser.add_argument("--requests", type=count, default=1000, metavar="N", help="in all (default: 1000)")
    parser.add_argument("--clients", type=count, default=32, metavar="N", help="at once (default: 32)")
    parser.add_argument(
        "--tolerance", type=tolerance, default=NEAR_TIE, metavar="X", help=f"(default: {NEAR_TIE:g})"
    )
    add_timeout(parser)
    return parser


@dataclass
class Tally:
    """seconds: of right answers. refused: with 429. faults: the rest, counted; first: the first of it."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    first: str = ""

    def fault(self, kind: str, what: str) -> None:
        self.faults[kind] += 1
        self.first = self.first or what


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    rows, expected = read_json_objects(flags.input), read_json_objects(flags.expected)
    if len(rows) != len(expected):
        raise InputError(f"{flags.expected}: has {len(expected)} rows, {flags.input} {len(rows)}")
    if (room := room_for(flags.clients)) < flags.clients:
        raise InputError(
            f"--clients {flags.clients}: the limit of open files allows {room}; raise it with ulimit -n"
        )
    try:
        questions = Client(flags.url, token_given(), flags.timeout).is_for_questions()
    except OSError as error:
        raise InputError(f"{flags.url}: {error.strerror or error}; is the service running there?") from None
    route = "/answer" if questions else "/predict"
    load = Load(flags.url, route, rows, expected, flags.tolerance, flags.timeout)
    started = time.perf_counter()
    load.run(flags.requests, flags.clients)
    print(described(load.tally, time.perf_counter() - started))
    if load.tally.faults:
        raise InputError(f"{dict(load.tally.faults)}; the first: {load.tally.first}")


class Load:
    """Asks a route of a service for rows whose answers are known. tally: what came of it."""

    def __init__(
        self,
        url: str,
        route: str,
        rows: Sequence[dict[str, Any]],
        expected: Sequence[dict[str, Any]],
        tolerance: float = NEAR_TIE,
        seconds: float = 60.0,
    ) -> None:
        self._url, self._tolerance, self._seconds = urllib.parse.urlsplit(url), tolerance, seconds
        self._requests = [self._request(route, json.dumps(row).encode()) for row in rows]
        self._expected = [{key: row[key] for key in row if key != "index"} for row in expected]
        self.tally = Tally()

    def _request(self, route: str, body: bytes) -> bytes:
        lines = [
            f"POST {self._url.path.rstrip('/')}{route} HTTP/1.1",
            f"Host: {self._url.netloc}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        if token := token_given():
            lines.append(f"Authorization: Bearer {token}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    def run(self, requests: int, clients: int) -> None:
        """Ask so many times, so many at once."""
        asyncio.run(self._run(iter(range(requests)), min(clients, requests)))

    async def _run(self, numbers: Iterator[int], clients: int) -> None:
        await asyncio.gather(*(self._ask_all(numbers) for _ in range(clients)))

    async def _ask_all(self, numbers: Iterator[int]) -> None:
        connection = _Connection(self._url)
        for number in numbers:
            if not await self._ask(connection, number % len(self._requests)):
                break  # each further one might take as long
        connection.close()

    async def _ask(self, connection: "_Connection", place: int) -> bool:
        """Ask for a row; False if no answer came in time."""
        started = time.perf_counter()
        try:
            status, content = await connection.ask(self._requests[place], self._seconds)
        except (TimeoutError, asyncio.TimeoutError):
            connection.close()
            self.tally.fault("late", f"row {place}: no answer within {self._seconds:g} s")
            return False
        except (OSError, EOFError, ValueError, LookupError, asyncio.LimitOverrunError) as error:
            connection.close()
            reason = escape_unprintable(str(error))[:200] or type(error).__name__
            kind = "refused connection" if isinstance(error, ConnectionRefusedError) else "lost"
            self.tally.fault(kind, f"row {place}: {reason}")
            return True
        if status == 429:
            self.tally.refused += 1
        elif status != 200:
            self.tally.fault(str(status), f"row {place}: {status}: {content[:200]!r}")
        else:
            self._compare(place, content, time.perf_counter() - started)
        return True

    def _compare(self, place: int, content: bytes, seconds: float) -> None:
        expected = self._expected[place]
        try:
            answer = only_answer(json.loads(content))
            is_right = difference_of(expected, answer, self._tolerance) <= self._tolerance
        except (ValueError, RecursionError, InputError):
            answer, is_right = {"answer": repr(content[:200])}, False
        if is_right:
            self.tally.seconds.append(seconds)
        else:
            self.tally.fault("wrong", f"row {place}: {shortened(answer)} for {shortened(expected)}")


class _Connection:
    """HTTP/1.1 on a connection that stays open. It does little: its time comes from the service's cores."""

    def __init__(self, url: urllib.parse.SplitResult) -> None:
        self._url = url
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, seconds: float) -> tuple[int, bytes]:
        """Status and body of the answer; OSError, EOFError, ValueError or LookupError where none comes."""
        if self._streams is None:
            secure = self._url.scheme == "https"
            port = self._url.port or (443 if secure else 80)
            opening = asyncio.open_connection(self._url.hostname, port, ssl=secure or None)
            self._streams = await asyncio.wait_for(opening, seconds)
        late = asyncio.get_running_loop().call_later(seconds, self._streams[1].transport.abort)
        try:
            return await self._answer(request, *self._streams)
        except (OSError, EOFError):
            if late.when() <= asyncio.get_running_loop().time():
                raise asyncio.TimeoutError from None
            raise
        finally:
            late.cancel()

    async def _answer(
        self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[int, bytes]:
        writer.write(request)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        length = int(headers.get("content-length", ""))
        if length > LARGEST_ANSWER:
            raise ValueError(f"an answer of {length} bytes")
        content = await reader.readexactly(length)
        if headers.get("connection") == "close":
            self.close()
        return int(first.split()[1]), content

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def described(tally: Tally, seconds: float) -> str:
    """Rate and latency percentiles in two lines."""
    times = sorted(tally.seconds)
    line = f"{len(times)} right answers in {seconds:.1f} s: {len(times) / seconds:.1f} a second; "
    line += f"{tally.refused} refused for the load; {sum(tally.faults.values())} wrong or lost"
    if not times:
        return line
    shares = ((share, times[min(len(times) - 1, len(times) * share // 100)]) for share in PERCENTILES)
    return f"{line}\nlatency in ms: " + ", ".join(f"p{share} {1000 * value:.2f}" for share, value in shares)


if __name__ == "__main__":
    run(main)
