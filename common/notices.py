"""Notes to the user on stderr, each once in a process however often its cause is met."""

import sys
from functools import cache


@cache
def note(text: str) -> None:
    """Print ``note: text`` to stderr unless this process has printed it already."""
    print(f"note: {text}", file=sys.stderr)
