"""What a run says of itself while it trains: its log, on the terminal and in a file."""

import io
import logging
import sys
from pathlib import Path

from common.messages import escape_lines
from common.plain_files import open_to_append

LOG = logging.getLogger("training")
LOG_FILE = "train.log"


def open_log(folder: Path) -> None:
    """Let ``LOG`` write to stderr and to the log of a run."""
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setFormatter(_PrintableFormatter())
    LOG.addHandler(to_terminal)
    to_file = _LogFile(folder / LOG_FILE, encoding="utf-8", errors="backslashreplace")
    to_file.setFormatter(_PrintableFormatter("%(asctime)s %(message)s"))
    LOG.addHandler(to_file)


def mute_log() -> None:
    """Let ``LOG`` write nowhere, as in every process but the first."""
    LOG.addHandler(logging.NullHandler())
    LOG.propagate = False


def close_log() -> None:
    """Undo ``open_log``."""
    for handler in list(LOG.handlers):
        LOG.removeHandler(handler)
        handler.close()


class _PrintableFormatter(logging.Formatter):
    """Of names and labels in a message no terminal takes a character for a command."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_lines(super().format(record))


class _LogFile(logging.FileHandler):
    """A log that is never written through a link."""

    def _open(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(open_to_append(self.baseFilename), self.encoding, self.errors)
