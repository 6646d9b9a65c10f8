"""What stands in a run's folder decides what a new run there may do; damage is found, nothing is lost."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import InputError, UsageError
from common.files import write_text
from training.run_folder import RunFolder
from training.run_log import LOG

MOMENTS = {"w:moment1": np.arange(3, dtype=np.float32)}


def save(run: RunFolder, step: int) -> None:
    """A save as the loop makes it, of a model that is one file holding the step."""

    def write_model(folder: Path) -> None:
        (folder / "weights").write_text(str(step), encoding="utf-8")

    run.add_history({"step": step, "loss": 1.0})
    run.save_best(write_model)
    run.save_last(write_model, {"step": step}, MOMENTS)
    run.write_scores("toy", "score", {"main": 1.0}, {"main": 1.0})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that saved after steps 1 and 2."""
    with RunFolder(tmp_path / "run") as run:
        run.write_args({"seed": 1})
        save(run, 1)
        save(run, 2)
    return tmp_path / "run"


def listing(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its bytes; of the log and the lock only that they are there."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): b"" if path.name in ("train.log", ".lock") else path.read_bytes()
        for path in files
    }


def resumed_step(folder: Path, *extra_files: str) -> Any:
    with RunFolder(folder, resume=True, extra_files=extra_files) as run:
        state, moments = run.read_state()
        assert np.array_equal(moments["w:moment1"], MOMENTS["w:moment1"])
        assert (run.source / "weights").read_text(encoding="utf-8") == str(state["step"])
        return state["step"]


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


def test_a_link_to_a_best_model_elsewhere_is_unlinked_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "best").rename(tmp_path / "elsewhere")
    (folder / "best").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with RunFolder(folder, overwrite=True):
        assert set(listing(folder)) == {"train.log", ".lock"}
    assert (tmp_path / "elsewhere" / "weights").is_file()


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


def test_a_best_model_on_another_disk_is_replaced_there(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other disk" / "model"
    elsewhere.parent.mkdir()
    shutil.move(folder / "best", elsewhere)
    (folder / "best").symlink_to(elsewhere)
    for _ in range(2):  # and again, for a run that goes on once more
        with RunFolder(folder, resume=True) as run:
            for step in (3, 4, 5):
                save(run, step)
        assert (folder / "best").readlink() == elsewhere
        assert (elsewhere / "weights").read_text(encoding="utf-8") == "5"
        assert sorted(path.name for path in elsewhere.parent.iterdir()) == ["model"]
        assert resumed_step(folder) == 5


def test_a_run_below_a_link_goes_on(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with RunFolder(tmp_path / "link", resume=True) as run:
        save(run, 3)
        save(run, 4)
    assert resumed_step(folder) == 4


@pytest.mark.parametrize("name", ["last", "previous"])
def test_a_save_that_is_a_link_is_refused_before_the_first_step(
    folder: Path, tmp_path: Path, name: str
) -> None:
    shutil.move(folder / name, tmp_path / "moved")
    (folder / name).symlink_to(tmp_path / "moved")
    before = listing(folder)
    with pytest.raises(InputError, match=f"{name}: is a link, but each save renames"):
        RunFolder(folder, resume=True)
    assert listing(folder) == before
    (folder / name).unlink()
    shutil.move(tmp_path / "moved", folder / name)
    assert resumed_step(folder) == 2


@pytest.mark.parametrize("name", ["train.log", "history.jsonl"])
@pytest.mark.parametrize("kind", ["link", "link to nothing", "second name", "pipe"])
def test_what_somebody_planted_is_not_written_to(folder: Path, tmp_path: Path, name: str, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n", encoding="utf-8")
    (folder / name).unlink()
    if kind == "second name":
        (folder / name).hardlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(victim if kind == "link" else tmp_path / "new")
    with pytest.raises(InputError, match=rf"{name}: (is a link|is a pipe|has a second name)"):
        RunFolder(folder, resume=True)
    assert victim.read_text(encoding="utf-8") == "precious\n"
    assert not (tmp_path / "new").exists()


def test_a_link_planted_while_a_run_is_at_work_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious", encoding="utf-8")
    with RunFolder(folder, resume=True) as run:
        (folder / "history.jsonl").unlink()
        (folder / "history.jsonl").symlink_to(tmp_path / "victim")
        (folder / ".best.part").symlink_to(tmp_path)
        (folder / ".best.before").symlink_to(tmp_path)
        with pytest.raises(InputError, match=r"history\.jsonl: is a link"):
            run.add_history({"step": 3})
        (folder / "history.jsonl").unlink()
        save(run, 3)
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "precious"
    assert resumed_step(folder) == 3


def test_an_output_folder_that_is_a_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"run: is a link to nothing"):
        RunFolder(tmp_path / "run")


@pytest.mark.parametrize("target", ["nowhere", "args.json", "/dev/zero"])
def test_a_best_model_that_is_a_link_to_no_folder(folder: Path, target: str) -> None:
    shutil.rmtree(folder / "best")
    (folder / "best").symlink_to(target)
    with pytest.raises(InputError, match=r"best: is (a link to what is no folder|no folder)|holds 'best'"):
        RunFolder(folder, resume=True)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
@pytest.mark.parametrize("name", ["last/manifest.json", "last/state.json", "best/manifest.json", "args.json"])
def test_what_is_no_plain_file_is_refused_at_once(
    folder: Path, name: str, make: Callable[[Path], object]
) -> None:
    (folder / "previous" / "manifest.json").unlink()
    (folder / name).unlink()
    make(folder / name)
    with (
        pytest.raises(InputError, match=re.escape(name)),
        RunFolder(folder, resume=True) as run,
    ):
        run.check_args({}, [])


def test_no_name_in_the_log_is_a_command_of_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunFolder(tmp_path / "run"):
        LOG.info("label \x1b[2J\u202e of two\nlines, é")
    log = (tmp_path / "run" / "train.log").read_text(encoding="utf-8")
    for text in (log, capsys.readouterr().err):
        assert "label \\x1b[2J\\u202e of two\nlines, é\n" in text


def test_a_best_model_that_is_a_link_into_the_run_is_refused(folder: Path) -> None:
    """The next save would replace what it leads to, and the best model with it."""
    shutil.rmtree(folder / "best")
    (folder / "best").symlink_to("last")
    with pytest.raises(InputError, match="best: is a link into the run's own folder"):
        RunFolder(folder, resume=True)


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
