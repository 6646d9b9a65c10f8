"""submission.pack: the same bytes anywhere, nothing on failure, and no file of another checkpoint."""

import hashlib
import os
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest

from commands.errors import InputError
from submission import check, pack
from tests.submission.hand_in_samples import (
    CLASSIFIED,
    FILES,
    NAMES,
    ROWS,
    predictions,
    tsv,
    write_logits,
)

_EACH_FILE = pytest.mark.parametrize(("task", "split"), FILES, ids=NAMES)
_OF_ONE_TASK = [name for task, split in FILES for name in [split.hand_in] if len(task.of_kind("test")) > 1]


@pytest.fixture
def packed(folder, data_dir, tmp_path):
    """Pack ``folder`` with more flags; the zip's path."""

    def run(*flags):
        output = tmp_path / "out" / "submission.zip"
        pack.main(
            ["--predictions", str(folder), "--output", str(output), "--data_dir", str(data_dir), *flags]
        )
        return output

    return run


def _refused(packed, tmp_path, *flags):
    """The message of a refusal, after which nothing lies where the zip would."""
    with pytest.raises(InputError) as error:
        packed(*flags)
    assert not (tmp_path / "out").exists()
    return str(error.value)


def test_the_zip_holds_the_files_as_they_are_and_passes_the_check(folder, packed, data_dir, capsys):
    output = packed()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == str(output)
    assert [line.split()[:3] for line in printed[1:]] == [["OK", name, str(ROWS[name])] for name in NAMES]
    with zipfile.ZipFile(output) as archive:
        assert archive.namelist() == NAMES
        assert all(archive.read(name) == (folder / name).read_bytes() for name in NAMES)
        assert archive.testzip() is None
    check.main([str(output), "--data_dir", str(data_dir)])


def test_the_same_files_give_the_same_bytes_whenever_and_however_they_were_written(folder, packed):
    first = packed().read_bytes()
    for place, name in enumerate(reversed(NAMES)):
        raw = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).write_bytes(raw)
        (folder / name).chmod(0o600)
        os.utime(folder / name, (time.time() - 86400 * place,) * 2)
    (folder / "notes.txt").write_text("not part of it")
    assert packed().read_bytes() == first


def _zip_by_hand(folder):
    """The zip as PKWARE's APPNOTE 6.3 lays it out (sections 4.3.7, 4.3.12, 4.3.16): stored, 1980-01-01."""
    bodies, directory = b"", b""
    for name in NAMES:
        raw = (folder / name).read_bytes()
        sizes = (zlib.crc32(raw), len(raw), len(raw), len(name), 0)
        needed = (20, 0, 0, 0, 0x21)  # version 2.0, no flags, stored, 0:00, first day
        placed = (0, 0, 0, 0o100644 << 16, len(bodies))  # no comment, disk 0, mode, where its body starts
        made_by = 3 << 8 | 20  # on Unix, version 2.0
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", made_by, *needed, *sizes, *placed) + name.encode()
        bodies += struct.pack("<4s5H3I2H", b"PK\3\4", *needed, *sizes) + name.encode() + raw
    count = len(NAMES)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), len(bodies), 0)
    return bodies + directory + end


def test_every_byte_of_the_zip_is_as_the_format_says_and_nothing_of_this_machine(folder, packed):
    raw = packed().read_bytes()
    assert raw == _zip_by_hand(folder)
    # made once with Python 3.11.7
    assert (
        hashlib.sha256(raw).hexdigest() == "ba8479063c696e2f2abb6072b859bc9d2dfc6fe35854b6cb9175917f26a058a6"
    )


def test_entries_are_stored_with_a_fixed_date_and_mode(packed):
    with zipfile.ZipFile(packed()) as archive:
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert (entry.create_system, entry.external_attr >> 16) == (3, 0o100644)
            assert (entry.flag_bits, entry.extra, entry.comment) == (0, b"", b"")


@_EACH_FILE
def test_a_missing_file_is_named_with_the_remedy(folder, packed, tmp_path, task, split):
    (folder / split.hand_in).unlink()
    message = _refused(packed, tmp_path)
    assert message.startswith(
        f"{folder}: missing: {split.hand_in}; write them with python -m glue.run_predict"
    )
    assert f"(tasks: {task.name}), or add --fill_missing majority" in message


def test_files_missing_of_one_task_name_it_once(folder, packed, tmp_path):
    for name in _OF_ONE_TASK:
        (folder / name).unlink()
    message = _refused(packed, tmp_path)
    assert "missing: MNLI-m.tsv, MNLI-mm.tsv, AX.tsv;" in message
    assert "(tasks: mnli)" in message


@_EACH_FILE
def test_a_missing_file_is_filled_when_asked_and_the_output_says_with_what(
    folder, packed, data_dir, capsys, task, split
):
    name = split.hand_in
    (folder / name).unlink()
    output = packed("--fill_missing", "majority")
    [line] = [line for line in capsys.readouterr().out.splitlines() if name in line]
    assert line.endswith(f"{ROWS[name]} rows  was missing: every row filled with {task.majority}")
    with zipfile.ZipFile(output) as archive:
        assert archive.read(name).decode() == tsv([task.majority] * ROWS[name])
    check.main([str(output), "--data_dir", str(data_dir)])
    assert not (folder / name).exists()


def test_filling_without_data_uses_the_official_row_counts(tmp_path, capsys):
    empty = tmp_path / "none"
    empty.mkdir()
    output = tmp_path / "s.zip"
    pack.main(["--predictions", str(empty), "--output", str(output), "--fill_missing", "majority"])
    capsys.readouterr()
    check.main([str(output)])
    lines = capsys.readouterr().out.splitlines()
    assert [(line.split()[1], int(line.split()[2])) for line in lines] == [
        (split.hand_in, split.rows) for _, split in FILES
    ]


@_EACH_FILE
def test_what_the_check_refuses_is_not_packed(folder, packed, tmp_path, capsys, task, split):
    cells = predictions(task, ROWS[split.hand_in])
    (folder / split.hand_in).write_text(tsv([*cells[:3], "maybe", *cells[4:]]))
    for flags in ((), ("--fill_missing", "majority")):
        message = _refused(packed, tmp_path, *flags)
        assert message.startswith(f"{folder}: {split.hand_in}:5: ")
        assert message.endswith("; nothing was written")
        assert f"ERROR    {split.hand_in}" in capsys.readouterr().err


def test_a_misnamed_file_is_not_filled_over(folder, packed, tmp_path):
    (folder / "RTE.tsv").rename(folder / "rte.tsv")
    message = _refused(packed, tmp_path, "--fill_missing", "majority")
    assert "RTE.tsv is missing; found rte.tsv: the wanted name is RTE.tsv" in message


def test_a_failure_leaves_an_older_zip_as_it_was(folder, packed, tmp_path, monkeypatch):
    output = packed()
    before = output.read_bytes()
    (folder / "AX.tsv").unlink()
    with pytest.raises(InputError):
        packed()
    assert output.read_bytes() == before

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
    with pytest.raises(OSError, match="disk full"):
        packed("--fill_missing", "majority")
    assert output.read_bytes() == before
    assert list(output.parent.iterdir()) == [output]


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(InputError, match="no such folder; --predictions names"):
        pack.main(["--predictions", str(tmp_path / "x"), "--output", str(tmp_path / "s.zip")])
    assert list(tmp_path.iterdir()) == []


# The logits beside the predictions


def _write_all_logits(folder):
    return {split.hand_in: write_logits(folder, task, split.hand_in) for task, split in FILES}


def test_files_that_agree_with_their_logits_are_packed(folder, packed, capsys):
    _write_all_logits(folder)
    packed()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", _OF_ONE_TASK)
def test_files_of_one_task_must_come_from_one_checkpoint(folder, packed, tmp_path, name):
    _write_all_logits(folder)
    task = next(task for task, split in FILES if split.hand_in == name)
    write_logits(folder, task, name, digest="e" * 64)
    message = _refused(packed, tmp_path)
    assert message.startswith(f"{folder}/")
    assert "predicted by checkpoint" in message
    assert name.replace(".tsv", ".npz") in message or name == _OF_ONE_TASK[0]
    assert "d" * 12 in message
    assert "e" * 12 in message
    assert message.endswith(f"python -m glue.run_predict --task_name {task.name}")


def test_tasks_may_come_from_different_checkpoints(folder, packed):
    for place, (task, split) in enumerate(FILES):
        write_logits(folder, task, split.hand_in, digest="d" if split.hand_in in _OF_ONE_TASK else str(place))
    assert packed().exists()


def test_a_file_without_logits_beside_siblings_that_have_them_is_pointed_out(folder, packed, capsys):
    _write_all_logits(folder)
    (folder / "AX.npz").unlink()
    packed()
    said = "warning: AX.tsv has no .npz beside it: is it of the checkpoint that wrote MNLI-m.npz?\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(("task", "split"), CLASSIFIED, ids=[split.hand_in for _, split in CLASSIFIED])
def test_an_edited_label_is_found_whatever_the_checkpoints_label_order(folder, packed, tmp_path, task, split):
    name = split.hand_in
    write_logits(folder, task, name, labels=list(reversed(task.labels)))
    assert packed().exists()
    (tmp_path / "out" / "submission.zip").unlink()
    (tmp_path / "out").rmdir()
    cells = predictions(task, ROWS[name])
    old, cells[3] = cells[3], next(label for label in task.labels if label != cells[3])
    (folder / name).write_text(tsv(cells))
    message = _refused(packed, tmp_path)
    npz = name.replace(".tsv", ".npz")
    expected = f"{folder / name}:5: the file says {cells[3]}, but the logits in {npz} say {old} (1 such rows)"
    assert message.startswith(expected)


def _regression():
    return next((task, split.hand_in) for task, split in FILES if task.is_regression)


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
    (folder / name).write_text(tsv(cells))
    if agrees:
        assert packed().exists()
    else:
        assert f"{name}:4: the file says {cell}, but the logits in" in _refused(packed, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.update(logits=arrays["logits"][:-1]), "rows, but RTE.npz has"),
        (lambda arrays: arrays.update(logits=arrays["logits"][:, :1]), r"logits of shape \(15, 1\) and type"),
        (lambda arrays: arrays.update(logits=arrays["logits"].astype(int)), "and type int64 do not fit"),
        (lambda arrays: arrays.update(labels=np.array(["no", "yes"])), "expected the labels entailment"),
        (lambda arrays: arrays.pop("checkpoint_digest"), "checkpoint_digest is not a file in the archive"),
        (lambda arrays: arrays.update(labels=np.array([None, 1], dtype=object)), "not a whole .npz"),
    ],
    ids=["rows", "columns", "type", "labels", "no digest", "pickled"],
)  # fmt: skip
def test_an_npz_that_does_not_fit(folder, packed, tmp_path, change, message):
    task = next(task for task, split in FILES if split.hand_in == "RTE.tsv")
    path = write_logits(folder, task, "RTE.tsv")
    arrays = dict(np.load(path))
    change(arrays)
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message) as error:
        packed()
    assert "RTE." in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04 no zip", b"\x93NUMPY"])
def test_a_damaged_npz(folder, packed, tmp_path, raw):
    (folder / "RTE.npz").write_bytes(raw)
    assert _refused(packed, tmp_path).startswith(f"{folder / 'RTE.npz'}: not a whole .npz (")
