"""Where a task's files are found, however their folder is spelled, and what is said where they are not."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import InputError
from glue.data_files import find_file
from glue.tasks import TASKS, submission_files

SPLITS = {split.file: split for task in TASKS.values() for split in task.splits}
FOLDERS = {
    "CoLA": ["cola", "COLA", "glue_cola"],
    "SST-2": ["SST2", "sst2", "sst-2", "sst"],
    "MRPC": ["mrpc"],
    "STS-B": ["STSB", "stsb", "sts_b", "STS"],
    "QQP": ["qqp", "QQP-clean"],
    "MNLI": ["mnli", "MultiNLI"],
    "QNLI": ["qnli", "QNLIv2"],
    "RTE": ["rte"],
    "WNLI": ["wnli"],
    "diagnostic": ["diagnostics", "AX", "ax", "Diagnostic"],
}


@pytest.mark.parametrize(("official", "name"), [(one, name) for one in FOLDERS for name in FOLDERS[one]])
def test_a_folder_in_another_spelling(sample_dir: Path, tmp_path: Path, official: str, name: str) -> None:
    shutil.copytree(sample_dir / official, tmp_path / name)
    for file, split in SPLITS.items():
        if file.startswith(f"{official}/"):
            assert find_file(tmp_path, split) == tmp_path / name / Path(file).name


@pytest.mark.parametrize("file", [file for file in SPLITS if "diagnostic" not in file])
def test_the_tasks_own_folder_may_be_named(
    sample_dir: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sample_dir / file.split("/")[0]
    assert find_file(folder, SPLITS[file]) == sample_dir / file
    monkeypatch.chdir(folder)
    assert find_file(".", SPLITS[file]) == Path(file).name or find_file(".", SPLITS[file]).samefile(
        sample_dir / file
    )


def test_the_diagnostic_set_lies_beside_mnlis_own_folder(sample_dir: Path) -> None:
    file = find_file(sample_dir / "MNLI", SPLITS["diagnostic/diagnostic.tsv"])
    assert file.samefile(sample_dir / "diagnostic" / "diagnostic.tsv")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_called_missing(tmp_path: Path, make: Callable[[Path], None]) -> None:
    file = tmp_path / "RTE/train.tsv"
    file.parent.mkdir()
    make(file)
    with pytest.raises(InputError, match="expected a file") as caught:
        find_file(tmp_path, SPLITS["RTE/train.tsv"])
    assert Path(str(caught.value.path)) == file


def test_another_tasks_own_folder_is_not_taken(sample_dir: Path) -> None:
    with pytest.raises(InputError, match=r"there is a train\.tsv in .*/RTE itself.*a folder QNLI"):
        find_file(sample_dir / "RTE", SPLITS["QNLI/train.tsv"])


def test_the_official_name_comes_first_and_two_others_are_refused(sample_dir: Path, tmp_path: Path) -> None:
    split = SPLITS["SST-2/dev.tsv"]
    for name in ("sst2", "SST"):
        shutil.copytree(sample_dir / "SST-2", tmp_path / name)
    with pytest.raises(InputError, match="which of them is meant"):
        find_file(tmp_path, split)
    shutil.copytree(sample_dir / "SST-2", tmp_path / "SST-2")
    assert find_file(tmp_path, split) == tmp_path / "SST-2" / "dev.tsv"


def test_what_is_missing_is_named_with_the_remedy(sample_dir: Path, tmp_path: Path) -> None:
    split = SPLITS["RTE/train.tsv"]
    with pytest.raises(InputError) as caught:
        find_file(tmp_path, split)
    assert str(caught.value).startswith(f"{tmp_path}/RTE/train.tsv: no such file")
    assert f"python -m scripts.download_glue --data_dir {tmp_path} --task_name rte" in str(caught.value)
    (tmp_path / "rte").mkdir()
    for name in ("train.csv", "validation.csv"):
        (tmp_path / "rte" / name).write_text("sentence1,sentence2,label,idx\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"the folder holds train\.csv, validation\.csv; only the official TSV"
    ):
        find_file(tmp_path, split)


def test_data_one_folder_further_down_is_pointed_at(sample_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(sample_dir / "RTE", tmp_path / "glue_data" / "RTE")
    with pytest.raises(InputError, match=r"it lies in \S+/glue_data: name that as --data_dir"):
        find_file(tmp_path, SPLITS["RTE/train.tsv"])


def test_every_test_file_of_the_sample_is_found_in_its_official_place(sample_dir: Path) -> None:
    for _, split in submission_files():
        assert find_file(sample_dir, split) == sample_dir / split.file
