"""Flags in both spellings, booleans bare or with a value, and the exit codes of every command.

Exit 0: done. 1: the input or the data is wrong (one line on stderr). 2: usage. 130: Ctrl-C. 143: SIGTERM.
"""

import argparse
import io
import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from common.errors import InputError, TerminatedError, UsageError
from common.messages import did_you_mean, one_line

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def is_truth_value(text: str) -> bool:
    """Whether ``parse_bool`` reads this."""
    return text.lower() in _TRUE | _FALSE


def parse_bool(text: str) -> bool:
    """Read ``True``, ``false``, ``1``, ``off`` … as a bool; anything else is a usage error."""
    if is_truth_value(text):
        return text.lower() in _TRUE
    raise argparse.ArgumentTypeError(f"{text!r} is not a truth value: write true or false")


def count(text: str, least: int = 1) -> int:
    """Read a whole number of at least ``least``; anything else is a usage error."""
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def path(text: str) -> str:
    """A path, with the user's home for ``~``; an empty one, as an unset variable gives, is a usage error."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; name a path")
    return os.path.expanduser(text)  # noqa: PTH111 (where there is no home it stays as it is)


def program(text: str) -> str:
    """A program that a child process finds from any folder.

    A path becomes absolute, but its links stay: by them a virtual environment's Python knows where it is. A
    bare name is looked for where commands are.
    """
    given = path(text)
    return os.path.abspath(given) if os.path.dirname(given) else given  # noqa: PTH100, PTH120


def count_or_0(text: str) -> int:
    """Read a whole number, 0 included."""
    return count(text, 0)


def tolerance(text: str) -> float:
    """Read a number of at least 0."""
    return _number(text, "at least 0", lambda value: 0 <= value < math.inf)


def seconds(text: str) -> float:
    """Read a number of seconds above 0."""
    return _number(text, "seconds above 0", lambda value: 0 < value < 1e6)


def _number(text: str, expected: str, is_valid: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not is_valid(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of {expected}")
    return value


# What makes an argument a switch: it works bare (``--use_amp``) and with a value (``--use_amp False``).
SWITCH: dict[str, Any] = {"type": parse_bool, "nargs": "?", "const": True, "metavar": "true|false"}


# What help and messages call the command when it was started as ``convbert-glue check`` and the like.
program_name: str | None = None


class CommandParser(argparse.ArgumentParser):
    """An argument parser that takes ``--data_dir`` and ``--data-dir`` alike."""

    exits = True  # on wrong usage; else it raises UsageError
    elsewhere: Mapping[str, str] = {}  # flag of another toolkit → what does the same here

    def __init__(self, **settings: Any) -> None:
        if program_name:
            settings["prog"] = program_name
        settings.setdefault("allow_abbrev", False)
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**settings)

    def add_switch(self, *names: str, **settings: Any) -> argparse.Action:
        """Add a boolean flag, false by default."""
        return self.add_argument(*names, **{"default": False, **SWITCH, **settings})

    def fall_back_on(self, values: Mapping[str, Any]) -> list[str]:
        """Take these for flags that are not given, by name; none is required any more.

        Returns the names of those that were and have no value here, ``a|b`` where one of two was. ValueError
        for what no flag takes; other values are read as if they were given.
        """
        missing = []
        for action in self._actions:
            value = values.get(action.dest)
            items = value if isinstance(value, list) else [value]
            if action.choices is not None and any(item not in (*action.choices, "", None) for item in items):
                raise ValueError(f"{action.dest} {value!r} is none of {', '.join(map(str, action.choices))}")
            is_switched = isinstance(value, bool) and action.type is parse_bool
            as_it_is = value is None or isinstance(value, list) or is_switched
            if action.dest in values and not (action.required and value is None):
                action.default = value if as_it_is else str(value)
            elif action.required:
                missing.append(action.dest)
            action.required = False
        for group in self._mutually_exclusive_groups:
            names = [action.dest for action in group._group_actions]
            if group.required and all(values.get(name) is None for name in names):
                missing.insert(0, "|".join(names))
            group.required = False
        return missing

    def error(self, message: str) -> NoReturn:
        """Leave with 2 and say why; the flags, of which there may be fifty, are left to --help."""
        if message.startswith("unrecognized arguments: "):
            message += self._what_was_meant(message.split())
        if not self.exits:
            raise UsageError(one_line(message))
        usage = self._short_usage(self._get_positional_actions()) % {"prog": self.prog}
        self.exit(2, f"usage: {usage}; --help lists them\nerror: {one_line(message)}\n")

    def _what_was_meant(self, words: Sequence[str]) -> str:
        """Of the flags among words: what they are called here."""
        hints = ""
        for word in words:
            flag = word.partition("=")[0].replace("-", "_").replace("__", "--", 1)
            if flag in self.elsewhere:
                hints += f"; {flag} is {self.elsewhere[flag]} here"
            elif flag.startswith("--"):
                hints += did_you_mean(flag, self._option_string_actions)
        return hints

    def format_help(self) -> str:
        """The help, whose first line shows what is required and leaves the other flags to the list below."""
        firsts = [group._group_actions[0] for group in self._mutually_exclusive_groups if group.required]
        optional = self._get_optional_actions()
        required = [action for action in optional if action.required or action in firsts]
        self.usage = self.usage or self._short_usage([*self._get_positional_actions(), *required])
        return super().format_help()

    def _short_usage(self, actions: Sequence[argparse.Action]) -> str:
        parts = []
        for action in actions:
            choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest
            value = str(action.metavar or choices).replace("%", "%%")
            parts.append(f"{action.option_strings[0]} {value}" if action.option_strings else value)
        return " ".join(["%(prog)s", *parts, "[flags]"])

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        argv = list(sys.argv[1:] if args is None else args)
        argv = [self._spelled_as_declared(argument) for argument in argv]
        # A bare switch must not swallow the argument behind it, which may be an argument of its own.
        for number, argument in enumerate(argv if self._get_positional_actions() else []):
            action = self._option_string_actions.get(argument)
            following = argv[number + 1 : number + 2]
            if action is not None and action.type is parse_bool and not any(map(is_truth_value, following)):
                argv[number] = f"{argument}=true"
        return super().parse_known_args(argv, namespace)

    def _spelled_as_declared(self, argument: str) -> str:
        if not argument.startswith("--") or len(argument) == 2:
            return argument
        name, equals, value = argument[2:].partition("=")
        for candidate in (name, name.replace("-", "_"), name.replace("_", "-")):
            if "--" + candidate in self._option_string_actions:
                return f"--{candidate}{equals}{value}"
        return argument


def run(main: Callable[[Sequence[str] | None], int | None]) -> NoReturn:
    """Run a command's ``main`` and leave with its exit code; bad input is one line, no traceback."""
    # Without the line of our code that gave it.
    warnings.formatwarning = lambda message, *_, **__: f"warning: {one_line(message)}\n"
    if sys.stderr is None:  # closed: messages go nowhere, not to stdout
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (till the end)
    for stream in filter(None, (sys.stdout, sys.stderr)):  # closed ones are None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal of fewer letters is no reason to fail
    try:
        code = main(None) or 0
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except (Exception, KeyboardInterrupt) as error:
        code, message = _explain(error)
        if not message:
            raise
        print(one_line(message), file=sys.stderr)
    sys.exit(code)


def _explain(error: BaseException) -> tuple[int, str]:
    """The exit code and the message for an error of the user, the system or Ctrl-C; no message for a bug."""
    if isinstance(error, InputError):
        return (2 if isinstance(error, UsageError) else 1), f"error: {error}"
    # Ctrl-C in an operator of ours that Paddle called arrives in the text of another error.
    if isinstance(error, TerminatedError):
        return 143, "terminated"
    if isinstance(error, KeyboardInterrupt) or "KeyboardInterrupt" in str(error):
        return 130, "interrupted"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return 1, f"error: {where}{error.strerror or error}"
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # before Python 3.13
        return 1, f"error: {error}"
    return 1, ""
