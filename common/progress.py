"""How far long work is: a bar on a terminal, a line where output goes to a file."""

import sys
from typing import TYPE_CHECKING, Any

from common.messages import say

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(total: int | None, title: str, unit: str = "row") -> "tqdm[Any]":
    """A bar on a terminal, elsewhere one line at the start; without a title neither.

    total: how many units there are; None: nobody knows yet.
    """
    from tqdm import tqdm

    if title and not sys.stderr.isatty():
        say(title if total is None else f"{title}: {total} {unit}s")
    return tqdm(total=total, unit=unit, desc=title, disable=None if title else True)
