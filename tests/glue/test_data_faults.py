"""Bad files: each one line that names file, line and what was found. Files of the sample, damaged."""

import re
import shutil

import pytest

from common.errors import InputError
from glue.data import read_gold, read_split
from scripts.make_sample import row_counts
from tests.glue.damaged_files import SPLITS, cell_changed, line_changed

RTE_COLUMNS = "(index sentence1 sentence2 label)"
CUT = "is the file cut short?"


ENDED = [file for file in SPLITS if file not in ("CoLA/dev.tsv", "diagnostic/diagnostic.tsv")]


@pytest.mark.parametrize("file", ENDED)
@pytest.mark.parametrize("lost", [1, 2, 9])
def test_cut_in_the_last_line(damaged, file, lost):
    """Lost: the line feed alone, the end of the last column, perhaps whole columns."""
    rows = row_counts()[file]
    fault = damaged.fault(file, lambda raw: raw[:-lost])
    lines = rows + (SPLITS[file][1].headless == ()) + 4 * (file == "QQP/train.tsv")
    assert fault.startswith(f"{file}:{lines}: the file ends in the middle of a line, ")
    assert fault.endswith("it is cut short: fetch it again")


@pytest.mark.parametrize("file", SPLITS)
def test_cut_in_the_middle_of_a_row(damaged, file):
    """Ending behind a cell that is not the last: no row is read from what is left."""

    def cut(raw):
        return raw[: raw.index(b"\t", len(raw) // 2)]

    fault = damaged.fault(file, cut)
    assert re.match(re.escape(file) + r":\d+: (the file ends in the middle|expected \d+ columns)", fault)


@pytest.mark.parametrize(
    ("file", "column"),
    [
        ("SST-2/dev.tsv", "sentence"),
        ("MRPC/train.tsv", "Quality"),
        ("MRPC/test.tsv", "#2 String"),
        ("STS-B/dev.tsv", "score"),
        ("QQP/dev.tsv", "question2"),
        ("MNLI/dev_matched.tsv", "gold_label"),
        ("QNLI/test.tsv", "question"),
        ("RTE/train.tsv", "label"),
    ],
)
def test_a_column_that_is_missing_from_the_header(damaged, file, column):
    def rename(line):
        cells = line.split(b"\t")
        return b"\t".join(b"other" if cell.endswith(column.encode()) else cell for cell in cells)

    fault = damaged.fault(file, line_changed(1, rename))
    assert fault.startswith(f"{file}:1: no column {column!r}; the header has ")


def test_a_file_of_another_task(damaged, sample_dir):
    fault = damaged.fault("RTE/dev.tsv", lambda raw: (sample_dir / "QNLI" / "dev.tsv").read_bytes())
    assert fault == (
        "RTE/dev.tsv:1: no column 'sentence1'; the header has 'index', 'question', 'sentence', 'label'"
    )


def test_a_column_twice_in_the_header(damaged):
    fault = damaged.fault(
        "RTE/dev.tsv", line_changed(1, lambda line: line.replace(b"sentence2", b"sentence1"))
    )
    assert fault == "RTE/dev.tsv:1: no column 'sentence2'; the header has " + (
        "'index', 'sentence1', 'sentence1', 'label'"
    )
    fault = damaged.fault("RTE/dev.tsv", line_changed(1, lambda line: line.replace(b"index", b"label")))
    assert fault == "RTE/dev.tsv:1: column 'label' stands twice in the header"


def test_a_cell_too_many_and_one_too_few(damaged):
    fault = damaged.fault("RTE/dev.tsv", line_changed(9, lambda line: line + b"\t1"))
    assert fault == f"RTE/dev.tsv:9: expected 4 columns {RTE_COLUMNS}, found 5; {CUT}"
    fault = damaged.fault("RTE/dev.tsv", line_changed(9, lambda line: line.rsplit(b"\t", 1)[0]))
    assert fault == f"RTE/dev.tsv:9: expected 4 columns {RTE_COLUMNS}, found 3; {CUT}"
    fault = damaged.fault("CoLA/train.tsv", line_changed(1, lambda line: line.replace(b"\t", b" ", 1)))
    assert fault == f"CoLA/train.tsv:1: expected 4 columns (source label mark sentence), found 3; {CUT}"


@pytest.mark.parametrize(
    ("file", "column", "label", "expected"),
    [
        ("CoLA/train.tsv", 1, "2", "0, 1"),
        ("CoLA/dev.tsv", 1, "", "0, 1"),
        ("SST-2/dev.tsv", 1, "neutral", "0, 1"),
        ("MRPC/train.tsv", 0, "1.0", "0, 1"),
        ("QQP/train.tsv", 5, "-1", "0, 1"),
        ("QQP/dev.tsv", 5, " 1", "0, 1"),
        ("MNLI/dev_mismatched.tsv", 15, "-", "contradiction, entailment, neutral"),
        ("QNLI/train.tsv", 3, "0", "entailment, not_entailment"),
        ("RTE/dev.tsv", 3, "neutral", "entailment, not_entailment"),
        ("WNLI/train.tsv", 3, "neutral", "0, 1"),
    ],
)
def test_an_unknown_label(damaged, file, column, label, expected):
    fault = damaged.fault(file, cell_changed(7, column, label))
    assert fault.startswith(f"{file}:7: unknown label {label!r}; expected one of {expected}")


@pytest.mark.parametrize("score", ["5.001", "-0.1", "nan", "inf", "-inf", "", "four", "3,5"])
@pytest.mark.parametrize("file", ["STS-B/train.tsv", "STS-B/dev.tsv"])
def test_an_impossible_score(damaged, file, score):
    fault = damaged.fault(file, cell_changed(12, 9, score))
    assert fault == f"{file}:12: expected a score from 0 to 5, found {score!r}"


def test_scores_at_the_ends_of_the_range(damaged, tmp_path):
    damaged.write("STS-B/dev.tsv", cell_changed(2, 9, "0"))
    task, split = SPLITS["STS-B/dev.tsv"]
    assert read_split(task, split, tmp_path).examples[0].label == 0.0
    damaged.write("STS-B/dev.tsv", cell_changed(2, 9, "5.000"))
    assert read_split(task, split, tmp_path).examples[0].label == 5.0


@pytest.mark.parametrize("file", SPLITS)
@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b"\r\n \n"])
def test_an_empty_file(damaged, file, content):
    fault = damaged.fault(file, lambda raw: content)
    assert fault == f"{file}: the file is empty; expected {SPLITS[file][1].rows} rows"


@pytest.mark.parametrize("file", [file for file, (_, split) in SPLITS.items() if not split.headless])
def test_a_header_and_nothing_else(damaged, file):
    fault = damaged.fault(file, lambda raw: raw[: raw.index(b"\n") + 1])
    assert fault == f"{file}: no rows; expected the official {SPLITS[file][1].rows}"


@pytest.mark.parametrize("file", SPLITS)
def test_bytes_that_are_not_utf8(damaged, file):
    fault = damaged.fault(file, line_changed(5, lambda line: line[:-3] + b"caf\xe9" + line[-3:]))
    assert fault == f"{file}:5: byte 0xe9 is not UTF-8; save the file as UTF-8"


def test_a_missing_folder_and_a_missing_file(tmp_path, sample_dir):
    task, split = SPLITS["RTE/dev.tsv"]
    with pytest.raises(InputError, match=r"^\S+/nowhere: no such folder; --data_dir names the folder"):
        read_split(task, split, tmp_path / "nowhere")
    with pytest.raises(InputError) as caught:
        read_split(task, split, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/RTE/dev.tsv: no such file; put the official GLUE files below {tmp_path}; "
        f"`python -m scripts.download_glue --data_dir {tmp_path} --task_name rte` fetches them"
    )
    task, split = SPLITS["diagnostic/diagnostic.tsv"]
    with pytest.raises(InputError, match=r"\(nor diagnostic/AX\.tsv, AX/AX\.tsv, AX\.tsv, "):
        read_split(task, split, tmp_path)


@pytest.mark.parametrize("file", ["RTE/dev.tsv", "RTE/test.tsv", "CoLA/train.tsv", "SST-2/test.tsv"])
def test_a_blank_line(damaged, file):
    fault = damaged.fault(file, line_changed(4, lambda line: line + b"\n"))
    assert fault == f"{file}:5: blank line; remove it, or fetch the file again"
    rows = row_counts()[file] + (not SPLITS[file][1].headless)
    fault = damaged.fault(file, lambda raw: raw + b"\n")
    assert fault == f"{file}:{rows + 1}: blank line; remove it, or fetch the file again"


@pytest.mark.parametrize("file", [file for file, (_, split) in SPLITS.items() if split.kind == "test"])
def test_the_index_of_a_test_file(damaged, file):
    """Predictions are matched to rows by index: a row moved, lost or repeated must not pass."""

    def moved(raw):
        lines = raw.split(b"\n")
        lines[10], lines[20] = lines[20], lines[10]
        return b"\n".join(lines)

    def lost(raw):
        lines = raw.split(b"\n")
        return b"\n".join(lines[:10] + lines[11:])

    def repeated(raw):
        lines = raw.split(b"\n")
        return b"\n".join(lines[:10] + lines[9:])

    assert damaged.fault(file, moved) == f"{file}:11: expected index 9, found '19'"
    assert damaged.fault(file, lost) == f"{file}:11: expected index 9, found '10'"
    assert damaged.fault(file, repeated) == f"{file}:11: expected index 9, found '8'"


@pytest.mark.parametrize(
    ("file", "column", "name"),
    [("RTE/dev.tsv", 2, "sentence2"), ("QQP/dev.tsv", 4, "question2"), ("SST-2/train.tsv", 0, "sentence")],
)
@pytest.mark.parametrize("text", ["", "  "])
def test_a_row_without_text(damaged, file, column, name, text):
    fault = damaged.fault(file, cell_changed(6, column, text))
    assert fault == f"{file}:6: expected text in column {name!r}, found none"


def test_defects_are_skipped_in_qqp_train_only(damaged, sample_dir):
    cut = line_changed(6, lambda line: line.rsplit(b"\t", 2)[0])
    fault = damaged.fault("QQP/dev.tsv", cut)
    assert fault.startswith(
        "QQP/dev.tsv:6: expected 6 columns (id qid1 qid2 question1 question2 is_duplicate)"
    )


@pytest.mark.parametrize("defects", [96, 97])
def test_too_many_defects_in_qqp_train(damaged, tmp_path, defects):
    """At most 100 are known of; four are there already."""

    def cut(raw):
        lines = raw.removesuffix(b"\n").split(b"\n")
        lines[-defects:] = [line.rsplit(b"\t", 1)[0] for line in lines[-defects:]]
        return b"\n".join(lines) + b"\n"

    task, split = SPLITS["QQP/train.tsv"]
    lines = row_counts()[split.file] + 1 + 4
    if defects == 96:
        damaged.write(split.file, cut)
        result = read_split(task, split, tmp_path)
        assert len(result.skipped_lines) == 100
        assert result.skipped_lines[-96:] == list(range(lines - 95, lines + 1))
    else:
        fault = damaged.fault(split.file, cut)
        assert fault.startswith(f"QQP/train.tsv:{lines}: expected 6 columns ")
        assert fault.endswith("the official file has a few such rows, this one more than 100")


def test_gold_is_checked_like_a_dev_file(tmp_path, sample_dir):
    task, split = SPLITS["RTE/dev.tsv"]
    with pytest.raises(InputError, match=r"gold\.tsv:1: no column 'label'"):
        read_gold(task, split, shutil.copy(sample_dir / "RTE" / "test.tsv", tmp_path / "gold.tsv"))


def _rte(label: str, header: str = "index\tsentence1\tsentence2\tlabel") -> bytes:
    return f"{header}\n0\tA cat sat.\tA cat.\t{label}\n1\tA dog.\tA cat.\tentailment\n".encode()


@pytest.mark.parametrize(("file", "name", "label"), [
    ("RTE/train.tsv", "not entailment", "not_entailment"),
    ("RTE/dev.tsv", "NOT_ENTAILMENT", "not_entailment"),
    ("RTE/dev.tsv", "Entailment", "entailment"),
])  # fmt: skip
def test_labels_by_names_that_mean_them_are_read_and_said(damaged, tmp_path, file, name, label):
    damaged.write(file, lambda _: _rte(name))
    rows = read_split(*SPLITS[file], tmp_path)
    assert [example.label for example in rows.examples] == [label, "entailment"]
    assert rows.notes == [f"{tmp_path / file}: labels of rte: {name} is {label}"]


@pytest.mark.parametrize(("name", "message"), [
    ("0", "numbers are another copy's ids"), ("-1", "withheld"), ("neutral", "one of"), ("", "one of"),
])  # fmt: skip
def test_labels_that_names_alone_do_not_tell_are_refused(damaged, name, message):
    fault = damaged.fault("RTE/train.tsv", lambda _: _rte(name))
    assert fault.startswith(f"RTE/train.tsv:2: unknown label {name!r}")
    assert message in fault


@pytest.mark.parametrize(("header", "order"), [
    ("Index\tSentence1\tSENTENCE2\tLabel", (0, 1)), ("index\tsentence2\tsentence1\tlabel", (1, 0)),
])  # fmt: skip
def test_columns_are_taken_by_name_in_any_order_and_case(damaged, tmp_path, header, order):
    damaged.write("RTE/train.tsv", lambda _: _rte("entailment", header))
    texts = read_split(*SPLITS["RTE/train.tsv"], tmp_path).examples[0].texts
    assert texts == tuple(("A cat sat.", "A cat.")[number] for number in order)


@pytest.mark.parametrize(("header", "message"), [
    ("sentence1,sentence2,label,idx", "parted by commas"),
    ("premise\thypothesis\tlabel\tidx", "datasets library"),
])  # fmt: skip
def test_files_of_another_form_are_named(damaged, header, message):
    fault = damaged.fault("RTE/train.tsv", lambda _: f"{header}\na\tb\t0\t0\n".encode())
    assert fault.startswith("RTE/train.tsv:1: no column 'sentence1'; ")
    assert message in fault


def test_texts_in_the_quotes_of_csv_are_a_note(damaged, tmp_path):
    damaged.write("RTE/train.tsv", lambda _: _rte("entailment").replace(b"A dog.", b'"He said ""no""."'))
    rows = read_split(*SPLITS["RTE/train.tsv"], tmp_path)
    assert rows.examples[1].texts[0] == '"He said ""no""."'
    assert "1 texts stand in quotes" in rows.notes[0]


def test_line_separators_and_zero_bytes_within_a_text_cut_nothing(damaged, tmp_path):
    damaged.write(
        "RTE/train.tsv", lambda _: _rte("entailment").replace(b"A dog.", "A\u2028dog\x85.\0".encode())
    )
    assert read_split(*SPLITS["RTE/train.tsv"], tmp_path).examples[1].texts[0] == "A\u2028dog\x85.\0"


def test_a_header_where_there_is_none_is_named(damaged):
    fault = damaged.fault("CoLA/train.tsv", lambda raw: b"source\tlabel\tmark\tsentence\n" + raw)
    assert fault == "CoLA/train.tsv:1: is a header, which the official file does not have; remove the line"


def test_old_macintosh_line_ends_are_named(damaged):
    fault = damaged.fault("RTE/dev.tsv", lambda raw: raw.replace(b"\n", b"\r"))
    assert fault == "RTE/dev.tsv: its lines end with carriage returns alone; end them with line feeds"


def test_a_text_beyond_all_measure_is_named(damaged):
    fault = damaged.fault("RTE/train.tsv", cell_changed(4, 1, "word " * 300_000))
    assert fault == "RTE/train.tsv:4: column 'sentence1' has 1500000 characters; is a line end missing?"


@pytest.mark.parametrize(
    ("file", "column"), [("RTE/train.tsv", 3), ("STS-B/train.tsv", -1), ("RTE/test.tsv", 0)]
)
def test_a_long_cell_or_an_odd_one_is_not_printed_whole(damaged, file, column):
    for value in ("x" * 1_000_000, "\x1b[2J"):
        fault = damaged.fault(file, cell_changed(3, column, value))
        assert fault.startswith(f"{file}:3: ")
        assert len(fault) < 400
        assert fault.isprintable()


def test_a_long_header_is_not_printed_whole(damaged):
    fault = damaged.fault(
        "RTE/train.tsv", line_changed(1, lambda line: line.replace(b"sentence1", b"x" * 10**6))
    )
    assert fault.startswith("RTE/train.tsv:1: ")
    assert len(fault) < 600
