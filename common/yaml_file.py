"""YAML → nodes that know their file, line and key, for errors. It reads config files and plans.

Time and memory are bounded for any file, and no message shows more than the beginning of a value.
"""

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.messages import did_you_mean, shortened
from common.plain_files import read_input, read_plain
from common.text import decode_text

MAX_BYTES = 1 << 18  # a plan of a thousand lines has some 40 kB
_MAX_NODES = 20_000
_MAX_DEPTH = 50
_MAX_DIGITS = 50
_MAX_NAME = 60
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_CONTAINERS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass(frozen=True)
class Node:
    """A value of a plan."""

    value: Any  # a scalar, a list of nodes, or a dict of nodes by key
    path: str  # the file, as errors name it
    line: int
    name: str  # the keys that lead here, joined by dots; empty for the whole file

    def wrong(self, expected: str) -> InputError:
        """The error for a value that is not what was expected."""
        actual = self.kind if self.is_root else _described(self.value)
        return self.refused(f"expected {expected}, found {actual}")

    def refused(self, why: str) -> InputError:
        """The error for a value of the right form that cannot be taken."""
        prefix = f"{self.name}: " if self.name else ""
        return InputError(f"{prefix}{why}", path=self.path, line=self.line, code="value")

    @property
    def is_root(self) -> bool:
        """Whether this is the whole file, whose text may be anything and is never printed."""
        return not self.name

    @property
    def kind(self) -> str:
        """What sort of value it is, without showing it."""
        if isinstance(self.value, dict):
            return "a mapping" if self.value else "an empty mapping"
        if isinstance(self.value, list):
            return "a list" if self.value else "an empty list"
        return {str: "a text", bool: "true or false", type(None): "nothing"}.get(type(self.value), "a number")

    def fields(self, allowed: Collection[str]) -> dict[str, "Node"]:
        """The entries of a mapping whose keys are known; nothing at all counts as an empty one."""
        entries = self.entries()
        for key, node in entries.items():
            if key not in allowed:
                message = f"unknown key {shortened(key, _MAX_NAME)}; known: {', '.join(allowed)}"
                message += did_you_mean(key, allowed)
                raise replace(self, line=node.line).refused(message)
        return entries

    def entries(self) -> dict[str, "Node"]:
        """The entries of a mapping with any keys."""
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.wrong("lines 'key: value'")
        return self.value

    def items(self) -> list["Node"]:
        """The entries of a list that is not empty."""
        if not isinstance(self.value, list) or not self.value:
            raise self.wrong("a list with something in it, such as [1, 2]")
        return self.value

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong("a word")
        return self.value

    def whole(self, least: int, most: int) -> int:
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(f"a whole number from {least} to {most}")
        return value

    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value


def read_nodes(path: str | Path, display_name: str = "", may_be_pipe: bool = False) -> Node:
    """The whole of a YAML file, read once; a pipe only where that may be.

    ``display_name`` is how errors name it. InputError where it cannot be read, is not YAML, or is too large
    or nested too deeply.
    """
    import yaml

    label = display_name or str(path)
    text = _text(path, label, may_be_pipe)
    loader_class = _bounded_loader(label)
    try:
        loader = loader_class(text)
        root = loader.get_single_node()
        return _node(loader, root, label, "", itertools.count()) if root else Node(None, label, 1, "")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _not_yaml(label, line, _reason(error.problem)) from None
    except yaml.reader.ReaderError as error:
        reason = f"the character {_code_point(error.character)} is not allowed"
        raise _not_yaml(label, text.count("\n", 0, error.position) + 1, reason) from None
    except yaml.YAMLError as error:
        raise _not_yaml(label, None, _reason(str(error))) from None
    except (ValueError, OverflowError):  # of the scanner, which asks for the character \U00110000
        raise _not_yaml(label, loader.line + 1, "\\U names no character") from None
    except RecursionError:
        raise _not_yaml(label, None, "nested too deeply") from None


def _text(path: str | Path, label: str, may_be_pipe: bool) -> str:
    try:
        return decode_text(read_input(path, MAX_BYTES) if may_be_pipe else read_plain(path, MAX_BYTES), label)
    except FileNotFoundError:
        raise InputError("no such file", path=label, code="missing") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=label, code="unreadable") from None


def _bounded_loader(label: str) -> Any:
    """A SafeLoader class that stops at too deep a nesting, or too many entries, before it has read them."""
    import yaml

    class BoundedLoader(yaml.SafeLoader):
        _depth = _count = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self._depth += 1
            self._count += 1
            if self._count > _MAX_NODES or self._depth > _MAX_DEPTH:
                line = self.peek_event().start_mark.line + 1
                raise (
                    _too_many(label, line)
                    if self._count > _MAX_NODES
                    else _not_yaml(label, line, "nested too deeply")
                )
            node = super().compose_node(parent, index)
            self._depth -= 1
            return node

    return BoundedLoader


def _node(loader: Any, source: Any, label: str, name: str, count: Iterator[int]) -> Node:
    import yaml

    line = source.start_mark.line + 1
    if next(count) > _MAX_NODES:  # an alias (*name) repeats what it names
        raise _too_many(label, line)
    if isinstance(source, yaml.ScalarNode):
        return Node(_scalar(loader, source, Node(None, label, line, name)), label, line, name)
    if source.tag not in _CONTAINERS:
        raise _not_yaml(label, line, f"no tag is known here: {_reason(source.tag)}")
    if isinstance(source, yaml.SequenceNode):
        return Node([_node(loader, item, label, name, count) for item in source.value], label, line, name)
    entries: dict[str, Node] = {}
    for key_node, value_node in source.value:
        key_line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise _not_yaml(label, key_line, "a key must be a word, not a list or a mapping")
        key = str(key_node.value)
        if key in entries:
            message = f"{shortened(key, _MAX_NAME)} stands twice"
            raise InputError(message, path=label, line=key_line, code="twice")
        part = key if len(key) <= _MAX_NAME else key[:_MAX_NAME] + "…"
        entry = _node(loader, value_node, label, f"{name}.{part}" if name else part, count)
        entries[key] = replace(entry, line=key_line)
    return Node(entries, label, line, name)


def _not_yaml(label: str, line: int | None, reason: str) -> InputError:
    return InputError(f"not YAML: {reason}", path=label, line=line, code="YAML")


def _too_many(label: str, line: int) -> InputError:
    return InputError(f"has more than {_MAX_NODES} entries", path=label, line=line, code="too many")


def _scalar(loader: Any, source: Any, node: Node) -> Any:
    """The value of a scalar; InputError for one that cannot be, such as the date 2024-13-45."""
    length = len(source.value)
    if source.tag in _NUMBERS and length > _MAX_DIGITS:
        raise node.refused(f"expected a number of at most {_MAX_DIGITS} characters, found one of {length}")
    try:
        return loader.construct_object(source)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        kind = source.tag.rpartition(":")[2]
        value = shortened(source.value, _MAX_NAME)
        raise node.refused(f"{value} is no valid {kind}; quotes make it a text") from None


def _described(value: Any) -> str:
    if isinstance(value, dict | list) or value is None:
        return Node(value, "", 0, "").kind
    return shortened(value)


def _reason(problem: str | None) -> str:
    """What the library says, on one line and not long: it may quote the file."""
    text = " ".join((problem or "it cannot be read").split())
    return text if len(text) <= 120 else f"{text[:120]}…"


def _code_point(character: int | str | bytes) -> str:
    number = character if isinstance(character, int) else ord(character)
    return f"U+{number:04X}"
