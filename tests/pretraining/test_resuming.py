"""The command stopped and called again: to the same bytes, or a clear word why not."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest

from common.errors import InputError
from pretraining.run_pretrain import main
from tests.pretraining.runs import SHORT, arguments, contents, interrupt_after, start


def test_a_stopped_run_goes_on_to_the_same_bytes(
    corpus_dir: Path, tiny_folder: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = arguments(corpus_dir, tiny_folder, tmp_path / "out")
    interrupt_after(7, argv, monkeypatch)
    main([*argv, "--resume"])
    assert contents(tmp_path / "out") == contents(finished)


def test_resuming_needs_no_other_flag_than_the_folder(
    corpus_dir: Path, tiny_folder: Path, teacher_folder: Path, tmp_path: Path
) -> None:
    for more in ("", f"--objective distill --teacher {teacher_folder} --pair_weight 0.5"):
        run = tmp_path / ("distill" if more else "rtd")
        main(arguments(corpus_dir, tiny_folder, run, f"{SHORT} {more}"))
        begun = contents(run)
        main(["--resume", "--output_dir", str(run)])
        assert contents(run) == begun
        with pytest.raises(InputError, match=r"begun with recipe\.seed"):
            main(["--resume", "--output_dir", str(run), "--seed", "4"])
        assert contents(run) == begun
    with pytest.raises(InputError, match=r"args\.json: no such file, so there is no run to resume"):
        main(["--resume", "--output_dir", str(tmp_path / "nowhere")])


def test_another_teacher_at_the_same_place_is_noticed(
    corpus_dir: Path, tiny_folder: Path, teacher_folder: Path, tmp_path: Path
) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(teacher_folder, teacher)
    argv = arguments(
        corpus_dir, tiny_folder, tmp_path / "out", f"{SHORT} --objective distill --teacher {teacher}"
    )
    main(argv)
    moved = tmp_path / "moved"
    teacher.rename(moved)  # wherever it lies, it is the same
    main([*argv, "--resume", "--teacher", str(moved)])
    config = json.loads((moved / "config.json").read_text(encoding="utf-8"))
    (moved / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-5}), encoding="utf-8")
    (moved / "manifest.json").unlink()
    with pytest.raises(InputError, match="begun with teacher_sha256"):
        main([*argv, "--resume", "--teacher", str(moved)])


def test_a_run_that_saved_nothing_begins_anew_and_says_so(
    corpus_dir: Path,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = arguments(corpus_dir, tiny_folder, tmp_path / "out")
    interrupt_after(0, argv, monkeypatch)
    assert "begins anew" not in capsys.readouterr().err
    main([*argv, "--resume"])
    assert "out: nothing was saved yet, so this run begins anew" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_runs_go_on_to_the_same_bytes(
    project_dir: Path, corpus_dir: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    settings = SHORT.replace("--max_steps 12 --save_steps 4", "--max_steps 60 --save_steps 3")

    def argv(name: str) -> list[str]:
        return [*arguments(corpus_dir, tiny_folder, tmp_path / name, settings), "--resume"]

    whole = start(project_dir, argv("whole"), tmp_path)
    message, _ = whole.communicate(timeout=600)
    assert whole.returncode == 0, message
    kills = 0
    for _ in range(40):
        killed = start(project_dir, argv("killed"), tmp_path)
        assert killed.stdout is not None
        for line in killed.stdout:  # four evaluations and saves, and it is killed somewhere in the next
            if "dev " in line and f"step {3 * (4 * kills + 4)} " in line:
                time.sleep(0.02 * kills)
                killed.kill()
                kills += 1
                break
        killed.stdout.read()
        if killed.wait() == 0:
            break
        assert killed.returncode == -signal.SIGKILL
    assert kills >= 3
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
