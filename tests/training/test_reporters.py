"""Curves go where they are asked for; what fails there stops no run."""

import json
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import glue
from common.errors import UsageError
from glue import run_glue
from training.reporters import REPORTERS, Curves
from training.run_folder import RunFolder


def curves_of(folder: Path, report_to: tuple[str, ...] = ()) -> None:
    with RunFolder(folder):
        curves = Curves(folder, report_to)
        curves.add("train/loss", 0.5, 1)
        curves.add("train/loss", 0.25, 2)
        curves.close()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    printed = capsys.readouterr()
    assert printed.out == ""  # where results belong
    return printed.err.splitlines()


def test_a_home_that_visualdl_cannot_write_to_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(logdir: str) -> None:
        raise PermissionError(13, "Permission denied", "/home/me/.visualdl")

    monkeypatch.setitem(sys.modules, "visualdl", SimpleNamespace(LogWriter=refuse))
    curves_of(tmp_path / "run")
    (line,) = lines(capsys)
    assert line.startswith("warning: no curves go to visualdl from here on: [Errno 13] Permission denied")


@pytest.mark.parametrize("name", REPORTERS)
def test_what_is_not_installed_is_a_warning_if_it_was_asked_for(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("visualdl", "tensorboardX", "wandb"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it raises ImportError
    curves_of(tmp_path / "default")
    curves_of(tmp_path / "none", ("none",))
    assert lines(capsys) == []
    curves_of(tmp_path / "named", (name,))
    (line,) = lines(capsys)
    assert line.startswith(f"warning: no curves go to {name} from here on: ")
    assert "pip install " in line


def test_one_that_fails_later_leaves_the_others_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points: list[tuple[str, float, int]] = []

    class Full:
        def __init__(self, logdir: str) -> None: ...

        def add_scalar(self, name: str, value: float, step: int) -> None:
            raise OSError(28, "No space\nleft")

        def close(self) -> None: ...

    class Fine(Full):
        def add_scalar(self, tag: str, value: float, step: int) -> None:
            points.append((tag, value, step))

        def close(self) -> None:
            points.append(("closed", 0, 0))

    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=Full))
    monkeypatch.setitem(sys.modules, "visualdl", SimpleNamespace(LogWriter=Fine))
    curves_of(tmp_path / "run", ("tensorboard", "visualdl"))
    assert points == [("train/loss", 0.5, 1), ("train/loss", 0.25, 2), ("closed", 0, 0)]
    (line,) = lines(capsys)
    assert line == "warning: no curves go to tensorboard from here on: [Errno 28] No space left"


def records(path: Path) -> list[bytes]:
    """The records of a TensorBoard event file: length, its checksum, bytes, their checksum."""
    raw, found = path.read_bytes(), []
    while raw:
        (length,) = struct.unpack("<Q", raw[:8])
        found.append(raw[12 : 12 + length])
        raw = raw[16 + length :]
    return found


def test_tensorboard_where_it_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    curves_of(tmp_path / "run", ("tensorboard",))
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    points = [record for record in records(file) if b"train/loss" in record]
    assert len(points) == 2
    assert all(struct.pack("<f", value) in record for record, value in zip(points, (0.5, 0.25), strict=True))


def test_wandb_offline_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    curves_of(tmp_path / "run", ("wandb",))
    (file,) = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    assert b"train/loss" in file.read_bytes()


def test_of_a_training_several_at_once_and_again_when_it_is_resumed(
    tmp_path: Path, sample_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    settings = {"data_dir": sample_dir, "output_dir": tmp_path / "run", "max_steps": 1}
    glue.fine_tune("rte", "convbert-mini", report_to=("tensorboard", "none"), **settings)
    assert json.loads((tmp_path / "run" / "args.json").read_text("utf-8"))["report_to"] == [
        "tensorboard", "none",
    ]  # fmt: skip
    assert not (tmp_path / "run" / "visualdl").exists()
    capsys.readouterr()
    run_glue.main(["--resume", "--output_dir", str(tmp_path / "run")])
    assert capsys.readouterr().err.count("no curves go to tensorboard") == 1
    with pytest.raises(UsageError):
        glue.fine_tune("rte", "convbert-mini", report_to="paper", **settings)
