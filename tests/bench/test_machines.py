"""The matrix of machines: what is run, what had no effect here, the table and the exit code."""

from pathlib import Path

import pytest

from bench import machines
from bench.machines import Result, main, table
from common.errors import InputError, UsageError

TESTS = """
import os

def test_right():
    pass

def test_of_the_threads():
    assert os.environ.get("PLANTED") != "fault"

def test_skipped():
    import pytest
    pytest.skip("here")
"""


@pytest.fixture
def tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of tests, one of which fails under the setting ``fault``; ``idle`` changes nothing."""
    settings = {"harmless": {"PLANTED": "other"}, "fault": {"PLANTED": "fault"}, "idle": {"UNHEARD_OF": "1"}}
    settings["crash"] = {"PLANTED": "crash"}
    combinations = {"own": (), "good": ("harmless", "idle"), "bad": ("fault",), "none": ("idle", "crash")}
    monkeypatch.setattr(machines, "SETTINGS", settings)
    monkeypatch.setattr(machines, "COMBINATIONS", combinations)
    monkeypatch.setattr(machines, "SHORT", "good")
    # What is computed depends on the planted variable alone; with one of its values it is an instruction
    # that this processor does not have.
    monkeypatch.setattr(
        machines, "_PROBE", "import os; p = os.environ.get('PLANTED'); p == 'crash' and os.abort(); print(p)"
    )
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # which take longer than these tests
    machines._computed.cache_clear()
    (tmp_path / "test_planted.py").write_text(TESTS, encoding="utf-8")
    yield str(tmp_path / "test_planted.py")
    machines._computed.cache_clear()


def rows(text: str) -> dict[str, list[str]]:
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: row[1:] for row in cells[1:]}


def test_every_combination_has_its_row_and_a_failing_one_ends_in_an_error(
    tests: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="tests failed"):
        main(["--tests", tests, "--output_dir", str(tmp_path / "logs")])
    text = capsys.readouterr().out
    result = rows(text)
    assert list(result) == ["own", "good", "bad", "none"]
    assert result["own"][:4] == ["the machine's own", "–", "2", "0"]
    assert result["good"][:4] == ["harmless, idle", "idle", "2", "0"]
    assert result["bad"][:4] == ["fault", "–", "1", "1"]
    assert result["none"] == ["idle, crash", "idle, crash", "not run", "not run", "not run"]
    assert "bad: FAILED" in text
    assert "test_of_the_threads" in text
    assert "AssertionError" in (tmp_path / "logs" / "bad.log").read_text(encoding="utf-8")


def test_what_is_kept_is_not_run_again(
    tests: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--tests", tests, "--output_dir", str(tmp_path / "logs")]
    main([*argv, "--short"])
    first = rows(capsys.readouterr().out)
    assert list(first) == ["good"]
    (tmp_path / "logs" / "good.log").unlink()
    main([*argv, "--only", "own", "good", "--resume"])
    second = rows(capsys.readouterr().out)
    assert list(second) == ["own", "good"]
    assert second["good"] == first["good"]
    assert not (tmp_path / "logs" / "good.log").exists()
    with pytest.raises(InputError, match="pytest ended with"):  # of other tests nothing is kept
        main(["--tests", f"{tests}.none", *argv[2:], "--only", "good", "--resume"])


def test_a_matrix_without_effect_tested_nothing(tests: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing was tested"):
        main(["--tests", tests, "--output_dir", str(tmp_path / "logs"), "--only", "none"])
    with pytest.raises(UsageError, match="exclude each other"):
        main(["--short", "--only", "own"])


def test_the_table_is_markdown() -> None:
    results = [
        Result("own", (), (), 12, 0, 3.4),
        Result("old", ("SSE4.2",), (), 11, 1, 7.6, ("tests/a::test_b",)),
    ]
    assert table(results) == [
        "| combination | settings | no effect on this machine | passed | failed | seconds |",
        "|---|---|---|---|---|---|",
        "| own | the machine's own | – | 12 | 0 | 3 |",
        "| old | SSE4.2 | – | 11 | 1 | 8 |",
        "old: FAILED tests/a::test_b",
    ]


@pytest.mark.long
def test_the_combinations_are_made_of_settings_of_which_some_have_an_effect() -> None:
    assert all(setting in machines.SETTINGS for name in machines.COMBINATIONS.values() for setting in name)
    assert machines.SHORT in machines.COMBINATIONS
    assert all((machines.PROJECT / folder).is_dir() for folder in machines.COMPUTING)
    assert machines.has_effect("nothing compiled") or machines.has_effect("1 thread")
