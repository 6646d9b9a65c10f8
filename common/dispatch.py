"""The one place that imports the project's own modules while it runs, and not at the top of a file."""

import importlib
from typing import Any


def imported(name: str) -> Any:
    """What ``module:name`` names; its module is imported now."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def dispatch(work: str, *arguments: Any, **settings: Any) -> Any:
    """Call the function that ``work`` names as ``module:function``.

    A command's module holds its parser and names what carries it out, so that ``--help`` and wrong flags load
    neither Paddle nor NumPy; what carries it out imports what it needs at its top.
    """
    return imported(work)(*arguments, **settings)
