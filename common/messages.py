"""Messages to the user: on stderr, one line each, whatever the names and values in them hold."""

import sys

from common.printable import one_line


def say(message: str) -> None:
    """Print a message on stderr, on one line and safe for a terminal."""
    print(one_line(message), file=sys.stderr, flush=True)
