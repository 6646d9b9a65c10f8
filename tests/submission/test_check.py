"""submission.check: every fault put into a good hand-in, over the whole table of files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InputError
from glue.tasks import submission_files
from submission import check
from tests.submission.submission_samples import (
    EACH_FILE,
    FILES,
    NAMES,
    ROWS,
    predictions,
    problems_of,
    reports_of,
    tsv,
    write_zip,
)


def test_the_hand_in_is_the_leaderboards_eleven_files():
    assert NAMES == [
        "CoLA.tsv", "SST-2.tsv", "MRPC.tsv", "STS-B.tsv", "QQP.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv",
        "QNLI.tsv", "RTE.tsv", "WNLI.tsv",
    ]  # fmt: skip
    assert sum(split.rows for _, split in submission_files()) == 426309


def test_a_good_hand_in_passes_as_folder_and_as_zip(folder, data_dir, tmp_path, capsys):
    for path in (folder, write_zip(folder, tmp_path / "s.zip")):
        check.main([str(path), "--data-dir", str(data_dir)])
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[:4] for line in lines] == [
            ["OK", name, str(ROWS[name]), "rows"] for name in NAMES
        ]


@EACH_FILE
def test_a_missing_file(folder, data_dir, task, split):
    (folder / split.submission_file).unlink()
    assert problems_of(folder, data_dir, split.submission_file) == [(0, "is missing")]


@EACH_FILE
def test_an_empty_file(folder, data_dir, task, split):
    (folder / split.submission_file).write_bytes(b"")
    [(line, message)] = problems_of(folder, data_dir, split.submission_file)
    assert line == 1
    assert message.startswith("the file is empty")


_MAYBE = object()  # an unknown label, or no number: what is said depends on the task

# What is done to the lines of a good file (header first), the line that is then wrong, what is said.
_CHANGES = {
    "no header": (lambda lines: lines[1:], 1, "the header is missing; expected 'index\\tprediction', found"),
    "other header": (
        lambda lines: ["index\tlabel", *lines[1:]],
        1,
        "expected the header 'index\\tprediction'",
    ),
    "short": (lambda lines: lines[:-1], "last", "the file ends after {less} rows; expected {rows}"),
    "long": (lambda lines: [*lines, _next(lines)], "next", "the file has {more} rows; expected {rows}"),
    "starts at 1": (lambda lines: [lines[0], "1" + lines[1][1:], *lines[2:]], 2, "expected index 0, found 1"),
    "repeat": (lambda lines: [*lines[:3], "1" + lines[3][1:], *lines[4:]], 4, "index 1 stands here again"),
    "order": (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], 4, "expected index 2, found 3"),
    "label": (lambda lines: [*lines[:3], "2\tmaybe", *lines[4:]], 4, _MAYBE),
    "columns": (lambda lines: [*lines[:3], lines[3] + "\t0.9", *lines[4:]], 4, "expected 2 columns, found 3"),
    "blank": (lambda lines: [*lines[:3], "", *lines[3:]], 4, "blank line"),
    "CRLF": (lambda lines: [*lines[:3], lines[3] + "\r", *lines[4:]], 4, "carriage return"),
    "BOM": (lambda lines: ["\ufeff" + lines[0], *lines[1:]], 1, "the file starts with a BOM"),
}


def _next(lines):
    return f"{len(lines) - 1}\t" + lines[1].partition("\t")[2]


@EACH_FILE
@pytest.mark.parametrize(("change", "line", "message"), _CHANGES.values(), ids=_CHANGES)
def test_a_fault_in_the_rows_is_named_with_its_line(folder, data_dir, task, split, change, line, message):
    name, rows = split.submission_file, ROWS[split.submission_file]
    path = folder / name
    path.write_bytes(("\n".join(change(path.read_text(encoding="utf-8").splitlines())) + "\n").encode())
    if message is _MAYBE:
        message = "'maybe' is no number" if task.is_regression else "unknown label 'maybe'"
    number = {"last": rows, "next": rows + 2}.get(line, line)
    wanted = message.format(less=rows - 1, more=rows + 1, rows=rows)
    assert [at for at, expected_text in problems_of(folder, data_dir, name) if wanted in expected_text] == [
        number
    ]


@EACH_FILE
def test_bytes_that_are_no_utf8(folder, data_dir, task, split):
    path = folder / split.submission_file
    path.write_bytes(path.read_bytes().replace(b"\n3\t", b"\n3\t\xe9", 1))
    assert problems_of(folder, data_dir, split.submission_file) == [
        (5, "byte 0xe9 is not UTF-8; save the file as UTF-8")
    ]


@pytest.mark.parametrize(
    ("task", "split"), [row for row in FILES if row[0].is_regression], ids=lambda row: ""
)
@pytest.mark.parametrize("cell", ["5.01", "-0.001", "nan", "inf", "high"])
def test_a_number_out_of_range(folder, data_dir, task, split, cell):
    cells = predictions(task, ROWS[split.submission_file])
    cells[1] = cell
    (folder / split.submission_file).write_text(tsv(cells), encoding="utf-8")
    [(line, message)] = problems_of(folder, data_dir, split.submission_file)
    assert line == 3
    assert cell in message
    assert message.endswith("expected a number from 0 to 5")


@pytest.mark.parametrize(("task", "split"), [row for row in FILES if row[0].labels[:1] == ("0",)])
def test_a_label_id_written_as_a_fraction(folder, data_dir, task, split):
    path = folder / split.submission_file
    path.write_text(
        "".join(
            line.replace("\t0", "\t0.0") + "\n" for line in path.read_text(encoding="utf-8").splitlines()
        ),
        encoding="utf-8",
    )
    [(line, message)] = problems_of(folder, data_dir, split.submission_file)
    assert line == 2
    assert message.startswith("'0.0' is a label written as a fraction; expected one of 0, 1 (")


@EACH_FILE
def test_every_row_the_same_is_a_warning_except_where_it_is_usual(folder, data_dir, task, split):
    name = split.submission_file
    cell = task.majority
    (folder / name).write_text(tsv([cell] * ROWS[name]), encoding="utf-8")
    report = reports_of(folder, data_dir)[name]
    if task.name == "wnli":
        assert report.status == "OK"
        assert report.notes == ["every row is 0: expected here, most submissions send it"]
    else:
        assert report.status == "WARNING"
        assert f"every row is {cell}" in report.line()


def test_wnli_all_ones_is_not_what_most_submissions_send(folder, data_dir):
    (folder / "WNLI.tsv").write_text(tsv(["1"] * ROWS["WNLI.tsv"]), encoding="utf-8")
    assert reports_of(folder, data_dir)["WNLI.tsv"].status == "WARNING"


def test_a_warning_is_no_error(folder, data_dir, capsys):
    path = folder / "RTE.tsv"
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n"), encoding="utf-8")
    check.main([str(folder), "--data_dir", str(data_dir)])
    assert f"line {ROWS['RTE.tsv'] + 1}: the last line has no line end" in capsys.readouterr().out


# The command


def test_errors_are_lines_on_stdout_one_line_on_stderr_and_exit_1(folder, data_dir, run_module):
    (folder / "QQP.tsv").unlink()
    cells = predictions(FILES[0][0], ROWS["CoLA.tsv"])
    (folder / "CoLA.tsv").write_text(tsv([*cells[:3], "7", "8", *cells[5:]]), encoding="utf-8")
    done = run_module("submission.check", folder, "--data_dir", data_dir)
    assert done.returncode == 1
    lines = dict(line.split()[1::-1] for line in done.stdout.splitlines())
    assert lines == {name: "ERROR" if name in ("QQP.tsv", "CoLA.tsv") else "OK" for name in NAMES}
    fault = "unknown label '7'; expected one of 0, 1 (2 such lines)"
    assert f"line 5: {fault}" in done.stdout
    assert done.stderr == f"error: {folder}: CoLA.tsv:5: {fault} (further files with errors: 1)\n"


def test_as_json(folder, data_dir, capsys):
    shutil.copy(folder / "RTE.tsv", folder / "x.tsv")
    with pytest.raises(InputError, match=r"x\.tsv does not belong into the submission"):
        check.main([str(folder), "--data_dir", str(data_dir), "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is False
    assert [file["file"] for file in printed["files"]] == [*NAMES, "x.tsv"]
    stray = printed["files"][-1]
    assert stray["status"] == "ERROR"
    assert stray["errors"][0]["message"] == "does not belong into the submission; remove it"
    assert printed["files"][0] == {
        "file": "CoLA.tsv",
        "status": "OK",
        "rows": ROWS["CoLA.tsv"],
        "errors": [],
        "warnings": [],
        "notes": [],
    }


def test_as_a_table(folder, data_dir, capsys):
    (folder / "RTE.tsv").unlink()
    for form in ("csv", "markdown"):
        with pytest.raises(InputError):
            check.main([str(folder), "--data_dir", str(data_dir), "--format", form])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "file,status,rows,remarks"
    assert "RTE.tsv,ERROR,,is missing" in lines[1:12]
    assert lines[12].split()[1:8:2] == ["file", "status", "rows", "remarks"]
    assert len(lines) == 12 + 13


def test_a_file_with_many_kinds_of_fault_shows_the_first_three(folder, data_dir, capsys):
    (folder / "RTE.tsv").write_bytes(b"\xef\xbb\xbfid\tlabel\r\n0\tmaybe\n5\tentailment\textra\n\n")
    with pytest.raises(InputError):
        check.main([str(folder), "--data_dir", str(data_dir)])
    [line] = [line for line in capsys.readouterr().out.splitlines() if "RTE.tsv" in line]
    assert line.count("line ") == 4  # three faults, one of which says "Windows line end"
    assert line.endswith("; further kinds of problem: 5")


@pytest.mark.parametrize(
    ("module", "argv"),
    [
        ("submission.check", [""]),
        ("submission.check", [".", "--data_dir", ""]),
        ("submission.pack", ["--predictions", "", "--output", "s.zip"]),
        ("submission.pack", ["--predictions", ".", "--output", ""]),
        ("submission.pack", ["--predictions", ".", "--output", "s.zip", "--data_dir="]),
    ],
)
def test_an_empty_path_as_an_unset_variable_gives_is_wrong_usage(module, argv, run_module):
    done = run_module(module, *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is empty; name a path" in done.stderr


def test_no_such_path(tmp_path):
    with pytest.raises(InputError, match=r"none: no such folder or zip"):
        check.main([str(tmp_path / "none")])


def _python(code):
    """Run code in a process of its own, as a command would."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    ).stdout


@pytest.mark.parametrize("module", ["submission.check", "submission.pack", "metrics.score", "glue.tasks"])
def test_importing_leaves_paddle_and_numpy_unloaded(module):
    code = f"import sys, {module}; print(*sorted(sys.modules.keys() & {{'paddle', 'numpy'}}))"
    assert _python(code).split() == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read as Linux tells it")
def test_a_full_size_hand_in_takes_little_time_and_memory(tmp_path):
    """The check against a loop that only cuts the same lines into columns and reads the index."""
    for task, split in FILES:
        (tmp_path / split.submission_file).write_text(tsv(predictions(task, split.rows)), encoding="utf-8")
    peak = "re.search('VmHWM: *([0-9]+) kB', open('/proc/self/status').read().expandtabs())[1]"
    printed = _python(
        "import re, time; from pathlib import Path; from submission.check import main; "
        f"start = time.process_time(); main([{str(tmp_path)!r}]); took = time.process_time() - start; "
        f"peak = int({peak}) / 1024; start = time.process_time(); "
        f"[int(line.split(chr(9))[0]) for file in Path({str(tmp_path)!r}).iterdir() "
        "for line in file.read_text(encoding='utf-8').splitlines()[1:]]; "
        "print(took / (time.process_time() - start), peak)"
    )
    *lines, last = printed.splitlines()
    assert [line.split()[0] for line in lines] == ["OK"] * len(NAMES)
    times, megabytes = map(float, last.split())
    assert times < 5
    assert megabytes < 200
