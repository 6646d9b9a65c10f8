"""Commands as Python functions: packages that import them when they are asked for, settings as arguments."""

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from common.command_line import CommandParser
from common.dispatch import imported

_Lookup = tuple[Callable[[str], Any], Callable[[], list[str]]]


def lazy(package: str, **modules: str) -> _Lookup:
    """Make the ``__getattr__`` and ``__dir__`` of a package that imports a module when a name is asked for.

    Args:
        package: The package's name.
        modules: Name → the module that defines it. A name that is a module of the package too is that module,
            which ``make_callable`` has made callable: what it is does not depend on who imported what before.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = imported(f"{modules[name]}:{name}")
        return sys.modules.get(f"{package}.{name}", value)

    return get, lambda: sorted({*vars(sys.modules[package]), *modules})


def make_callable(module: str, function: Callable[..., Any]) -> None:
    """Let a module be called as a function of it: ``submission.check(path)`` where ``check`` is a module."""
    call = staticmethod(function)
    members = {"__call__": call, "__wrapped__": call}  # the latter for its signature
    sys.modules[module].__class__ = type("CallableModule", (ModuleType,), members)


def arguments(settings: Mapping[str, Any]) -> list[str]:
    """The command line that says the same as keyword arguments, of which None is as good as not given.

    >>> arguments({"use_amp": True, "seed": 1, "gold": ["a", "b"], "preset": None})
    ['--use_amp=true', '--seed=1', '--gold', 'a', 'b']
    """
    line = []
    for name, value in settings.items():
        if isinstance(value, list | tuple):
            line += [f"--{name}", *map(str, value)] if value else []
        elif value is not None:
            line.append(f"--{name}={str(value).lower() if isinstance(value, bool) else value}")
    return line


def raising(parser: CommandParser) -> CommandParser:
    """The same parser, which raises UsageError for wrong usage instead of leaving the process."""
    parser.exits = False
    return parser


def parse(parser: CommandParser, **settings: Any) -> Namespace:
    """Read settings as the command reads its flags; UsageError for what it would not take."""
    return raising(parser).parse_args(arguments(settings))
