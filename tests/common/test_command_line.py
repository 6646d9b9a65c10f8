"""Flags in their spellings, and what a user sees of a fault: one line and an exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

from common import command_line
from common.command_line import CommandParser, count


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["p"], (False, "p")),
        (["--as-json", "p"], (True, "p")),
        (["p", "--as_json"], (True, "p")),
        (["--as_json", "False", "p"], (False, "p")),
        (["--as_json=off", "p"], (False, "p")),
        (["--as-json", "on", "p"], (True, "p")),
    ],
)
def test_switches(argv: list[str], wanted: tuple[bool, str]) -> None:
    parser = CommandParser()
    parser.add_argument("path")
    parser.add_switch("--as_json")
    result = parser.parse_args(argv)
    assert (result.as_json, result.path) == wanted


def test_wrong_usage_is_two_lines_the_reason_last(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser(prog="python -m a.b")
    parser.add_argument("path", metavar="FILE.json")
    for number in range(50):
        parser.add_argument(f"--flag_{number}", type=int)
    with pytest.raises(SystemExit) as left:
        parser.parse_args(["p", "--flag_7", "x"])
    assert left.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "usage: python -m a.b FILE.json [flags]; --help lists them",
        "error: argument --flag_7: invalid int value: 'x'",
    ]


def test_a_long_or_odd_value_of_a_flag_is_not_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser()
    parser.add_argument("--rows", type=count)
    for value in ("9" * 100_000, "\x1b[2J\n", "\u202e"):
        with pytest.raises(SystemExit):
            parser.parse_args(["--rows", value])
        error = capsys.readouterr().err.splitlines()[-1]
        assert "argument --rows: " in error
        assert len(error) < 3000
        assert error.isprintable()


def ended(project_dir: Path, body: str, **settings: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command whose ``main`` is ``body``."""
    code = f"""
import errno, sys, warnings
from common.command_line import run
from common.errors import InputError, TerminatedError, UsageError
def main(argv=None):
    {body}
run(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project_dir, capture_output=True, encoding="utf-8", **settings
    )  # type: ignore[call-overload]
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("print(1)", (0, "1\n", "")),
        ("return 3", (3, "", "")),
        ("raise InputError('a.tsv:3: bad')", (1, "", "error: a.tsv:3: bad\n")),
        ("raise UsageError('--a and --b')", (2, "", "error: --a and --b\n")),
        ("open('/nowhere/x')", (1, "", "error: /nowhere/x: No such file or directory\n")),
        ("raise KeyboardInterrupt", (130, "", "interrupted\n")),
        ("raise TerminatedError", (143, "", "terminated\n")),
        ("raise OSError('(External) KeyboardInterrupt: \\n at py_layer')", (130, "", "interrupted\n")),
        ("raise ValueError('(External) KeyboardInterrupt')", (130, "", "interrupted\n")),
        ("warnings.warn('all are equal')", (0, "", "warning: all are equal\n")),
        (r"raise InputError('a\x1b[2J\n\u202eb é')", (1, "", "error: a\\x1b[2J\\n\\u202eb é\n")),
        (r"open('/nowhere/\x1b[2J')", (1, "", "error: /nowhere/\\x1b[2J: No such file or directory\n")),
        (r"warnings.warn('a\rb')", (0, "", "warning: a\\rb\n")),
        ("sys.stdout.close(); sys.stdout = None; print(1)", (0, "", "")),
    ],
)
def test_how_commands_end(project_dir: Path, body: str, wanted: tuple[int, str, str]) -> None:
    assert ended(project_dir, body) == wanted


def test_a_very_long_message_is_shortened(project_dir: Path) -> None:
    code, _, err = ended(project_dir, "raise InputError('a.tsv:3: ' + 'x' * 100_000 + ' remedy')")
    assert code == 1
    assert err.startswith("error: a.tsv:3: xxx")
    assert err.endswith("xxx remedy\n")
    assert len(err) < 3000


def test_a_link_to_itself_is_one_line(project_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    code, _, err = ended(
        project_dir, f"import pathlib; pathlib.Path({str(tmp_path / 'loop')!r}).resolve(strict=True)"
    )
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "loop" in err


def test_a_terminal_of_fewer_letters_is_no_reason_to_fail(project_dir: Path) -> None:
    code, out, err = ended(
        project_dir, "print('a\u2026'); raise InputError('\u2026')", env={"PYTHONIOENCODING": "ascii"}
    )
    assert (code, out, err) == (1, "a\\u2026\n", "error: \\u2026\n")


def test_flags_that_fall_back_on_what_was_said_before() -> None:
    def parser() -> CommandParser:
        made = CommandParser()
        made.add_argument("--name", required=True)
        made.add_argument("--place", required=True)
        made.add_argument("--rows", type=count, default=8)
        made.add_argument("--kind", choices=("a", "b"), default="a")
        made.add_switch("--loud")
        return made

    tried = parser()
    assert tried.fall_back_on({"name": "n", "rows": 3, "loud": True, "unknown": 1}) == ["place"]
    assert vars(tried.parse_args([])) == {"name": "n", "place": None, "rows": 3, "kind": "a", "loud": True}
    given = tried.parse_args(["--name", "m", "--rows", "5", "--loud", "false"])
    assert (given.name, given.rows, given.loud) == ("m", 5, False)
    with pytest.raises(ValueError, match="kind 'c' is none of a, b"):
        parser().fall_back_on({"kind": "c"})
    wrong = parser()
    assert wrong.fall_back_on({"rows": "many", "name": None}) == ["name", "place"]
    with pytest.raises(SystemExit):  # read as if it were given
        wrong.parse_args([])


def test_paths_know_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell leaves ``--data_dir=~/glue`` as it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command_line.path("~/glue") == str(tmp_path / "glue")
    assert command_line.path("glue/~x") == "glue/~x"


def test_a_program_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "python").symlink_to(sys.executable)  # as a virtual environment's is
    monkeypatch.chdir(tmp_path)
    assert command_line.program("env/python") == str(tmp_path / "env" / "python")
    assert command_line.program("./env/../env/python") == str(tmp_path / "env" / "python")
    assert command_line.program("python3") == "python3"
    assert command_line.program(sys.executable) == sys.executable


def test_help_begins_with_what_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser(prog="python -m a.b", description="Convert.")
    parser.add_argument("source", metavar="SRC")
    parser.add_argument("--to", required=True, choices=["a", "b"])
    parser.add_argument("--fill", metavar="100%")
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert capsys.readouterr().out.startswith("usage: python -m a.b SRC --to {a,b} [flags]\n\nConvert.\n")


def test_a_flag_that_is_unknown_names_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser(prog="x")
    parser.add_argument("--learning_rate")
    parser.elsewhere = {"--fp16": "--use_amp"}
    with pytest.raises(SystemExit):
        parser.parse_args(["--learning-rat=3", "--fp16", "--nothing-like-it"])
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.endswith("; did you mean --learning_rate?; --fp16 is --use_amp here")
