"""Messages to the user: on stderr, one line each, whatever the names and values in them hold."""

import sys

from commands.printable import escape_unprintable


def say(message: str) -> None:
    """Print a message on stderr, on one line and safe for a terminal."""
    print(escape_unprintable(message), file=sys.stderr, flush=True)
