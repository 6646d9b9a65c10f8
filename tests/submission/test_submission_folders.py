"""What may and may not lie in a submission's folder."""

import json
import os
import shutil

import pytest

from tests.submission.submission_samples import (
    EACH_FILE,
    problems_of,
    reports_of,
)
from tests.submission.test_archive_reader import peak_of_check


def test_what_a_prediction_run_leaves_is_no_fault(folder, data_dir):
    for name in ("CoLA.npz", "args.json", ".hidden.tsv", ".DS_Store", "notes.txt"):
        (folder / name).write_bytes(b"x")
    (folder / "logs").mkdir()
    assert {report.status for report in reports_of(folder, data_dir).values()} == {"OK"}


def test_an_unexpected_tsv_is_an_error(folder, data_dir):
    shutil.copy(folder / "RTE.tsv", folder / "SNLI.tsv")
    assert problems_of(folder, data_dir, "SNLI.tsv") == [
        (0, "does not belong into the submission; remove it")
    ]


@EACH_FILE
def test_a_name_in_another_case(folder, data_dir, task, split):
    name = split.submission_file
    other = name.swapcase()
    (folder / name).rename(folder / other)
    expected = f"is missing; found {other}: the wanted name is {name}"
    assert problems_of(folder, data_dir, name) == [(0, expected)]


def test_a_folder_or_a_dangling_link_in_a_files_place(folder, data_dir):
    (folder / "RTE.tsv").unlink()
    (folder / "RTE.tsv").mkdir()
    assert problems_of(folder, data_dir, "RTE.tsv") == [(0, "is a folder; a file is wanted")]
    (folder / "RTE.tsv").rmdir()
    (folder / "RTE.tsv").symlink_to("nowhere")
    assert problems_of(folder, data_dir, "RTE.tsv") == [(0, "is a link to nothing; write the file again")]


def test_a_file_of_absurd_size_is_not_read(folder, data_dir):
    with (folder / "RTE.tsv").open("r+b") as file:
        file.truncate(3 << 30)
    [(_, message)] = problems_of(folder, data_dir, "RTE.tsv")
    assert message.startswith(f"has {3 << 30} bytes, far more than any prediction file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_a_files_place_is_not_waited_for(folder, data_dir):
    (folder / "RTE.tsv").unlink()
    os.mkfifo(folder / "RTE.tsv")
    assert problems_of(folder, data_dir, "RTE.tsv") == [(0, "is no plain file; write the file again")]


def test_a_name_of_a_folder_that_is_no_utf8(folder, data_dir, run_module):
    (folder / os.fsdecode(b"\xff.tsv")).write_bytes(b"")
    done = run_module("submission.check", folder, "--data_dir", data_dir)
    assert done.stderr == f"error: {folder}: \\udcff.tsv does not belong into the submission; remove it\n"
    assert done.stdout.splitlines()[-1].split()[:2] == ["ERROR", "\\udcff.tsv"]
    done = run_module("submission.check", folder, "--data_dir", data_dir, "--json")
    assert json.loads(done.stdout)["files"][-1]["file"] == "\\udcff.tsv"


def test_one_long_cell_with_one_wide_letter(folder, data_dir):
    path = folder / "QQP.tsv"
    path.write_bytes(b"index\tprediction\n0\t0\n1\t" + "😀".encode() + b"x" * 15_000_000)
    (line, message), *_ = problems_of(folder, data_dir, "QQP.tsv")
    assert line == 3
    assert "a line of more than 1000 bytes" in message
    assert peak_of_check(folder) < 40_000_000  # the file's bytes, twice while they are read


def test_a_faulty_files_cells_are_not_kept(folder, data_dir):
    path = folder / "QQP.tsv"
    path.write_bytes(path.read_bytes() + b"7\tmaybe\n")
    report = reports_of(folder, data_dir)["QQP.tsv"]
    assert report.problems
    assert report.predictions == []
