"""Data files that another program wrote: what would change an answer is refused or said."""

import pytest

from glue.data import read_split
from tests.glue.damaged_files import SPLITS, cell_changed


@pytest.mark.parametrize("name", [b"Index", b"ID", b"idx", b" index", b'"index"'])
def test_rows_are_counted_by_whatever_their_index_is_called(name, damaged):
    """Rows in another order under another name would be answers in another order."""

    def reversed_rows(raw):
        header, *rows = raw.removesuffix(b"\n").split(b"\n")
        return b"\n".join([header.replace(b"index", name, 1), *rows[::-1]]) + b"\n"

    fault = damaged.fault("RTE/test.tsv", reversed_rows)
    assert fault.startswith("RTE/test.tsv:2: ")
    assert "expected index 0" in fault


def test_an_index_in_the_last_column_counts_too(damaged):
    def index_last(raw):
        rows = [line.split(b"\t") for line in raw.removesuffix(b"\n").split(b"\n")]
        rows = [[*cells[1:], b"idx" if number == 0 else cells[0]] for number, cells in enumerate(rows)]
        return b"\n".join(b"\t".join(cells) for cells in [rows[0], *rows[:0:-1]]) + b"\n"

    assert "expected index 0" in damaged.fault("RTE/test.tsv", index_last)


def _notes(damaged, tmp_path, file, change):
    damaged.write(file, change)
    task, split = SPLITS[file]
    return read_split(task, split, tmp_path).notes


def _plain(text):
    return text.replace(b",", b"").replace(b'"', b"")


def test_texts_that_a_spreadsheet_quoted_are_a_note(damaged, tmp_path):
    """It quotes those that hold a comma, and leaves nothing else to tell them by."""

    def as_spreadsheet(number, text):
        return b'"' + _plain(text) + b', so"' if number < 8 else _plain(text)

    (note,) = _notes(damaged, tmp_path, "SST-2/train.tsv", _first_texts(as_spreadsheet))
    assert "8 texts stand in quotes" in note


def test_quotations_among_other_texts_are_no_note(damaged, tmp_path):
    def some(number, text):
        return b'"' + _plain(text) + b', so"' if number < 8 else text + b", so"

    assert _notes(damaged, tmp_path, "SST-2/train.tsv", _first_texts(some)) == []


def _first_texts(change):
    """SST-2's file with its sentences changed."""

    def changed(raw):
        header, *rows = raw.removesuffix(b"\n").split(b"\n")
        cells = [row.split(b"\t") for row in rows]
        lines = [b"\t".join([change(number, row[0]), *row[1:]]) for number, row in enumerate(cells)]
        return b"\n".join([header, *lines]) + b"\n"

    return changed


def test_scores_on_another_scale_are_a_note(damaged, tmp_path):
    def scaled(raw):
        header, *rows = raw.removesuffix(b"\n").split(b"\n")
        lines = [row.rsplit(b"\t", 1) for row in rows]
        return b"\n".join([header, *(a + b"\t%.3f" % (float(b) / 5) for a, b in lines)]) + b"\n"

    (note,) = _notes(damaged, tmp_path, "STS-B/dev.tsv", scaled)
    assert "no score is above 1" in note


def test_a_missing_majority_of_annotators_is_said(damaged):
    assert "remove the row" in damaged.fault("RTE/dev.tsv", cell_changed(2, -1, "-"))


def test_a_header_in_quotes_is_said(damaged):
    def in_quotes(raw):
        return (
            b"\n".join(
                b"\t".join(b'"' + cell + b'"' for cell in line.split(b"\t")) for line in raw.splitlines()
            )
            + b"\n"
        )

    assert "in quotes" in damaged.fault("RTE/dev.tsv", in_quotes)
