"""The logits beside the predictions: they agree, they are of one checkpoint, or it is said in a line."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.submission.submission_samples import (
    CLASSIFIED,
    FILES,
    ROWS,
    predictions,
    refused,
    tsv,
    write_logits,
)

_TASK = next(task for task, split in FILES if split.submission_file == "RTE.tsv")
_OF_ONE_TASK = [
    name for task, split in FILES for name in [split.submission_file] if len(task.of_kind("test")) > 1
]


def _write_all_logits(folder):
    return {split.submission_file: write_logits(folder, task, split.submission_file) for task, split in FILES}


def test_files_that_agree_with_their_logits_are_packed(folder, packed, capsys):
    _write_all_logits(folder)
    packed()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", _OF_ONE_TASK)
def test_files_of_one_task_must_come_from_one_checkpoint(folder, packed, tmp_path, name):
    _write_all_logits(folder)
    task = next(task for task, split in FILES if split.submission_file == name)
    write_logits(folder, task, name, digest="e" * 64)
    error = refused(packed, tmp_path)
    odd = name if name != _OF_ONE_TASK[0] else _OF_ONE_TASK[1]
    assert (error.path, error.code) == (folder / odd.replace(".tsv", ".npz"), "other checkpoint")
    for part in ("d" * 12, "e" * 12, f"python -m glue.run_predict --task_name {task.name}"):
        assert part in error.message


def test_tasks_may_come_from_different_checkpoints(folder, packed):
    for position, (task, split) in enumerate(FILES):
        write_logits(
            folder,
            task,
            split.submission_file,
            digest="d" if split.submission_file in _OF_ONE_TASK else str(position),
        )
    assert packed().exists()


def test_a_file_without_logits_beside_siblings_that_have_them_is_pointed_out(folder, packed, capsys):
    _write_all_logits(folder)
    (folder / "AX.npz").unlink()
    packed()
    expected_text = "warning: AX.tsv has no .npz beside it: is it of the checkpoint that wrote MNLI-m.npz?\n"
    assert capsys.readouterr().err == expected_text


@pytest.mark.parametrize(
    ("task", "split"), CLASSIFIED, ids=[split.submission_file for _, split in CLASSIFIED]
)
def test_an_edited_label_is_found_whatever_the_checkpoints_label_order(folder, packed, tmp_path, task, split):
    name = split.submission_file
    write_logits(folder, task, name, labels=list(reversed(task.labels)))
    assert packed().exists()
    (tmp_path / "out" / "submission.zip").unlink()
    (tmp_path / "out").rmdir()
    cells = predictions(task, ROWS[name])
    old, cells[3] = cells[3], next(label for label in task.labels if label != cells[3])
    (folder / name).write_text(tsv(cells), encoding="utf-8")
    error = refused(packed, tmp_path)
    assert (error.path, error.line, error.code) == (folder / name, 5, "stale")
    assert error.message.startswith(f"the file says {cells[3]}, but the logits in ")
    assert f"say {old} " in error.message


def _regression():
    return next((task, split.submission_file) for task, split in FILES if task.is_regression)


@pytest.mark.parametrize(
    ("logit", "cell", "agrees"),
    [
        (2.71828, "2.718", True),
        (2.71828, "2.7", False),
        (5.3, "5.000", True),
        (-0.2, "0", True),
        (5.3, "4.9", False),
    ],
)
def test_a_regressions_logits_are_clipped_and_compared_to_three_decimals(
    folder, packed, tmp_path, logit, cell, agrees
):
    task, name = _regression()
    cells = predictions(task, ROWS[name])
    path = write_logits(folder, task, name)
    arrays = dict(np.load(path))
    arrays["logits"][2, 0] = logit
    np.savez(path, **arrays)
    cells[2] = cell
    (folder / name).write_text(tsv(cells), encoding="utf-8")
    if agrees:
        assert packed().exists()
    else:
        error = refused(packed, tmp_path)
        assert (error.path, error.line, error.code) == (folder / name, 4, "stale")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda arrays: arrays.update(logits=arrays["logits"][:-1]), "stale"),
        (lambda arrays: arrays.update(logits=arrays["logits"][:, :1]), "form"),
        (lambda arrays: arrays.update(logits=arrays["logits"].astype(int)), "form"),
        (lambda arrays: arrays.update(labels=np.array(["no", "yes"])), "labels"),
        (lambda arrays: arrays.pop("checkpoint_digest"), "damaged"),
        (lambda arrays: arrays.update(labels=np.array([None, 1], dtype=object)), "damaged"),
        (lambda arrays: arrays.update(logits=arrays["logits"][:, 0]), "form"),
        (lambda arrays: arrays.update(logits=arrays["logits"].astype(complex)), "form"),
        (lambda arrays: arrays.update(logits=arrays["logits"].astype("f4,f4")), "form"),
        (lambda arrays: arrays.update(labels=np.array([0, 1])), "form"),
        (lambda arrays: arrays.update(labels=arrays["labels"][None]), "form"),
        (lambda arrays: arrays.update(labels=np.array(["\x1b[2J", "a\nb"])), "labels"),
        (lambda arrays: arrays.update(checkpoint_digest=np.array(["a", "b"])), "form"),
        (lambda arrays: arrays.update(checkpoint_digest=np.array(7)), "form"),
        (lambda arrays: arrays.update(code_version=np.array(7)), "form"),
    ],
    ids=[
        "rows", "columns", "type", "labels", "no digest", "pickled", "one column", "complex", "structured",
        "label ids", "labels in two rows", "control characters", "two digests", "number as digest",
        "number as version",
    ],
)  # fmt: skip
def test_an_npz_that_does_not_fit(folder, packed, tmp_path, change, code):
    path = write_logits(folder, _TASK, "RTE.tsv")
    arrays = dict(np.load(path))
    change(arrays)
    np.savez(path, **arrays)
    error = refused(packed, tmp_path)
    assert (error.path, error.code) == (folder / "RTE.tsv" if code == "stale" else path, code)
    assert str(error).isprintable()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("task", "split"), FILES, ids=[split.submission_file for _, split in FILES])
def test_logits_that_are_no_finite_numbers(folder, packed, tmp_path, task, split, value):
    path = write_logits(folder, task, split.submission_file)
    arrays = dict(np.load(path))
    arrays["logits"][3, -1] = value
    np.savez(path, **arrays)
    error = refused(packed, tmp_path)
    assert (error.path, error.code) == (path, "not finite")
    assert "row 3" in error.message


def _npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _zip(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in members.items():
            archive.writestr(name.replace("_npy", ".npy"), raw)
    return file.getvalue()


_HUGE = _npy(np.zeros((15, 2), np.float32)).replace(b"(15, 2)", b"(9999999999999, 2)".ljust(7))
_NO_NPZ = {
    "empty": b"",
    "cut short": b"PK\x03\x04 no zip",
    "no array": b"\x93NUMPY",
    "an .npy": _npy(np.zeros((15, 2), np.float32)),
    "text": b"index\tprediction\n",
    "a zip of other things": _zip(notes=b"none"),
    "members that are no arrays": _zip(logits=b"1", labels=b"2", checkpoint_digest=b"3"),
    "members named as arrays": _zip(logits_npy=b"1", labels_npy=b"2", checkpoint_digest_npy=b"3"),
    "rows beyond any memory": _zip(logits_npy=_HUGE, labels_npy=_npy(["a", "b"])),
    "a header of nonsense": _zip(logits_npy=b"\x93NUMPY\1\0\x10\0" + b"{'descr': '<f4'(" + bytes(99)),
    "words of no characters": _zip(
        logits_npy=_npy(np.zeros((15, 2), np.float32)),
        labels_npy=_npy(np.array(["a", "b"])).replace(b"b\0\0\0", b"\xff" * 4),
        checkpoint_digest_npy=_npy(np.array("d")),
    ),
    "a bomb": _zip(logits_npy=bytes(65 << 20)),
    "an endless header": _zip(logits_npy=b"\x93NUMPY\1\0\xff\xff" + b"(" * 70_000),
}


@pytest.mark.parametrize("raw", _NO_NPZ.values(), ids=_NO_NPZ)
def test_a_file_that_is_no_npz(folder, packed, tmp_path, raw):
    path = folder / "RTE.npz"
    path.write_bytes(raw)
    error = refused(packed, tmp_path)
    assert (error.path, error.code) == (path, "damaged")
    assert error.message.isprintable()
    assert len(error.message) < 200
    assert "allow_pickle" not in error.message


class _Trap:
    """A pickle of this makes a folder when it is read."""

    def __init__(self, folder):
        self._folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self._folder),)


@pytest.mark.parametrize("name", ["logits", "labels", "checkpoint_digest", ""])
def test_a_pickle_is_refused_and_runs_nothing(folder, packed, tmp_path, name):
    trap = tmp_path / "sprung"
    path = write_logits(folder, _TASK, "RTE.tsv")
    if name:
        np.savez(path, **{**np.load(path), name: np.array([_Trap(trap)], dtype=object)})
    else:
        path.write_bytes(pickle.dumps(_Trap(trap)))
    error = refused(packed, tmp_path)
    assert (error.path, error.code) == (path, "damaged")
    assert error.message.isprintable()
    assert not trap.exists()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_in_the_place_of_an_npz(folder, packed, tmp_path, make):
    path = folder / "RTE.npz"
    make(path)
    error = refused(packed, tmp_path)
    assert (error.path, error.code) == (path, "missing")


def test_a_digest_of_control_characters_is_shown_without_them(folder, packed, tmp_path):
    for task, split in FILES:
        digest = "\x1b[2J" if split.submission_file == _OF_ONE_TASK[-1] else "d" * 64
        write_logits(folder, task, split.submission_file, digest=digest)
    error = refused(packed, tmp_path)
    assert r"\x1b[2J" in error.message
    assert error.message.isprintable()
