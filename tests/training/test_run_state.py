"""How far a run is: one rule, whatever a kill, a user or a sweep has left of its folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from training.run_folder import RunFolder
from training.run_state import FINISHED, Stage, latest_valid_checkpoint, read_run_state, remove_saves


def make(folder: Path, scores: bool, marked: bool, **finished: object) -> Path:
    """A run's folder. finished: save's name → what its state says of ``finished``."""
    folder.mkdir()
    (folder / "args.json").write_text("{}", encoding="utf-8")
    if scores:
        (folder / "scores.json").write_text("{}", encoding="utf-8")
    if marked:
        (folder / FINISHED).touch()
    for step, (save, value) in enumerate(reversed(finished.items()), 1):
        (folder / save).mkdir()
        (folder / save / "state.json").write_text(
            json.dumps({"step": step, "finished": value}), encoding="utf-8"
        )
    return folder


@pytest.mark.parametrize(
    ("scores", "marked", "finished", "stage", "step"),
    [
        (False, False, {}, Stage.BEGUN, None),
        (True, False, {"last": False}, Stage.SAVED, 1),
        (True, False, {"last": True}, Stage.TRAINED, 1),
        (True, False, {"last": True, "previous": False}, Stage.TRAINED, 2),
        # Killed between the two renames of a save.
        (True, False, {"previous": False}, Stage.SAVED, 1),
        # Killed between the last save and its scores: resuming writes them.
        (False, False, {"last": True}, Stage.SAVED, 1),
        # Only what a run recorded counts: not that nothing contradicts it.
        (True, False, {}, Stage.LOST, None),
        (True, False, {"last": None}, Stage.SAVED, 1),
        (True, False, {"last": 1}, Stage.SAVED, 1),
        # All saves of a trained run were removed, or a kill left some.
        (True, True, {}, Stage.TRAINED, None),
        (True, True, {"previous": False}, Stage.TRAINED, 1),
        (False, True, {}, Stage.LOST, None),
    ],
)
def test_the_rule(
    tmp_path: Path, scores: bool, marked: bool, finished: dict[str, object], stage: Stage, step: int | None
) -> None:
    state = read_run_state(make(tmp_path / "run", scores, marked, **finished))
    assert (state.stage, state.step) == (stage, step)
    assert state.is_trained is (not state.reason) is (stage is Stage.TRAINED)
    assert state.took_last_step is (marked or next(iter(finished.values()), False) is True)


@pytest.mark.parametrize("name", [None, ".lock", ".lock.held"])
def test_empty(tmp_path: Path, name: str | None) -> None:
    assert read_run_state(tmp_path / "absent").stage is Stage.EMPTY
    if name:
        (tmp_path / name).touch()
    assert read_run_state(tmp_path).stage is Stage.EMPTY


def test_predicted_splits(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", True, False, last=True)
    for name in ("test/RTE.tsv", "dev/RTE.tsv", "dev/RTE.npz", "draft/.RTE.tsv.1.part"):
        path = folder / "predictions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert read_run_state(folder).predicted == ("dev", "test")


def test_a_state_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", True, False, last=True)
    (folder / "last" / "state.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"last/state\.json: not JSON"):
        read_run_state(folder)


def test_a_run_on_its_way(tmp_path: Path) -> None:
    """As the loop writes it; without its saves it stays trained, but only where that was recorded."""
    moments = {"w:moment1": np.arange(3, dtype=np.float32)}
    folder = tmp_path / "run"
    with RunFolder(folder) as run:
        assert read_run_state(folder).stage is Stage.BEGUN
        for step in (1, 2):
            run.save_last(lambda beside: None, {"step": step, "finished": step == 2}, moments)
            run.write_scores("toy", "score", {"main": 1.0}, {"main": 1.0})
            assert read_run_state(folder).stage is (Stage.SAVED, Stage.TRAINED)[step - 1]
            assert read_run_state(folder).step == step
    assert latest_valid_checkpoint(folder).folder == folder / "last"
    (folder / "last" / "state.json").write_text("{}", encoding="utf-8")
    save = latest_valid_checkpoint(folder)
    assert save.folder == folder / "previous"
    assert save.problem is not None
    assert save.problem.path == folder / "last" / "state.json"
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    remove_saves(folder)
    for name in ("last", "previous"):
        assert not (folder / name).exists()
        shutil.rmtree(copy / name)
    assert read_run_state(folder).is_trained
    assert not read_run_state(copy).is_trained
