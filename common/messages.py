"""Messages to the user, on stderr, and how text and values of unknown origin are made safe to print there."""

import difflib
import functools
import os
import reprlib
import sys
from collections.abc import Iterable
from typing import Any

_MAX_VALUE = 200
_MAX_MESSAGE = 2000
_MAX_DIGITS = 40


def say(message: str) -> None:
    """Print a message on stderr, on one line and safe for a terminal."""
    print(one_line(message), file=sys.stderr, flush=True)


@functools.cache
def note_once(text: str) -> None:
    """Print ``note: text`` on stderr unless it was printed already; of several processes the first does."""
    if os.environ.get("PADDLE_TRAINER_ID", "0") == "0":
        say(f"note: {text}")


def did_you_mean(name: str, known: Iterable[str], form: str = "; did you mean {}?") -> str:
    """A question for the known name that is nearest to one that is unknown; empty if none is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return form.format(nearest[0]) if nearest else ""


def escape_unprintable(text: str, max_length: int | None = None) -> str:
    """The text as one line that no terminal takes for a command: control and format characters and line ends
    escaped, letters of every script as they are; of the result at most ``max_length`` characters."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text[:max_length])[:max_length]


def one_line(message: object) -> str:
    """A message on one line that is safe for a terminal, the middle of a very long one left out."""
    text = escape_unprintable(str(message))
    if len(text) <= _MAX_MESSAGE:
        return text
    return f"{text[: _MAX_MESSAGE * 3 // 4]} … {text[-_MAX_MESSAGE // 4 :]}"


def escape_lines(text: str) -> str:
    """The same for a text of several lines, of which line ends and tabs stay."""
    return "".join(char if char.isprintable() or char in "\n\t" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


class _Shortener(reprlib.Repr):
    """Looks at the beginnings of containers only: values that share parts can be endless when written out."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 20
        self.maxstring = self.maxother = _MAX_VALUE

    def repr_int(self, value: int, level: int) -> str:
        if value.bit_length() > 3 * _MAX_DIGITS:  # Python refuses to write thousands of digits
            return f"a number of some {value.bit_length() * 30103 // 100000 + 1} digits"
        return repr(value)


_SHORTENER = _Shortener()


def shortened(value: Any, most: int = _MAX_VALUE) -> str:
    """A value as Python writes it, at most so many characters: the middle of a longer one is left out.

    The time and memory it takes are bounded, whatever the value holds.
    """
    text = _SHORTENER.repr(value)
    if len(text) <= most:
        return text
    head = most * 3 // 4
    return f"{text[:head]} … {text[-(most - head - 3) :]}"
