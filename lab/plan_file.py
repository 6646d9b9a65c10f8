"""YAML → nodes that know where they stand, so that whatever is wrong is said with file, line and key."""

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.errors import InputError
from commands.text import read_text

_MOST_NODES = 100_000


@dataclass(frozen=True)
class Node:
    """A value of a plan. value: a scalar, a list of nodes, or a dict of nodes by key.

    place: ``FILE:LINE``. name: the keys that lead here, joined by dots; empty for the whole file.
    """

    value: Any
    place: str
    name: str

    def wrong(self, expected: str) -> InputError:
        """The error for a value that is not what was expected."""
        return InputError(f"{self.place}: {self._named}expected {expected}, found {_described(self.value)}")

    def refused(self, why: str) -> InputError:
        """The error for a value of the right form that cannot be taken."""
        return InputError(f"{self.place}: {self._named}{why}")

    @property
    def _named(self) -> str:
        return f"{self.name}: " if self.name else ""

    def fields(self, allowed: Collection[str]) -> dict[str, "Node"]:
        """The entries of a mapping whose keys are known; nothing at all counts as an empty one."""
        found = self.entries()
        for key, node in found.items():
            if key not in allowed:
                where = f"{self.name}: " if self.name else ""
                raise InputError(f"{node.place}: {where}unknown key {key!r}; known: {', '.join(allowed)}")
        return found

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


def read_nodes(path: str | Path, shown: str = "") -> Node:
    """The whole of a YAML file. shown: how errors name it (default: its path)."""
    import yaml

    shown = shown or str(path)
    try:
        loader = yaml.SafeLoader(read_text(path))
        root = loader.get_single_node()
        if root is None:
            return Node(None, f"{shown}:1", "")
        return _node(loader, root, shown, "", itertools.count())
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{shown}: no such plan file") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{shown}{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{shown}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InputError(f"{shown}: not YAML: nested too deeply") from None


def _node(loader: Any, found: Any, shown: str, name: str, count: Iterator[int]) -> Node:
    import yaml

    place = f"{shown}:{found.start_mark.line + 1}"
    if next(count) > _MOST_NODES:  # an alias (*name) repeats what it names
        raise InputError(f"{place}: has more than {_MOST_NODES} entries")
    if isinstance(found, yaml.SequenceNode):
        return Node([_node(loader, item, shown, name, count) for item in found.value], place, name)
    if not isinstance(found, yaml.MappingNode):
        try:
            return Node(loader.construct_object(found), place, name)
        except ValueError as error:  # such as the date 2024-13-45
            raise InputError(f"{place}: not YAML: {error}") from None
    entries: dict[str, Node] = {}
    for key_node, value_node in found.value:
        key = str(key_node.value)
        if key in entries:
            raise InputError(f"{shown}:{key_node.start_mark.line + 1}: {key!r} stands twice")
        entry = _node(loader, value_node, shown, f"{name}.{key}" if name else key, count)
        entries[key] = Node(entry.value, f"{shown}:{key_node.start_mark.line + 1}", entry.name)
    return Node(entries, place, name)


def _described(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "nothing" if value is None else repr(value)
