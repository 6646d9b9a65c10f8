"""Switches: bare, with a value, and before a word that is not theirs."""

import pytest

from commands.command_line import CommandParser


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["p"], (False, "p")),
        (["--as-json", "p"], (True, "p")),
        (["p", "--as_json"], (True, "p")),
        (["--as_json", "False", "p"], (False, "p")),
        (["--as_json=off", "p"], (False, "p")),
        (["--as-json", "on", "p"], (True, "p")),
    ],
)
def test_switches(words: list[str], wanted: tuple[bool, str]) -> None:
    parser = CommandParser()
    parser.add_argument("path")
    parser.add_switch("--as_json")
    found = parser.parse_args(words)
    assert (found.as_json, found.path) == wanted
