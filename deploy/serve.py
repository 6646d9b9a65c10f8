"""Serve a model over HTTP; a page to try it is at /, its documentation at /docs.

Example:
  python -m deploy.serve --model_dir exported --port 18080
  curl -H 'Content-Type: application/json' -d '{"text": "A fine film ."}' http://127.0.0.1:18080/predict

Inputs of many requests are answered in batches. What is too large, too long or too many is refused with a
reason; so is what comes while the queue is full (429). A connection that sends nothing, or sends its request
too slowly, is closed. Only requests for localhost and --host are answered, so that no web page can reach the
service under a name of its own; --allowed_hosts names more. SIGTERM and Ctrl-C end the service after it has
answered the requests it accepted. With --token_file (or $CONVBERT_GLUE_TOKEN) requests need that token.
"""

import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from common.command_line import CommandParser, count, count_or_0, path, run, seconds
from common.dispatch import dispatch
from common.errors import InputError, UsageError
from common.flags import add_device, add_length, add_lower_case
from common.text import read_text
from deploy.answering import add_model_dir
from deploy.client import TOKEN_VARIABLE
from deploy.hosts import host_list

# Flag → its kind, default and meaning.
_NUMBERS: dict[str, tuple[Callable[[str], float], float, str]] = {
    "--port": (count_or_0, 18080, "0: any that is free"),
    "--workers": (count, 2, "batches at once: while one is tokenised another computes"),
    "--threads": (count_or_0, 0, "threads that compute a batch; 0: the cores divided by the workers"),
    "--max_batch": (count, 32, "inputs of a batch"),
    "--max_queue": (count, 1024, "inputs that may wait"),
    "--max_inputs": (count, 256, "inputs of a request"),
    "--max_text_length": (count, 20_000, "characters of a text"),
    "--max_body_size": (count, 1 << 20, "bytes of a request"),
    "--max_requests": (count, 1024, "requests at once"),
    "--max_connections": (count, 4096, "connections at once; the limit of open files may allow fewer"),
    "--max_wait": (seconds, 0.004, "seconds that an input waits for others to make a batch"),
    "--timeout": (seconds, 30.0, "seconds in which a request must have come, and its answer"),
}


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m deploy.serve", description=__doc__)
    add_model_dir(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 is every one (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--allowed_hosts",
        type=host_list,
        default=(),
        metavar="HOST,…",
        help="hosts that requests may name besides localhost and --host, such as a.example or *.b.example; "
        "* for all (default: none; beyond loopback also this machine's name and all IP addresses)",
    )
    add_device(parser, "cpu", "gpu")
    parser.add_argument(
        "--token_file",
        type=path,
        metavar="FILE",
        help=f"holds the token that requests need (default: ${TOKEN_VARIABLE}, or none)",
    )
    for name, (kind, default, meaning) in _NUMBERS.items():
        parser.add_argument(
            name, type=kind, default=default, metavar="N", help=f"{meaning} (default: {default})"
        )
    add_length(parser)
    add_lower_case(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if flags.max_inputs > flags.max_queue:
        raise UsageError("--max_inputs is above --max_queue: such a request could never wait")
    token = read_token(flags)
    for package in ("fastapi", "httptools", "prometheus_client", "uvicorn"):
        if find_spec(package) is None:
            raise InputError(f"{package} is not installed: pip install -e '.[serve]'")
    dispatch("deploy.serving:serve", flags, token)


def read_token(flags: Namespace) -> str | None:
    """The token in --token_file or the environment; InputError if it could not be sent."""
    source = flags.token_file or f"${TOKEN_VARIABLE}"
    if flags.token_file:
        token = read_text(flags.token_file).strip()
    else:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            return None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError("a token is a line of visible ASCII characters", path=source)
    return token


if __name__ == "__main__":
    run(main)
