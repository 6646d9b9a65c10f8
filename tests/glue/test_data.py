"""The readers: on the sample's every file, on rows of any text, and on the official files."""

import csv
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue.data import find_file, read_gold, read_split
from glue.tasks import TASKS
from scripts.make_sample import QQP_DEFECTS, row_counts

FILES = [pytest.param(task, split, id=split.file) for task in TASKS.values() for split in task.splits]
# What follows from the headers by counting: position of text and label columns, headless or not.
# fmt: off
COLUMNS = {
    "CoLA/train.tsv": ([3], 1), "CoLA/dev.tsv": ([3], 1), "CoLA/test.tsv": ([1], None),
    "SST-2/train.tsv": ([0], 1), "SST-2/dev.tsv": ([0], 1), "SST-2/test.tsv": ([1], None),
    "MRPC/train.tsv": ([3, 4], 0), "MRPC/dev.tsv": ([3, 4], 0), "MRPC/test.tsv": ([3, 4], None),
    "STS-B/train.tsv": ([7, 8], 9), "STS-B/dev.tsv": ([7, 8], 9), "STS-B/test.tsv": ([7, 8], None),
    "QQP/train.tsv": ([3, 4], 5), "QQP/dev.tsv": ([3, 4], 5), "QQP/test.tsv": ([1, 2], None),
    "MNLI/train.tsv": ([8, 9], 11),
    "MNLI/dev_matched.tsv": ([8, 9], 15), "MNLI/dev_mismatched.tsv": ([8, 9], 15),
    "MNLI/test_matched.tsv": ([8, 9], None), "MNLI/test_mismatched.tsv": ([8, 9], None),
    "diagnostic/diagnostic.tsv": ([1, 2], None),
    "QNLI/train.tsv": ([1, 2], 3), "QNLI/dev.tsv": ([1, 2], 3), "QNLI/test.tsv": ([1, 2], None),
    "RTE/train.tsv": ([1, 2], 3), "RTE/dev.tsv": ([1, 2], 3), "RTE/test.tsv": ([1, 2], None),
    "WNLI/train.tsv": ([1, 2], 3), "WNLI/dev.tsv": ([1, 2], 3), "WNLI/test.tsv": ([1, 2], None),
}
# fmt: on


def split_of(file):
    return next((task, split) for task in TASKS.values() for split in task.splits if split.file == file)


def raw_rows(folder, file):
    """The file cut at line feeds and tabs only, its BOM and header off: an independent reading."""
    text = (folder / file).read_bytes().decode("utf-8-sig")
    rows = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    return rows if file in ("CoLA/train.tsv", "CoLA/dev.tsv") else rows[1:]


@pytest.mark.parametrize(("task", "split"), FILES)
def test_every_cell_is_read_as_it_stands(sample_dir, task, split):
    text_columns, label_column = COLUMNS[split.file]
    expected = [
        (
            tuple(cells[column] for column in text_columns),
            None if label_column is None else cells[label_column],
        )
        for cells in raw_rows(sample_dir, split.file)
        if "\t".join(cells) not in QQP_DEFECTS
    ]
    if task.name == "sts-b" and label_column is not None:
        expected = [(texts, float(label)) for texts, label in expected]
    result = read_split(task, split, sample_dir)
    assert [(example.texts, example.label) for example in result.examples] == expected
    assert len(result.examples) == row_counts()[split.file]
    assert result.path == sample_dir / split.file


def test_the_skipped_lines_of_qqp_are_told(sample_dir):
    task, split = split_of("QQP/train.tsv")
    lines = (sample_dir / split.file).read_text(encoding="utf-8").split("\n")
    defective = [number for number, line in enumerate(lines, 1) if line in QQP_DEFECTS]
    result = read_split(task, split, sample_dir)
    assert result.skipped_lines == defective
    assert len(defective) == 4


def test_na_is_a_hypothesis(sample_dir):
    task, split = split_of("MNLI/test_mismatched.tsv")
    assert [e.texts[1] for e in read_split(task, split, sample_dir).examples].count("n/a") == 1


def test_no_byte_order_mark_in_a_first_cell(tmp_path, sample_dir):
    # MRPC's mark stands before a header; put one before CoLA's first row, which is data.
    shutil.copytree(sample_dir / "CoLA", tmp_path / "CoLA")
    file = tmp_path / "CoLA" / "train.tsv"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    task, split = split_of("CoLA/train.tsv")
    assert read_split(task, split, tmp_path).examples == read_split(task, split, sample_dir).examples


@pytest.mark.parametrize("file", ["RTE/test.tsv", "STS-B/test.tsv", "MNLI/dev_matched.tsv", "QNLI/dev.tsv"])
def test_default_csv_quoting_would_lose_rows(sample_dir, file):
    """The trap is there: the same file read with quoting on has fewer rows."""
    task, split = split_of(file)
    with open(sample_dir / file, encoding="utf-8", newline="") as opened:
        quoted = sum(1 for _ in csv.reader(opened, delimiter="\t")) - 1
    assert quoted < len(read_split(task, split, sample_dir).examples) == row_counts()[file]


def test_gold_labels_in_a_test_file_are_never_read(tmp_path, sample_dir):
    """The paraphrase corpus as distributed has the test labels in a first column 'Quality'."""
    lines = (sample_dir / "MRPC" / "test.tsv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "MRPC").mkdir()
    labelled = ["Quality\t" + lines[0].split("\t", 1)[1]]
    labelled += [f"{number % 2}\t{line.split(chr(9), 1)[1]}" for number, line in enumerate(lines[1:])]
    (tmp_path / "MRPC" / "test.tsv").write_text("\n".join(labelled) + "\n", encoding="utf-8")
    task, split = split_of("MRPC/test.tsv")
    assert {example.label for example in read_split(task, split, tmp_path).examples} == {None}


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_gold_of_a_dev_file_by_path(sample_dir, task):
    for split in task.of_kind("dev"):
        labels = [example.label for example in read_split(task, split, sample_dir).examples]
        assert read_gold(task, split, sample_dir / split.file) == labels


@pytest.mark.parametrize("position", ["diagnostic/AX.tsv", "AX/AX.tsv", "AX.tsv"])
def test_ax_in_its_other_places(tmp_path, sample_dir, position):
    (tmp_path / position).parent.mkdir(exist_ok=True)
    shutil.copy(sample_dir / "diagnostic" / "diagnostic.tsv", tmp_path / position)
    _, split = split_of("diagnostic/diagnostic.tsv")
    assert find_file(tmp_path, split) == tmp_path / position


@pytest.mark.parametrize(("task", "split"), FILES)
def test_windows_line_ends_change_nothing(tmp_path, sample_dir, task, split):
    (tmp_path / split.file).parent.mkdir()
    (tmp_path / split.file).write_bytes((sample_dir / split.file).read_bytes().replace(b"\n", b"\r\n"))
    with_cr, without = read_split(task, split, tmp_path), read_split(task, split, sample_dir)
    assert with_cr.examples == without.examples
    assert with_cr.skipped_lines == without.skipped_lines


# Every character but those that end a cell or a line; a text is not blank.
CELLS = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"])).filter(str.strip)


@given(rows=st.lists(st.tuples(CELLS, CELLS, st.sampled_from(["entailment", "not_entailment"])), min_size=1))
def test_any_text_comes_back_unchanged(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rte")
    (folder / "RTE").mkdir()
    lines = ["index\tsentence1\tsentence2\tlabel"]
    lines += [f"{number}\t{one}\t{two}\t{label}" for number, (one, two, label) in enumerate(rows)]
    (folder / "RTE" / "train.tsv").write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8"))
    task, split = split_of("RTE/train.tsv")
    result = read_split(task, split, folder).examples
    assert [(*example.texts, example.label) for example in result] == rows


# Labelled subsets of the large training files are measured with; their row count is their own.
_MAY_BE_SUBSETS = {"MNLI/train.tsv", "QNLI/train.tsv", "QQP/train.tsv"}


@pytest.mark.real_data
@pytest.mark.parametrize(("task", "split"), FILES)
def test_the_official_files(glue_data_dir, task, split):
    if split.file == "QQP/test.tsv" and not (glue_data_dir / split.file).exists():
        pytest.skip("QQP/test.tsv is not there")
    result = read_split(task, split, glue_data_dir)
    if split.file in _MAY_BE_SUBSETS and len(result.examples) < split.rows:
        lines = (glue_data_dir / split.file).read_bytes().count(b"\n") - 1
        assert len(result.examples) + len(result.skipped_lines) == lines
    else:
        assert len(result.examples) == split.rows
    labelled = split.kind != "test"
    assert all((example.label is not None) == labelled for example in result.examples)


@pytest.mark.real_data
def test_official_counts_of_known_texts(glue_data_dir):
    """Counted in the official files with grep: hypotheses 'n/a', lines with a quote."""
    task, split = split_of("MNLI/test_mismatched.tsv")
    examples = read_split(task, split, glue_data_dir).examples
    assert sum(example.texts[1] == "n/a" for example in examples) == 3
    task, split = split_of("RTE/test.tsv")
    examples = read_split(task, split, glue_data_dir).examples
    assert sum('"' in "".join(example.texts) for example in examples) == 504
