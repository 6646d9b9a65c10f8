"""Put a running service under load, and check every answer against offline inference.

Example:
  python -m deploy.infer --model_dir exported --input rows.jsonl --output offline.jsonl
  python -m bench.load_test --url http://127.0.0.1:18080 --input rows.jsonl --expected offline.jsonl \\
      --requests 20000 --clients 32

Each client has a connection of its own and asks one row at a time, taking the next row of the file in turn.
Prints requests a second and latency percentiles. Refusals with 429 are counted apart. A wrong answer, a
lost one and any other refusal are counted, the first is printed, and exit is 1.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any

from bench.compare_outputs import add_tolerance, largest_difference
from common.command_line import CommandParser, count, path, run
from common.errors import InputError
from common.json_files import read_json_objects
from common.messages import escape_unprintable, shortened
from deploy.answering import PERCENTILES
from deploy.client import (
    Client,
    RefusedError,
    add_service,
    only_answer,
    service_at,
    token_from_environment,
)
from deploy.open_files import room_for
from inference.limits import NEAR_TIE


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m bench.load_test", description=__doc__)
    add_service(parser)
    parser.add_argument("--input", required=True, type=path, metavar="FILE.jsonl", help="rows to ask")
    parser.add_argument(
        "--expected", required=True, type=path, metavar="FILE.jsonl", help="what deploy.infer made of them"
    )
    parser.add_argument("--requests", type=count, default=1000, metavar="N", help="in all (default: 1000)")
    parser.add_argument("--clients", type=count, default=32, metavar="N", help="at once (default: 32)")
    add_tolerance(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    rows, expected = read_json_objects(flags.input), read_json_objects(flags.expected)
    if len(rows) != len(expected):
        reason = f"has {len(expected)} rows, {flags.input} {len(rows)}"
        raise InputError(reason, path=flags.expected)
    if (room := room_for(flags.clients)) < flags.clients:
        raise InputError(
            f"--clients {flags.clients}: the limit of open files allows {room}; raise it with ulimit -n"
        )
    with service_at(flags.url):
        route = Client(flags.url, token_from_environment(), flags.timeout).route()
    load = LoadTest(flags.url, route, rows, expected, flags.tolerance, flags.timeout)
    started = time.perf_counter()
    load.run(flags.requests, flags.clients)
    print(load.summary(time.perf_counter() - started))
    if load.faults:
        raise InputError(f"{dict(load.faults)}; the first: {load.first_fault}")


class LoadTest:
    """Asks a route of a service for rows whose answers are known.

    Args:
        url: Of the service.
        route: To ask at.
        rows: What to ask.
        expected: Their answers; ``index`` is left out.
        tolerance: How far a number may be from the expected one.
        timeout: Seconds for an answer.

    Attributes:
        seconds: That right answers took.
        refused: Requests that were refused with 429.
        faults: Kind → how many requests failed so.
        first_fault: The first of them.
    """

    def __init__(
        self,
        url: str,
        route: str,
        rows: Sequence[dict[str, Any]],
        expected: Sequence[dict[str, Any]],
        tolerance: float = NEAR_TIE,
        timeout: float = 60.0,
    ) -> None:
        self._connect = partial(Client, url, token_from_environment(), timeout)
        self._route, self._rows, self._tolerance = route, rows, tolerance
        self._expected = [{key: row[key] for key in row if key != "index"} for row in expected]
        self._lock = Lock()
        self.seconds: list[float] = []
        self.refused = 0
        self.faults: Counter[str] = Counter()
        self.first_fault = ""

    def run(self, requests: int, clients: int) -> None:
        """Ask so many times, so many at once."""
        clients = min(clients, requests)
        numbers = iter(range(requests))  # whose next is atomic
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(self._ask_all, [numbers] * clients))

    def _ask_all(self, numbers: Iterator[int]) -> None:
        client = self._connect()
        for number in numbers:
            if not self._ask(client, number % len(self._rows)):
                break  # each further one might take as long
        client.close()

    def _ask(self, client: Client, index: int) -> bool:
        """Ask for a row and count what comes of it; False if no answer came in time."""
        started, expected = time.perf_counter(), self._expected[index]
        try:
            answer = only_answer(client.post(self._route, self._rows[index]))
            if largest_difference(expected, answer, self._tolerance) <= self._tolerance:
                self.seconds.append(time.perf_counter() - started)
            else:
                self._count("wrong", index, f"{shortened(answer)} for {shortened(expected)}")
        except TimeoutError as error:
            self._count("late", index, error)
            return False
        except RefusedError as error:
            self._count(str(error.status), index, error)
        except OSError as error:
            kind = "refused connection" if isinstance(error, ConnectionRefusedError) else "lost"
            self._count(kind, index, error)
        except (InputError, RecursionError) as error:
            self._count("wrong", index, error)
        return True

    def _count(self, kind: str, index: int, reason: object) -> None:
        with self._lock:
            if kind == "429":
                self.refused += 1
                return
            self.faults[kind] += 1
            self.first_fault = self.first_fault or f"row {index}: {escape_unprintable(str(reason))[:800]}"

    def summary(self, seconds: float) -> str:
        """Rate and latency percentiles in two lines. seconds: what all of it took."""
        times = sorted(self.seconds)
        line = f"{len(times)} right answers in {seconds:.1f} s: {len(times) / seconds:.1f} a second; "
        line += f"{self.refused} refused for the load; {sum(self.faults.values())} wrong or lost"
        if not times:
            return line
        shares = ((share, times[min(len(times) - 1, len(times) * share // 100)]) for share in PERCENTILES)
        return f"{line}\nlatency in ms: " + ", ".join(
            f"p{share} {1000 * value:.2f}" for share, value in shares
        )


if __name__ == "__main__":
    run(main)
