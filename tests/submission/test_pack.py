"""submission.pack: the same bytes anywhere, nothing on failure, and no file of another checkpoint."""

import errno
import hashlib
import json
import os
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest

from common.errors import InputError, UsageError
from submission import check, pack
from tests.submission.submission_samples import (
    EACH_FILE,
    FILES,
    NAMES,
    ROWS,
    predictions,
    refused,
    tsv,
    write_logits,
)

_OF_ONE_TASK = [
    name for task, split in FILES for name in [split.submission_file] if len(task.of_kind("test")) > 1
]


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
    for position, name in enumerate(reversed(NAMES)):
        raw = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).write_bytes(raw)
        (folder / name).chmod(0o600)
        os.utime(folder / name, (time.time() - 86400 * position,) * 2)
    (folder / "notes.txt").write_text("not part of it", encoding="utf-8")
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


@EACH_FILE
def test_a_missing_file_is_named_with_the_remedy(folder, packed, tmp_path, task, split):
    (folder / split.submission_file).unlink()
    message = str(refused(packed, tmp_path))
    assert message.startswith(
        f"{folder}: missing: {split.submission_file}; write them with python -m glue.run_predict"
    )
    assert f"(tasks: {task.name}) or add --fill_missing majority" in message


def test_files_missing_of_one_task_name_it_once(folder, packed, tmp_path):
    for name in _OF_ONE_TASK:
        (folder / name).unlink()
    message = str(refused(packed, tmp_path))
    assert "missing: MNLI-m.tsv, MNLI-mm.tsv, AX.tsv;" in message
    assert "(tasks: mnli)" in message


@EACH_FILE
def test_a_missing_file_is_filled_when_asked_and_the_output_says_with_what(
    folder, packed, data_dir, capsys, task, split
):
    name = split.submission_file
    (folder / name).unlink()
    output = packed("--fill_missing", "majority")
    [line] = [line for line in capsys.readouterr().out.splitlines() if name in line]
    assert line.endswith(f"{ROWS[name]} rows  was missing: every row filled with {task.majority}")
    with zipfile.ZipFile(output) as archive:
        assert archive.read(name).decode() == tsv([task.majority] * ROWS[name])
    assert line.startswith("FILLED ")
    check.main([str(output), "--data_dir", str(data_dir)])
    assert not (folder / name).exists()


def test_what_the_manifest_calls_filled_is_no_failed_training(folder, packed, data_dir):
    for name in ("RTE.tsv", "CoLA.tsv"):
        (folder / name).unlink()
    (folder / "QNLI.tsv").write_text(tsv(["entailment"] * ROWS["QNLI.tsv"]), encoding="utf-8")
    output = packed("--fill_missing", "majority", "--manifest")

    def states():
        return {report.name: report.status for report in check.check(output, data_dir)}

    assert {name for name, state in states().items() if state == "FILLED"} == {"RTE.tsv", "CoLA.tsv"}
    assert states()["QNLI.tsv"] == "WARNING"
    with zipfile.ZipFile(output, "a") as archive:  # another zip than the manifest's
        archive.comment = b"changed"
    assert {states()["RTE.tsv"], states()["CoLA.tsv"]} == {"WARNING"}


def test_filling_without_data_uses_the_official_row_counts(tmp_path, capsys):
    empty = tmp_path / "none"
    empty.mkdir()
    output = tmp_path / "s.zip"
    pack.main(["--predictions", str(empty), "--output", str(output), "--fill_missing", "majority"])
    capsys.readouterr()
    check.main([str(output)])
    lines = capsys.readouterr().out.splitlines()
    assert [(line.split()[1], int(line.split()[2])) for line in lines] == [
        (split.submission_file, split.rows) for _, split in FILES
    ]


@EACH_FILE
def test_what_the_check_refuses_is_not_packed(folder, packed, tmp_path, capsys, task, split):
    cells = predictions(task, ROWS[split.submission_file])
    (folder / split.submission_file).write_text(tsv([*cells[:3], "maybe", *cells[4:]]), encoding="utf-8")
    for flags in ((), ("--fill_missing", "majority")):
        message = str(refused(packed, tmp_path, *flags))
        assert message.startswith(f"{folder}: {split.submission_file}:5: ")
        assert message.endswith("; nothing was written")
        assert f"ERROR    {split.submission_file}" in capsys.readouterr().err


def test_a_misnamed_file_is_not_filled_over(folder, packed, tmp_path):
    (folder / "RTE.tsv").rename(folder / "rte.tsv")
    message = str(refused(packed, tmp_path, "--fill_missing", "majority"))
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
    with pytest.raises(InputError, match=r"submission\.zip: cannot be written \(disk full\)"):
        packed("--fill_missing", "majority")
    assert output.read_bytes() == before
    assert list(output.parent.iterdir()) == [output]


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(InputError, match="no such folder; --predictions names"):
        pack.main(["--predictions", str(tmp_path / "x"), "--output", str(tmp_path / "s.zip")])
    assert list(tmp_path.iterdir()) == []


# Where the zip goes


def _pack_to(folder, data_dir, output):
    pack.main(["--predictions", str(folder), "--output", str(output), "--data_dir", str(data_dir)])


@pytest.mark.parametrize("name", ["CoLA.tsv", "CoLA.npz", "", "submission", ".zip", "s.zip.tsv"])
def test_the_output_must_be_named_as_a_zip(folder, data_dir, name):
    write_logits(folder, FILES[0][0], "CoLA.tsv")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError, match=r"--output .*: give a name that ends in \.zip"):
        _pack_to(folder, data_dir, folder / name)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_wrong_name_is_wrong_usage(folder, data_dir, run_module):
    argv = ("--predictions", folder, "--output", folder / "CoLA.tsv", "--data_dir", data_dir)
    done = run_module("submission.pack", *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --output {folder}/CoLA.tsv: give a name that ends in .zip\n"


def test_a_zip_beside_the_predictions_is_in_nobodys_way(folder, data_dir, capsys):
    packed = []
    for _ in range(2):
        _pack_to(folder, data_dir, folder / "submission.ZIP")
        packed.append((folder / "submission.ZIP").read_bytes())
    assert packed[0] == packed[1]
    for path in (folder, folder / "submission.ZIP"):
        capsys.readouterr()
        check.main([str(path), "--data_dir", str(data_dir), "--json"])
        report = json.loads(capsys.readouterr().out)
        assert report["ok"]
        assert len(report["files"]) == 11


def _link(path):
    path.symlink_to("nowhere")


def _link_above(path):
    path.parent.rmdir()
    path.parent.symlink_to("nowhere")


def _file_above(path):
    path.parent.rmdir()
    path.parent.write_text("in the way", encoding="utf-8")


@pytest.mark.parametrize("obstacle", [Path.mkdir, _link, _link_above, _file_above])
def test_a_place_where_no_zip_can_be_written(folder, data_dir, tmp_path, obstacle):
    output = tmp_path / "out" / "s.zip"
    output.parent.mkdir()
    obstacle(output)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as error:
        _pack_to(folder, data_dir, output)
    assert str(error.value).startswith(f"{output}: ")
    assert str(error.value).endswith("; name another file with --output")
    assert ".part" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_may_not_be_written_to(folder, data_dir, tmp_path, monkeypatch):
    """As an unprivileged user sees it."""
    output = tmp_path / "s.zip"

    def forbidden(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", forbidden)
    with pytest.raises(InputError) as error:
        pack.write_zip(output, {})
    assert str(error.value) == (
        f"{output}: cannot be written (Permission denied); name another file with --output"
    )
