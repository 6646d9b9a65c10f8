"""What stands in a run's folder decides what a new run there may do; damage is found, nothing is lost."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InputError, UsageError
from common.files import write_text
from tests.training.saved_runs import MOMENTS, listing, resumed_step
from training.run_folder import RunFolder
from training.run_log import LOG


def test_resuming_takes_the_last_save(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert resumed_step(folder) == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["weights", "state.json", "optimizer.safetensors", "manifest.json"])
@pytest.mark.parametrize("harm", ["cut", "flipped", "gone"])
def test_a_damaged_save_is_noticed_and_the_one_before_is_used(
    folder: Path, name: str, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "last" / name
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes(content[:-2] if harm == "cut" else flipped)
    assert resumed_step(folder) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"warning: {folder / 'last'}/")
    assert message.endswith(f"going on from {folder / 'previous'}\n")


def test_nothing_is_begun_anew_over_two_damaged_saves(folder: Path) -> None:
    for name in ("last", "previous"):
        (folder / name / "weights").write_text("x", encoding="utf-8")
    before = listing(folder)
    with pytest.raises(InputError, match=r"last/weights: is not what manifest\.json says.*cannot be resumed"):
        RunFolder(folder, resume=True)
    assert listing(folder) == before


def test_nothing_is_begun_anew_over_a_run_without_saves(folder: Path) -> None:
    for name in ("last", "previous"):
        shutil.rmtree(folder / name)
    before = listing(folder)
    with pytest.raises(InputError, match="last: is missing; this run cannot be resumed"):
        RunFolder(folder, resume=True)
    assert listing(folder) == before


def test_a_run_killed_between_the_renames_goes_on_from_the_save_before(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(folder / "previous")
    (folder / "last").rename(folder / "previous")
    (folder / ".last.part").mkdir()
    (folder / "best").rename(folder / ".best.before")
    (folder / ".scores.json.1.ab.part").write_text("{", encoding="utf-8")
    assert resumed_step(folder) == 2
    assert "last is missing; going on from" in capsys.readouterr().err
    assert (folder / "best" / "weights").read_text(encoding="utf-8") == "2"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [".lock"]


@pytest.mark.parametrize("name", [".lock", ".lock.held"])
def test_a_lock_that_was_left_is_nothing_to_go_on_from(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with RunFolder(tmp_path) as run:  # neither resume nor overwrite is needed
        run.write_args({})
        run.add_history({"step": 1, "loss": 9.0})
    (tmp_path / name).touch()
    with RunFolder(tmp_path, overwrite=True) as run:
        assert not run.resumes


def test_a_run_stopped_before_any_save_begins_anew(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as run:
        run.write_args({})
        run.add_history({"step": 1, "loss": 9.0})
    with RunFolder(tmp_path, resume=True) as run:
        assert not run.resumes
        assert not (tmp_path / "history.jsonl").exists()


def test_a_run_killed_between_its_first_best_and_its_first_last_begins_anew(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as run:
        run.write_args({})
        run.save_best(lambda folder: (folder / "weights").touch())
    with RunFolder(tmp_path, resume=True) as run:
        assert not run.resumes


def test_a_new_folder_may_be_resumed_in(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "new", resume=True) as run:
        assert not run.resumes


def test_history_after_the_save_is_forgotten_and_so_are_torn_lines(folder: Path) -> None:
    with open(folder / "history.jsonl", "ab") as file:
        file.write(b'{"step": 3, "loss": 1.0}\n[1]\n{"loss": 2}\n{"step": 2, "lo\xff')
    with RunFolder(folder, resume=True) as run:
        run.cut_history(2)
    assert [
        json.loads(line)["step"]
        for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    ] == [
        1,
        2,
    ]


def test_a_filled_folder_is_kept_unless_told_otherwise(folder: Path) -> None:
    before = listing(folder)
    with pytest.raises(InputError, match="is not empty; give --resume"):
        RunFolder(folder)
    with pytest.raises(UsageError, match="exclude each other"):
        RunFolder(folder, resume=True, overwrite=True)
    assert listing(folder) == before
    with RunFolder(folder, overwrite=True):
        assert set(listing(folder)) == {"train.log", ".lock"}


def test_files_that_the_kind_of_run_declares_are_its_own(folder: Path) -> None:
    answers = folder / "predictions.json"  # as `squad.run_squad --do_predict` leaves it
    answers.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"holds 'predictions\.json'"):
        RunFolder(folder, resume=True)
    assert resumed_step(folder, answers.name) == 2
    with RunFolder(folder, overwrite=True, extra_files=(answers.name,)):
        assert not answers.exists()


@pytest.mark.parametrize("way", ["resume", "overwrite"])
@pytest.mark.parametrize("name", ["best", "predictions"])
def test_folders_of_a_runs_names_without_a_run_are_never_touched(tmp_path: Path, way: str, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(InputError, match=f"holds '{name}' but no args.json, so it is no run's"):
        RunFolder(tmp_path, **{way: True})
    assert listing(tmp_path) == {f"{name}/thesis.txt": b"years of work"}


@pytest.mark.parametrize("harm", ["damaged", "gone"])
def test_a_run_whose_best_model_is_lost_is_not_resumed(folder: Path, harm: str) -> None:
    if harm == "gone":
        shutil.rmtree(folder / "best")
    else:
        (folder / "best" / "weights").write_text("x", encoding="utf-8")
    before = listing(folder)
    with pytest.raises(InputError, match=r"best/.*this run cannot be resumed"):
        RunFolder(folder, resume=True)
    assert listing(folder) == before


@pytest.mark.parametrize("way", ["resume", "overwrite"])
@pytest.mark.parametrize("name", ["thesis.tex", "config.json", "last"])
def test_what_no_run_wrote_is_never_touched(tmp_path: Path, way: str, name: str) -> None:
    (tmp_path / name).write_text("years of work", encoding="utf-8")  # `last` is a run's only as a folder
    with pytest.raises(InputError, match=f"holds '{name}', which no run writes"):
        RunFolder(tmp_path, **{way: True})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize("call", range(9))
def test_a_full_disk_keeps_the_save_before(folder: Path, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever file or folder of a save it hits: weights, moments, state, manifest."""
    before = listing(folder)
    calls = iter(range(100))
    fsync = os.fsync

    def full(handle: int) -> None:
        if next(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with RunFolder(folder, resume=True) as run:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            run.save_last(lambda beside: write_text(beside / "weights", "3"), {"step": 3}, MOMENTS)
    monkeypatch.setattr(os, "fsync", fsync)
    assert listing(folder) == before
    assert resumed_step(folder) == 2


HOLDER = """
import pathlib, sys
from common.locks import Lock
with Lock(pathlib.Path(sys.argv[1]) / ".lock"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_runs_never_share_a_folder(tmp_path: Path, project_dir: Path) -> None:
    argv = [sys.executable, "-c", HOLDER, str(tmp_path)]
    first = subprocess.Popen(
        argv, cwd=project_dir, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert first.stdout is not None
    assert first.stdout.readline() == b"held\n"
    for way in ("resume", "overwrite"):
        with pytest.raises(InputError, match=f"{tmp_path}: another run is at work there"):
            RunFolder(tmp_path, **{way: True})
    assert first.poll() is None
    first.kill()  # however it ends, the folder is free again
    first.wait()
    with RunFolder(tmp_path, resume=True) as run:
        assert not run.resumes
        with pytest.raises(InputError, match="another run is at work there"):
            RunFolder(tmp_path, resume=True)


def test_a_fault_leaves_the_folder_free(folder: Path) -> None:
    (folder / "last" / "weights").write_text("x", encoding="utf-8")
    (folder / "previous" / "weights").write_text("x", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(InputError, match="cannot be resumed"):
            RunFolder(folder, resume=True)


def test_no_name_in_the_log_is_a_command_of_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunFolder(tmp_path / "run"):
        LOG.info("label \x1b[2J\u202e of two\nlines, é")
    log = (tmp_path / "run" / "train.log").read_text(encoding="utf-8")
    for text in (log, capsys.readouterr().err):
        assert "label \\x1b[2J\\u202e of two\nlines, é\n" in text


def test_a_run_of_an_older_version_has_no_amp_dtype_and_no_head_seed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_args({"recipe": {"amp_dtype": "auto"}})
    run.check_args({"recipe": {"amp_dtype": "auto"}}, ["recipe"])  # of SQuAD, which has none
    run.check_args({"recipe": {"amp_dtype": "auto", "head_seed": 0}}, ["recipe"])
    with pytest.raises(InputError, match="head_seed 0, not 7"):
        run.check_args({"recipe": {"amp_dtype": "auto", "head_seed": 7}}, ["recipe"])
    run.write_args({"recipe": {"use_amp": False}})
    run.check_args({"recipe": {"use_amp": False, "amp_dtype": "auto"}}, ["recipe"])
    with pytest.raises(InputError, match="amp_dtype auto, not bfloat16"):
        run.check_args({"recipe": {"use_amp": False, "amp_dtype": "bfloat16"}}, ["recipe"])
