"""How many rows a hand-in file must have: officially, or as the test files at hand have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from submission import check
from submission.check import count_lines
from tests.submission.submission_samples import EACH_FILE, FILES, ROWS, reports_of, write_data


def test_without_data_the_official_counts_hold(folder):
    reports = reports_of(folder, None)
    for _, split in FILES:
        result = str(reports[split.submission_file].problems[0])
        assert result == f"the file ends after {ROWS[split.submission_file]} rows; expected {split.rows}"


@EACH_FILE
def test_a_test_file_that_is_not_there_falls_back_to_the_official_count_and_says_so(
    folder, tmp_path, task, split
):
    data_dir = write_data(tmp_path / "data")
    (data_dir / split.file).unlink()
    report = reports_of(folder, data_dir)[split.submission_file]
    assert f"expected {split.rows}" in str(report.problems[0])
    assert report.notes == [f"official row count: no {split.file} below {data_dir}"]


@pytest.mark.parametrize(
    ("split", "position"),
    [pytest.param(split, position, id=position) for _, split in FILES for position in split.other_files],
)
def test_a_test_file_in_another_known_place_is_counted(folder, tmp_path, split, position):
    data_dir = write_data(tmp_path / "data")
    (data_dir / position).parent.mkdir(exist_ok=True)
    (data_dir / split.file).rename(data_dir / position)
    report = reports_of(folder, data_dir)[split.submission_file]
    assert (report.status, report.notes) == ("OK", [])


@pytest.mark.parametrize(("name", "message"), [("nowhere", "no such folder"), ("empty", "no such file")])
def test_a_data_folder_without_any_test_file_is_an_error(folder, tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        check.main([str(folder), "--data_dir", str(tmp_path / name)])


@pytest.mark.parametrize("raw", [b"", b"index\tsentence\n"])
def test_a_test_file_without_rows_counts_for_nothing(folder, tmp_path, raw):
    data_dir = write_data(tmp_path / "data")
    (data_dir / "CoLA" / "test.tsv").write_bytes(raw)
    with pytest.raises(InputError, match=r"CoLA/test\.tsv: no rows; expected the official 1063"):
        check.main([str(folder), "--data_dir", str(data_dir)])


@given(text=st.lists(st.sampled_from(["", "a", "b\r", "a\x0bb", "\x85"])).map("\n".join))
def test_lines_are_counted_as_cutting_at_line_feeds_does(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("lines") / "x.tsv"
    path.write_bytes(text.encode())
    assert count_lines(path) == len(text.removesuffix("\n").split("\n")) - (text == "")


def test_counting_crosses_its_blocks(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_bytes(b"a\n" * (1 << 20) + b"end")
    assert count_lines(path) == (1 << 20) + 1


@pytest.mark.real_data
@EACH_FILE
def test_the_official_test_files_have_the_tables_row_counts(glue_data_dir, task, split):
    rows, note = check.expected_rows(split, glue_data_dir)
    assert rows == split.rows
    assert note == "" or not (glue_data_dir / split.file).exists()
