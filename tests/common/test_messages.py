"""What is printed of values that others wrote: safe, short, soon."""

import pytest

from common.messages import escape_lines, escape_unprintable, shortened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain: é 中文 «…»", "plain: é 中文 «…»"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\nb\rc\td\0", "a\\nb\\rc\\td\\x00"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("\u202etxt.exe\u2028", "\\u202etxt.exe\\u2028"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_no_terminal_takes_it_for_a_command(text: str, expected: str) -> None:
    assert escape_unprintable(text) == expected
    assert escape_lines(f"{text}\n") == expected.replace("\\n", "\n").replace("\\t", "\t") + "\n"


def test_what_is_short_is_written_as_python_does() -> None:
    for value in (None, True, 1, -2.5, "a", "a\x1b", [1, "b"], {"a": [1, {"b": 2}]}, ()):
        assert shortened(value) == repr(value)


def test_what_is_long_is_shortened() -> None:
    shared: list[object] = ["x"] * 9
    for _ in range(30):
        shared = [shared] * 9
    itself: list[object] = []
    itself.append(itself)
    for value in (
        "x" * 10**7,
        10**5000,
        -(10**5000),
        list(range(10**6)),
        shared,
        itself,
        {0: shared},
        b"x" * 10**6,
    ):
        assert 2 < len(shortened(value)) <= 200
    assert len(shortened("abc" * 100, 60)) <= 60
    assert shortened(10**5000) == "a number of some 5001 digits"
