"""What was handed in, what the site answered, and whether a gain is more than noise."""

import json
import re
from pathlib import Path

import pytest

from common.errors import InputError
from common.files import sha256_of
from common.locks import Lock
from glue.tasks import TASKS
from lab import history
from lab.significance import expected_gain
from tests.lab.conftest import FakeTrial
from tests.lab.submissions import ALL, WritePlan, submitted


def run(kept: Path, capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[str, str]:
    """What the command prints: stdout, stderr."""
    capsys.readouterr()
    history.main(["--history", str(kept), *argv])
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_the_history_tells_noise_from_gain(
    runs: Path,
    write_plan: WritePlan,
    fake_trial: FakeTrial,
    sample_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept, data = tmp_path / "history", ("--data_dir", str(sample_dir))
    first = submitted(runs, write_plan(tmp_path, ALL, size=1), sample_dir, "first.zip")
    for task in TASKS:
        fake_trial(runs, f"{task}/base-seed1", 0.76, 11)
        fake_trial(tmp_path / "good", f"{task}/base-seed1", 0.97, 1)
    again = submitted(runs, write_plan(tmp_path, ALL, size=1), sample_dir, "again.zip")
    good = submitted(tmp_path / "good", write_plan(tmp_path, ALL), sample_dir, "good.zip")

    out, err = run(kept, capsys, "--add", str(first), *data)
    assert "number 1" in out
    assert err == ""
    assert (kept / sha256_of(first)[:12] / "submission.zip").read_bytes() == first.read_bytes()
    first.unlink()  # what it keeps is enough
    out, err = run(kept, capsys, "--add", str(again), *data)
    assert "points expected over first.zip" in out
    assert "warning: that gain is within noise" in err
    out, err = run(kept, capsys, "--add", str(good), "--per_day", "3", *data)
    assert "points expected over again.zip" in out
    assert err == ""
    averages = [  # of the gain the manifests' expectations speak, not the rows that chose
        json.loads((tmp_path / f"{name}.manifest.json").read_text("utf-8"))[kind]["leaderboard_average"]
        for kind in ("expected", "dev") for name in ("again", "good")
    ]  # fmt: skip
    expected, dev = (100 * (averages[at + 1] - averages[at]) for at in (0, 2))
    assert abs(expected - dev) > 0.01
    assert out.splitlines()[1].startswith(f"leaderboard average: {expected:+.2f} points expected over")
    assert out.splitlines()[1].endswith(f"on the dev rows that chose {dev:+.2f}")
    low, high = map(float, re.findall(r"interval ([-+.0-9]+) to ([-+.0-9]+)\)", out)[0])
    assert low < expected < high


def test_what_the_site_answered_and_what_is_not_taken(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, data, plan = (
        tmp_path / "history",
        ("--data_dir", str(sample_dir)),
        write_plan(tmp_path, ALL, size=1),
    )
    again = submitted(runs, plan, sample_dir, "again.zip")
    run(kept, capsys, "--add", str(again), *data)
    out, _ = run(
        kept, capsys, "--answer", str(again), "--score", "71.5", "--task_scores", "cola=50", "RTE=60.25"
    )
    assert "71.50 on the test set, expected were" in out
    for file in (kept / sha256_of(again)[:12]).glob("dev-*"):
        file.unlink()
    other = submitted(runs, plan, sample_dir, "other.zip", "--wnli", "trained")
    out, err = run(kept, capsys, "--add", str(other), *data)
    assert "number 2" in out
    assert "warning: not compared with again.zip: " in err
    lines = run(kept, capsys)[0].splitlines()
    assert lines[1].endswith("  cola 50.0, rte 60.25")
    assert [line.split()[2] for line in lines[1:]] == ["71.50", "–"]
    with pytest.raises(InputError, match="was submitted before"):
        run(kept, capsys, "--add", str(again), *data)
    other.write_bytes(again.read_bytes())
    with pytest.raises(InputError, match=r"other\.manifest\.json: is of another other\.zip"):
        run(kept, capsys, "--add", str(other), *data)
    with pytest.raises(SystemExit):
        run(kept, capsys, "--answer", str(again), "--score", "0.715")
    assert "'0.715' is below one percent" in capsys.readouterr().err


def test_the_expected_gain_is_that_of_the_tasks_answered_otherwise(tmp_path: Path) -> None:
    cases = {"then": (0.5, 0.6, "a"), "now": (0.68, 0.9, "b")}
    for name, (rte, cola, answer) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        for task in TASKS.values():
            for split in task.of_kind("dev"):
                (folder / f"dev-{split.submission_file}").write_text(
                    answer if task.name in ("rte", "mnli") else "same", encoding="utf-8"
                )
        tasks = {
            "rte": {"expected": {"main": rte}, "dev": {"main": 0.99}}, "mnli": {"dev": {"main": cola}},
            "cola": {"expected": {"main": cola}},
        }  # fmt: skip
        (folder / "submission.manifest.json").write_text(json.dumps({"tasks": tasks}), encoding="utf-8")
    gain = expected_gain(tmp_path / "then", tmp_path / "now")
    assert gain == pytest.approx((0.18 + 0.3) / 9)  # RTE's, and MNLI's by its dev score; CoLA is as it was
    (tmp_path / "now" / "submission.manifest.json").write_text('{"tasks": {"rte": 5}}', encoding="utf-8")
    assert expected_gain(tmp_path / "then", tmp_path / "now") is None


def test_the_history_takes_whole_hand_ins_one_after_the_other(
    runs: Path, write_plan: WritePlan, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, kept = write_plan(tmp_path, ALL, size=1), tmp_path / "history"
    add = ["--history", str(kept), "--data_dir", str(sample_dir), "--add"]
    one, two = (submitted(runs, plan, sample_dir, name) for name in ("one.zip", "two.zip"))
    with pytest.raises(InputError, match=r"three\.zip: no such file; lab\.submit writes it"):
        history.main([*add, str(tmp_path / "three.zip")])
    dev = tmp_path / "one.predictions" / "dev" / "RTE.tsv"
    content = dev.read_text(encoding="utf-8")
    dev.write_text(content.replace("\tentailment", "\tnot_entailment", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"RTE\.tsv: is not what one\.manifest\.json says"):
        history.main([*add, str(one)])
    dev.unlink()
    with pytest.raises(InputError, match=r"dev/RTE\.tsv: is missing"):
        history.main([*add, str(one)])
    dev.write_text(content, encoding="utf-8")
    kept.mkdir(exist_ok=True)
    lock = Lock(kept / ".lock")
    with pytest.raises(InputError, match="another run is at work there"):
        history.main([*add, str(one)])
    lock.free()
    history.main([*add, str(one)])
    with pytest.raises(InputError, match="was submitted before"):  # the same bytes
        history.main([*add, str(two)])
    two = submitted(runs, plan, sample_dir, "two.zip", "--wnli", "trained")
    history.main([*add, str(two)])
    for archive, score_ in ((one, "94.1"), (two, "84.5"), (one, "74.1")):  # the first was a slip
        history.main(["--history", str(kept), "--answer", str(archive), "--score", score_])
    assert history._best(history.read_events(kept))["zip"] == "two.zip"
    lines = (kept / "history.jsonl").read_text(encoding="utf-8").splitlines()
    for line in (
        '{"event": "handed in", "date": "d", "sha256": "s", "zip": "z"}',
        '{"event": "handed in", "date": "d", "sha256": "s", "zip": "z", "expected": []}',
        '{"event": "handed in", "date": null, "sha256": "s", "zip": "z", "expected": {}}',
        '{"event": "handed in", "date": "d", "sha256": "s", "zip": "z",'
        ' "expected": {"leaderboard_average": "1"}}',
        '{"event": "answered", "date": "d", "sha256": "s", "score": "x"}',
        '{"event": "answered", "date": "d", "sha256": [], "score": 1}',
    ):
        (kept / "history.jsonl").write_text("\n".join([*lines, line, ""]), encoding="utf-8")
        with pytest.raises(InputError, match=rf"history\.jsonl:{len(lines) + 1}: not a line of a history"):
            history.main(["--history", str(kept)])
    with pytest.raises(InputError, match="is no folder"):
        history.main(["--history", str(one)])


@pytest.mark.parametrize(
    ("dates", "limits", "expected"),
    [
        (["2026-12-01T08", "2026-12-01T09"], (2, 6), []),
        (["2026-12-01T08", "2026-12-01T09", "2026-12-01T10"], (2, 6), ["3 submissions this day"]),
        (["2026-11-30T23", "2026-12-01T00", "2025-12-01T10"], (1, 1), []),
        (["2026-12-02T08", "2026-12-03T09", "2026-12-01T10"], (1, 2), ["3 submissions this month"]),
        (["2026-12-01T08", "2026-12-01T09"], (1, 1), ["2 submissions this day", "2 submissions this month"]),
    ],
)
def test_more_submissions_than_the_site_takes_are_warned_of(
    dates: list[str], limits: tuple[int, int], expected: list[str]
) -> None:
    events = [
        {"event": "handed in", "date": f"{date}:00:00Z", "sha256": str(number), "zip": "a.zip"}
        for number, date in enumerate(dates)
    ]
    answer = {"event": "answered", "date": "2026-12-01T11:00:00Z", "sha256": "0", "score": 70}
    warnings = list(history.limit_warnings([*events, answer], "2026-12-01T12:00:00Z", *limits))
    assert [warning.partition(";")[0] for warning in warnings] == expected
