"""Links and planted files in a run's folder: nothing is followed or written to that is not the run's."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import InputError
from tests.training.saved_runs import listing, resumed_step, save
from training.run_folder import RunFolder


def test_a_link_to_a_best_model_elsewhere_is_unlinked_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "best").rename(tmp_path / "elsewhere")
    (folder / "best").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with RunFolder(folder, overwrite=True):
        assert set(listing(folder)) == {"train.log", ".lock"}
    assert (tmp_path / "elsewhere" / "weights").is_file()


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


def test_a_best_model_that_is_a_link_into_the_run_is_refused(folder: Path) -> None:
    """The next save would replace what it leads to, and the best model with it."""
    shutil.rmtree(folder / "best")
    (folder / "best").symlink_to("last")
    with pytest.raises(InputError, match="best: is a link into the run's own folder"):
        RunFolder(folder, resume=True)
