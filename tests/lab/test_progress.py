"""What a sweep shows: on a terminal the table renews itself and leaves nothing but the lines."""

import io
import json
import re
from pathlib import Path

from rich.console import Console

from lab.plan import PlannedCheckpoint, Trial
from lab.progress import Progress
from lab.trial_store import Outcome
from tests.lab.conftest import FakeTrial

TRIALS = [Trial("rte", PlannedCheckpoint("base", "x"), "", seed) for seed in (1, 2, 3)]


def lines_on_screen(written: str) -> list[str]:
    """What stands on a terminal after all that was written: the cursor goes up, lines are erased."""
    lines, row = [""], 0
    for code, text in re.findall(r"(\x1b\[[?\d;]*[A-Za-z]|\r|\n)|([^\x1b\r\n]+)", written):
        if code == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif code.endswith("A"):
            row -= int(code[2:-1])
        elif code == "\x1b[2K":
            lines[row] = ""
        elif not code:
            lines[row] += text
    return [line.rstrip() for line in lines if line.strip()]


def play(progress: Progress, runs: Path, fake_trial: FakeTrial) -> None:
    first, second, third = TRIALS
    progress.began(first)
    progress.refresh()
    progress.began(second)
    history = second.folder(runs) / "history.jsonl"
    history.parent.mkdir(parents=True)
    history.write_text(json.dumps({"step": 7, "evaluation": {"main": 0.625}}) + "\n", encoding="utf-8")
    progress.refresh()
    fake_trial(runs, first.name, 0.8, 1)
    progress.ended(first, Outcome("done", "", 12.0))
    progress.refresh()
    progress.ended(third, Outcome("failed", "no luck"))
    progress.refresh()


def test_on_a_terminal(tmp_path: Path, fake_trial: FakeTrial) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system=None, width=120, legacy_windows=False)
    with Progress(TRIALS, tmp_path, console) as progress:
        play(progress, tmp_path, fake_trial)
        done, failed, head, running, task = lines_on_screen(stream.getvalue())
    assert re.fullmatch(r"\[1/3\] rte/base-seed1: accuracy 0\.\d{4} at step 40 \(12 s\)", done)
    assert failed == "[2/3] rte/base-seed3: failed: no luck"
    assert re.fullmatch(r"3 trials: 1 done, 1 failed; \d+:\d\d min", head)
    assert re.fullmatch(r"  rte/base-seed2 +\d+ s  best 0\.6250  step 7", running)
    assert re.fullmatch(r"  rte    2 of 3, 1 failed; best 0\.\d{4} rte/base-seed1", task)
    assert lines_on_screen(stream.getvalue()) == [done, failed]


def test_elsewhere_there_are_plain_lines(tmp_path: Path, fake_trial: FakeTrial) -> None:
    stream = io.StringIO()
    with Progress(TRIALS, tmp_path, Console(file=stream, width=20, force_terminal=False)) as progress:
        play(progress, tmp_path, fake_trial)
    assert "\x1b" not in stream.getvalue()
    assert [line.split(": ")[0] for line in stream.getvalue().splitlines()] == [
        "rte/base-seed1", "rte/base-seed2", "[1/3] rte/base-seed1", "[2/3] rte/base-seed3"
    ]  # fmt: skip


def test_no_message_is_a_command_of_the_terminal(tmp_path: Path) -> None:
    stream = io.StringIO()
    with Progress(TRIALS, tmp_path, Console(file=stream, force_terminal=False)) as progress:
        progress.ended(TRIALS[0], Outcome("failed", "no \x1b[2J\nluck\r [bold]"))
    assert stream.getvalue() == "[1/3] rte/base-seed1: failed: no \\x1b[2J\\nluck\\r [bold]\n"
