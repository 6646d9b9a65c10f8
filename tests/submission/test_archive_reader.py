"""What a zip can be: names, entries, sizes and damage of every kind."""

import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from metrics.prediction_file import most_bytes
from submission import check
from submission.check import check_archive, read_submission
from tests.submission.submission_samples import (
    EACH_FILE,
    NAMES,
    problems_of,
    reports_of,
    write_hand_in,
    write_zip,
)

_ODD_NAMES = {
    "line feed": ("ev\nil.tsv", r"ev\nil.tsv"),
    "terminal": ("\x1b[31mred\x1b[0m.tsv", r"\x1b[31mred\x1b[0m.tsv"),
    "right to left": ("\u202evst.tsv", r"\u202evst.tsv"),
    "line separator": ("a\u2028b.tsv", r"a\u2028b.tsv"),
    "accent": ("é.tsv", "é.tsv"),
}


@pytest.mark.parametrize(("name", "printed"), _ODD_NAMES.values(), ids=_ODD_NAMES)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_name_is_shown_without_its_control_characters(folder, data_dir, tmp_path, zipped, name, printed):
    if zipped:
        path = write_zip(folder, tmp_path / "s.zip", extra=[(name, "")])
    else:
        path = folder
        (folder / name).write_bytes(b"")
    assert problems_of(path, data_dir, printed) == [(0, "does not belong into the submission; remove it")]


# What a zip can be


def test_files_in_a_folder_of_the_zip(folder, data_dir, tmp_path):
    path = write_zip(folder, tmp_path / "s.zip", rename=lambda name: f"out/{name}", extra=[("out/", "")])
    reports = reports_of(path, data_dir)
    why = "lies in a folder; the zip must be flat, without folders"
    assert [str(reports[name].problems[0]) for name in NAMES] == [
        f"is missing; found out/{n}: {why}" for n in NAMES
    ]
    assert str(reports["out/"].problems[0]) == "is a folder; the zip must be flat, without folders"
    assert len(reports) == len(NAMES) + 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("__MACOSX/._CoLA.tsv", "left by macOS"),
        ("__MACOSX/", "left by macOS"),
        (".DS_Store", "left by macOS"),
        ("._CoLA.tsv", "left by macOS"),
        ("extra/", "is a folder; the zip must be flat"),
        ("extra/CoLA.tsv", "lies in a folder; the zip must be flat"),
        ("/CoLA.tsv", "lies in a folder"),
        ("..\\CoLA.tsv", "lies in a folder"),
        ("cola.tsv", "the wanted name is CoLA.tsv"),
        ("CoLA.npz", "does not belong into the submission"),
    ],
)
def test_an_entry_too_many_in_the_zip(folder, data_dir, tmp_path, name, message):
    path = write_zip(folder, tmp_path / "s.zip", extra=[(name, "")])
    [(line, expected_text)] = problems_of(path, data_dir, name)
    assert (line, expected_text[: len(message)]) == (0, message)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@EACH_FILE
def test_an_entry_that_stands_twice(folder, data_dir, tmp_path, task, split):
    path = write_zip(folder, tmp_path / "s.zip", extra=[(split.submission_file, "index\tprediction\n")])
    assert problems_of(path, data_dir, split.submission_file) == [
        (0, "stands 2 times in the zip; once is wanted")
    ]


def test_an_encrypted_entry(folder, data_dir, tmp_path):
    path = write_zip(folder, tmp_path / "s.zip")
    raw = bytearray(path.read_bytes())
    central = raw.index(b"PK\x01\x02")  # the first entry's record in the central directory; flags at 8
    raw[central + 8] |= 1
    path.write_bytes(raw)
    assert problems_of(path, data_dir, NAMES[0]) == [(0, "is encrypted; zip it without a password")]


def test_a_damaged_entry(folder, data_dir, tmp_path):
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in NAMES:
            archive.write(folder / name, name)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"index\tprediction\n0", b"index\tprediction\n9", 1))
    [(_, message)] = problems_of(path, data_dir, NAMES[0])
    assert message == f"cannot be read (Bad CRC-32 for file {NAMES[0]!r}); pack it again"


def test_a_compression_nobody_knows(folder, data_dir, tmp_path):
    path = write_zip(folder, tmp_path / "s.zip")
    raw = bytearray(path.read_bytes())
    central = raw.index(b"PK\x01\x02")
    raw[central + 10 : central + 12] = struct.pack("<H", 99)
    path.write_bytes(raw)
    [(_, message)] = problems_of(path, data_dir, NAMES[0])
    assert "other than store and deflate" in message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_of_another_compression_is_not_unpacked(tmp_path, method):
    """zipfile unpacks these a block at a time, whatever size their entry claims."""
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(NAMES[0], b"x" * (1 << 26))
    size = (1 << 26).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (1000).to_bytes(4, "little")))
    tracemalloc.start()
    try:
        contents = read_submission(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()
    assert "other than store and deflate" in contents.problems[NAMES[0]]


def test_a_damaged_deflated_entry(folder, data_dir, tmp_path):
    path = write_zip(folder, tmp_path / "s.zip", method=zipfile.ZIP_DEFLATED)
    assert {report.status for report in reports_of(path, data_dir).values()} == {"OK"}
    raw = bytearray(path.read_bytes())
    body = 30 + len(NAMES[0])
    raw[body + 9 : body + 30] = bytes(21)
    path.write_bytes(raw)
    [(_, message)] = problems_of(path, data_dir, NAMES[0])
    assert message.startswith("cannot be read (")
    assert message.endswith("); pack it again")


def test_an_entry_of_a_zip_of_the_future(folder, tmp_path):
    path = write_zip(folder, tmp_path / "s.zip")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 6] = 99  # the version needed to extract
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"s\.zip: .*zip file version 9\.9.*; pack it again"):
        check.main([str(path)])


def test_an_entry_whose_name_is_no_utf8(folder, tmp_path):
    path = write_zip(folder, tmp_path / "s.zip", extra=[("xéx.tsv", "")])
    path.write_bytes(path.read_bytes().replace("xéx".encode(), b"x\xff\xfex"))
    with pytest.raises(InputError, match=r"s\.zip: .*a name in it is not UTF-8.*; pack it again"):
        check.main([str(path)])


def test_a_zip_without_its_middle(folder, data_dir, tmp_path, capsys):
    path = write_zip(folder, tmp_path / "s.zip")
    raw = path.read_bytes()
    path.write_bytes(raw[:300] + raw[500:])
    with pytest.raises(InputError) as error:
        check.main([str(path), "--data_dir", str(data_dir)])
    assert str(error.value).startswith(f"{path}: CoLA.tsv cannot be read (")
    assert "ERROR    CoLA.tsv" in capsys.readouterr().out


@pytest.mark.parametrize("position", ["/{}", "../{}", "C:\\{}", "/tmp/../{}"])
def test_absolute_names_and_names_that_climb(folder, data_dir, tmp_path, position):
    path = write_zip(folder, tmp_path / "s.zip", rename=position.format)
    why = "lies in a folder; the zip must be flat, without folders"
    expected_text = [str(report.problems[0]) for report in reports_of(path, data_dir).values()]
    assert expected_text == [f"is missing; found {position.format(name)}: {why}" for name in NAMES]


def test_a_zip_bomb_is_not_unpacked(folder, data_dir, tmp_path):
    (folder / "RTE.tsv").write_bytes(b"\0" * (65 << 20))
    path = write_zip(folder, tmp_path / "s.zip")
    [(_, message)] = problems_of(path, data_dir, "RTE.tsv")
    assert message.startswith(f"has {65 << 20} bytes, far more")


def peak_of_check(path: Path) -> int:
    """The most bytes that Python holds at once while it is checked and refused."""
    tracemalloc.start()
    try:
        assert any(report.problems for report in check_archive(read_submission(path)))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_below_the_largest_size_takes_little_memory(tmp_path):
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("RTE.tsv", b"index\tprediction\n0\t" + "😀".encode() + b"x" * (60 << 20))
    assert path.stat().st_size < 1 << 20
    assert peak_of_check(path) < 4 << 20


def test_a_size_in_the_zip_that_is_untrue(folder, data_dir, tmp_path):
    (folder / "RTE.tsv").write_bytes(b"x" * (9 << 20))
    path = write_zip(folder, tmp_path / "s.zip")
    raw = path.read_bytes()
    size = (9 << 20).to_bytes(4, "little")
    assert raw.count(size) == 2
    path.write_bytes(raw.replace(size, (1000).to_bytes(4, "little")))
    [(_, message)] = problems_of(path, data_dir, "RTE.tsv")
    assert message.startswith("cannot be read (")
    assert peak_of_check(path) < 4 << 20


@pytest.mark.parametrize("rows", [1, 8, 390_965])
def test_what_is_right_is_never_too_large(rows):
    cells = ["not_entailment", "-1.2345678901234567e-300"]
    for cell in cells:
        last = len(f"{rows - 1}\t{cell}\r\n")
        assert rows * last + len("index\tprediction\r\n") < most_bytes(rows)


def test_very_many_entries_are_refused_and_many_named_in_few_lines(folder, data_dir, tmp_path):
    path = write_zip(
        folder, tmp_path / "s.zip", extra=[(f"{'n' * 5000}{number}", "") for number in range(900)]
    )
    reports = reports_of(path, data_dir)
    assert len(reports) < 40
    assert all(len(name) < 200 for name in reports)
    path = write_zip(folder, tmp_path / "t.zip", extra=[(str(number), "") for number in range(2000)])
    with pytest.raises(InputError, match=r"t\.zip: holds more than 1000 files"):
        check.main([str(path)])


def test_a_zip_of_absurd_size_is_not_read(tmp_path):
    with (tmp_path / "s.zip").open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(InputError, match=r"s\.zip: has 3221225472 bytes, far more"):
        check.main([str(tmp_path / "s.zip")])


def test_a_zip_in_the_zip_is_no_prediction(folder, data_dir, tmp_path):
    inner = write_zip(folder, tmp_path / "inner.zip").read_bytes()
    path = write_zip(folder, tmp_path / "s.zip", extra=[("inner.zip", inner)])
    assert problems_of(path, data_dir, "inner.zip") == [(0, "does not belong into the submission; remove it")]


@pytest.mark.parametrize("raw", [b"", b"index\tprediction\n", b"PK\x03\x04"])
def test_a_file_that_is_no_zip(tmp_path, raw):
    path = tmp_path / "s.zip"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"s\.zip: neither a folder nor a whole zip"):
        check.main([str(path)])


def test_a_zip_cut_short(folder, tmp_path):
    path = write_zip(folder, tmp_path / "s.zip")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="neither a folder nor a whole zip"):
        check.main([str(path)])


@given(
    position=st.floats(0, 1, exclude_max=True),
    byte=st.integers(0, 255),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_one_changed_byte_of_a_zip_never_ends_in_a_traceback(tmp_path_factory, position, byte, method):
    folder = tmp_path_factory.mktemp("bytes")
    path = write_zip(write_hand_in(folder / "predictions"), folder / "s.zip", method=method)
    raw = bytearray(path.read_bytes())
    raw[int(position * len(raw))] = byte
    path.write_bytes(raw)
    try:
        reports = check_archive(read_submission(path))
    except InputError as error:
        expected_text = [str(error)]
    else:
        expected_text = [str(report.problems[0]) for report in reports if report.problems]
    assert expected_text
    assert all(len(line.splitlines()) == 1 for line in expected_text)
