"""Every fault a prediction file can have: what is said of it, and at which line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from metrics.prediction_file import Form, parse_predictions, read_predictions
from tests.growth import assert_linear

WORDS = Form(("entailment", "not_entailment"))
DIGITS = Form(("0", "1"))
SCORES = Form((), (0.0, 5.0))
_GOOD = "index\tprediction\n0\t1\n1\t0\n2\t1\n3\t0\n"


def _faults(text, form=DIGITS, rows=4):
    raw = text if isinstance(text, bytes) else text.encode()
    return [(fault.line, str(fault)) for fault in parse_predictions(raw, form, rows).problems]


def test_a_good_file_has_no_fault():
    file = parse_predictions(_GOOD.encode(), DIGITS, 4)
    assert (file.predictions, file.problems, file.warnings) == (["1", "0", "1", "0"], [], [])


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("index\tprediction\n", "", 1, "the header is missing; expected 'index\\tprediction', found '0\\t1'"),
        ("index\tprediction", "id\tlabel", 1, "expected the header 'index\\tprediction', found 'id\\tlabel'"),
        ("index\tprediction", "index prediction", 1, "expected the header 'index\\tprediction'"),
        ("2\t1\n", "", 4, "expected index 2, found 3"),
        ("2\t1\n", "1\t1\n", 4, "index 1 stands here again; expected 2"),
        ("1\t0\n2\t1\n", "2\t1\n1\t0\n", 3, "expected index 1, found 2 (2 such lines)"),
        ("2\t1", "two\t1", 4, "expected index 2, found 'two'"),
        ("2\t1", "02\t1", 4, "expected index 2, found '02'"),
        ("2\t1", "-2\t1", 4, "expected index 2, found '-2'"),
        ("2\t1", "9999999999999\t1", 4, "expected index 2, found '9999999999999'"),
        ("2\t1", "2\t1.0", 4, "'1.0' is a label written as a fraction; expected one of 0, 1"),
        ("2\t1", "2\t2", 4, "unknown label '2'; expected one of 0, 1"),
        ("2\t1", "2\t 1", 4, "unknown label ' 1'; expected one of 0, 1"),
        ("2\t1", "2\t", 4, "no prediction; expected one of 0, 1"),
        ("2\t1", "2\t1\t1", 4, "expected 2 columns, found 3: '2\\t1\\t1'"),
        ("2\t1", "2 1", 4, "expected 2 columns, found 1: '2 1'"),
        ("2\t1\n", "\n2\t1\n", 4, "blank line; remove it"),
        ("3\t0\n", "3\t0\n\n", 6, "blank line; remove it"),
        ("3\t0\n", "", 4, "the file ends after 3 rows; expected 4"),
        ("3\t0\n", "3\t0\n4\t0\n5\t1\n", 6, "the file has 6 rows; expected 4"),
        ("3\t0\n", "\n3\t0\n4\t0\n", 7, "the file has 5 rows; expected 4"),
        ("\n", "\r\n", 1, "carriage return (Windows line end); end lines with LF alone (5 such lines)"),
        ("2\t1\n", "2\t1\r\n", 4, "carriage return (Windows line end); end lines with LF alone"),
        ("index", "\ufeffindex", 1, "the file starts with a BOM"),
    ],
)
def test_a_fault_is_named_with_its_line(old, new, line, message):
    faults = _faults(_GOOD.replace(old, new))
    assert (line, message) in [(number, text[: len(message)]) for number, text in faults]


@pytest.mark.parametrize(
    ("raw", "line", "message"),
    [
        (b"", 1, "the file is empty"),
        (b"\n \n", 1, "the file is empty"),
        (b"\xef\xbb\xbf", 1, "the file starts with a BOM"),
        (b"index\tprediction\n0\t\xff\n", 2, "byte 0xff is not UTF-8"),
        ("index\tprediction\n".encode("utf-16"), 1, "is UTF-16, not UTF-8"),
        (b"index\tprediction\n", 1, "the file ends after 0 rows; expected 4"),
    ],
)
def test_a_file_that_cannot_be_read_as_rows(raw, line, message):
    assert (line, message) in [(number, text[: len(message)]) for number, text in _faults(raw)]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("5.0001", "'5.0001' is out of range; expected a number from 0 to 5"),
        ("-0.1", "'-0.1' is out of range"),
        ("1e400", "'1e400' is out of range"),
        ("nan", "nan is not finite; expected a number from 0 to 5"),
        ("-Infinity", "-Infinity is not finite"),
        ("1_0", "'1_0' is no number"),
        ("٣", "'٣' is no number"),
        (" 1", "' 1' is no number"),
        ("1,5", "'1,5' is no number"),
        ("", "no prediction"),
    ],
)
def test_a_regressions_faults(cell, message):
    [(line, result)] = _faults(f"index\tprediction\n0\t2.5\n1\t{cell}\n2\t0\n3\t5\n", SCORES)
    assert (line, result[: len(message)]) == (3, message)


@pytest.mark.parametrize("cell", ["0", "5", "5.000", "4.", ".5", "1e-3", "-0.0", "+2.1"])
def test_numbers_in_every_plain_form_are_taken(cell):
    assert _faults(f"index\tprediction\n0\t{cell}\n", SCORES, rows=1) == []


def test_label_ids_are_refused_where_words_are_wanted():
    message = "unknown label '0'; expected one of entailment, not_entailment"
    assert _faults("index\tprediction\n0\t0\n", WORDS, rows=1) == [(2, message)]


def test_several_faults_are_counted_by_kind_and_ordered_by_line():
    text = "index\tprediction\n0\t7\n1\t8\n2\t9\n4\t1\n"
    assert _faults(text) == [
        (2, "unknown label '7'; expected one of 0, 1 (3 such lines)"),
        (5, "expected index 3, found 4"),
    ]


def test_one_gap_is_one_fault_and_a_later_repeat_is_known_as_one():
    rows = [0, 1, 3, 4, 5, 4]
    text = "index\tprediction\n" + "".join(f"{row}\t1\n" for row in rows)
    assert _faults(text, rows=6) == [
        (4, "expected index 2, found 3"),
        (7, "index 4 stands here again; expected 6"),
    ]


def test_of_a_file_far_too_long_the_first_rows_are_read_and_the_lines_counted():
    text = "index\tprediction\n" + "".join(f"{row}\t{row // 3000}\n" for row in range(10_000))
    file = parse_predictions(text.encode(), DIGITS, 4)
    message = "the file has 10001 lines; expected 5"
    assert [(fault.line, str(fault)) for fault in file.problems] == [(6, message)]
    assert file.rows is None
    file = parse_predictions(text.rstrip("\n").encode(), DIGITS, 4)
    assert [fault.line for fault in file.warnings] == [10001]


_FAULTY = {
    "no index": b"x\n",
    "blank": b"\n",
    "repeats": b"0\t1\n",
    "columns": b"\t\t\t\n",
    "unknown": b"7\tmaybe\n",
    "Windows": b"0\t1\r\n",
    "Macintosh": b"\r",
    "one line of tabs": b"\t",
    "one line of digits": b"1",
}


@pytest.mark.parametrize("unit", _FAULTY.values(), ids=_FAULTY)
def test_sixty_faulty_megabytes_take_no_longer_than_the_rows_that_were_expected(unit):
    def parse(megabytes):
        raw = b"index\tprediction\n" + unit * ((megabytes << 20) // len(unit))
        return parse_predictions(raw, DIGITS, 10_000)

    assert_linear(parse, 6, 60)
    file = parse(6)
    assert file.problems
    assert max(len(str(fault)) for fault in file.problems) < 120


def test_a_full_size_file_without_a_good_line_takes_time_in_proportion():
    def parse(rows):
        return parse_predictions(b"index\tprediction\n" + b"7\tmaybe\n" * rows, DIGITS, rows).problems

    assert_linear(parse, 10_000, 100_000)
    assert [str(fault) for fault in parse(100_000)] == [
        "expected index 0, found 7",
        "unknown label 'maybe'; expected one of 0, 1 (100000 such lines)",
        "index 7 stands here again; expected 8 (99999 such lines)",
    ]


def test_a_last_line_without_end_is_a_warning():
    file = parse_predictions(_GOOD.rstrip("\n").encode(), DIGITS, 4)
    assert file.problems == []
    assert [(fault.line, str(fault)) for fault in file.warnings] == [
        (5, "the last line has no line end; is it cut short?")
    ]


def test_reading_stops_with_file_line_and_the_number_of_other_faults(tmp_path):
    path = tmp_path / "RTE.tsv"
    path.write_text("index\tprediction\n0\tentailment\n2\tmaybe\n", encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_predictions(path, WORDS, 2)
    assert str(error.value) == f"{path}:3: expected index 1, found 2 (further kinds of problem: 1)"


@given(cells=st.lists(st.sampled_from(["0", "1"]), min_size=1, max_size=30), data=st.data())
def test_what_is_written_is_read_and_any_change_of_a_byte_to_another_character_is_seen(cells, data):
    raw = ("index\tprediction\n" + "".join(f"{row}\t{cell}\n" for row, cell in enumerate(cells))).encode()
    file = parse_predictions(raw, DIGITS, len(cells))
    assert (file.predictions, file.problems, file.warnings) == (cells, [], [])
    position = data.draw(st.integers(0, len(raw) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[position]))
    changed = raw[:position] + bytes([byte]) + raw[position + 1 :]
    file = parse_predictions(changed, DIGITS, len(cells))
    assert file.problems or file.warnings or file.predictions != cells


@given(raw=st.binary(max_size=60))
def test_any_bytes_get_an_answer(raw):
    assert parse_predictions(b"index\tprediction\n" + raw, SCORES, 5).problems
