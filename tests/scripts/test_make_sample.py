"""The embedded sample: official layout, the same bytes everywhere, and nobody's files written over."""

import hashlib
import re
from collections import Counter

import pytest

from checkpoints.folder import read_config
from common.errors import InputError
from encoders.tokenizer import SPECIALS, Tokenizer
from glue.data import read_split
from glue.tasks import TASKS
from scripts.make_sample import MODEL_FOLDER, row_counts, write_sample
from scripts.sample_language import Dice, make_rows

FILES = {split.file: (task, split) for task in TASKS.values() for split in task.splits}
# Of all files of the default sample in order of their names; the same on Python 3.10, 3.11, 3.12, 3.13.
SAMPLE_SHA256 = "293985e5895c45ed2572d689baf7422dbb117548a6ab41a793a15dd0324c091c"
_NLI = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
    "sentence1_parse\tsentence2_parse\tsentence1\tsentence2"
)
_STS = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2"
_MRPC = "\t#1 ID\t#2 ID\t#1 String\t#2 String"
# The first lines of the official files as bytes; CoLA's train and dev have no header.
HEADERS = {
    "CoLA/test.tsv": "index\tsentence",
    **dict.fromkeys(["SST-2/train.tsv", "SST-2/dev.tsv"], "sentence\tlabel"),
    "SST-2/test.tsv": "index\tsentence",
    **dict.fromkeys(["MRPC/train.tsv", "MRPC/dev.tsv"], "\ufeffQuality" + _MRPC),
    "MRPC/test.tsv": "index" + _MRPC,
    **dict.fromkeys(["STS-B/train.tsv", "STS-B/dev.tsv"], _STS + "\tscore"),
    "STS-B/test.tsv": _STS,
    **dict.fromkeys(["QQP/train.tsv", "QQP/dev.tsv"], "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"),
    "QQP/test.tsv": "id\tquestion1\tquestion2",
    "MNLI/train.tsv": _NLI + "\tlabel1\tgold_label",
    **dict.fromkeys(
        ["MNLI/dev_matched.tsv", "MNLI/dev_mismatched.tsv"],
        _NLI + "\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label",
    ),
    **dict.fromkeys(["MNLI/test_matched.tsv", "MNLI/test_mismatched.tsv"], _NLI),
    "diagnostic/diagnostic.tsv": "index\tsentence1\tsentence2",
    **dict.fromkeys(["QNLI/train.tsv", "QNLI/dev.tsv"], "index\tquestion\tsentence\tlabel"),
    "QNLI/test.tsv": "index\tquestion\tsentence",
    **{
        f"{folder}/{kind}.tsv": "index\tsentence1\tsentence2" + ("" if kind == "test" else "\tlabel")
        for folder in ("RTE", "WNLI")
        for kind in ("train", "dev", "test")
    },
}


def examples(folder, file):
    task, split = FILES[file]
    return read_split(task, split, folder).examples


@pytest.mark.parametrize("file", FILES)
def test_first_line_columns_and_last_byte(sample_dir, file):
    raw = (sample_dir / file).read_bytes()
    assert b"\r" not in raw
    lines = raw.decode("utf-8").split("\n")
    assert raw.endswith(b"\n") == (file not in ("CoLA/dev.tsv", "diagnostic/diagnostic.tsv"))
    if file in ("CoLA/train.tsv", "CoLA/dev.tsv"):
        assert {line.count("\t") for line in lines if line} == {3}
        return
    assert lines[0] == HEADERS[file]
    wrong = [line for line in lines if line and line.count("\t") != HEADERS[file].count("\t")]
    assert len(wrong) == (3 if file == "QQP/train.tsv" else 0)


@pytest.mark.real_data
@pytest.mark.parametrize("file", FILES)
def test_layout_is_that_of_the_official_file(sample_dir, glue_data_dir, file):
    if not (glue_data_dir / file).exists():
        pytest.skip(f"{file} is not there")
    ours, official = (folder.joinpath(file).read_bytes() for folder in (sample_dir, glue_data_dir))
    assert ours.endswith(b"\n") == official.endswith(b"\n")
    assert ours.startswith(b"\xef\xbb\xbf") == official.startswith(b"\xef\xbb\xbf")
    if file in HEADERS:
        assert ours.split(b"\n")[0] == official.split(b"\n")[0]
    # A test file's index, and the blank that ends SST-2's labelled sentences.
    first = 1 if file in HEADERS else 0
    for raw in (ours, official):
        rows = [line.split(b"\t") for line in raw.removesuffix(b"\n").split(b"\n")[first:]]
        if FILES[file][1].kind == "test":
            assert [row[0] for row in rows] == [str(number).encode() for number in range(len(rows))]
        if file.startswith("SST-2"):
            assert {row[-2 if file != "SST-2/test.tsv" else -1][-1:] == b" " for row in rows} == {
                file != "SST-2/test.tsv"
            }


def test_marks_of_cola_and_scores_of_sts_b(sample_dir):
    rows = [line.split("\t") for line in (sample_dir / "CoLA/train.tsv").read_text("utf-8").splitlines()]
    marks = Counter(row[2] for row in rows)
    assert set(marks) == {"", "*", "??"}
    assert marks[""] > len(rows) / 2
    rows = (sample_dir / "STS-B/train.tsv").read_text("utf-8").splitlines()[1:]
    scores = [row.split("\t")[-1] for row in rows]
    assert all(re.fullmatch(r"[0-5]\.\d{3}", score) for score in scores)
    assert {"0.000", "5.000"} < set(scores)
    assert len(set(scores)) > 10


def test_texts_are_what_tokenizers_stumble_over(sample_dir):
    texts = " ".join(
        text for file in FILES for example in examples(sample_dir, file) for text in example.texts
    )
    assert set('"é中文€½—ï') < set(texts)
    lengths = [len(text.split()) for file in FILES for e in examples(sample_dir, file) for text in e.texts]
    assert min(lengths) == 1  # n/a
    assert max(lengths) > 40


def test_the_same_bytes_on_every_python(sample_dir):
    digest = hashlib.sha256()
    for file in sorted(FILES):
        digest.update((sample_dir / file).read_bytes())
    assert digest.hexdigest() == SAMPLE_SHA256


def test_seed_and_rows(tmp_path):
    for name, seed in (("one", 5), ("again", 5), ("other", 6)):
        write_sample(tmp_path / name, rows=40, seed=seed)
    for file in FILES:
        one, again, other = ((tmp_path / name / file).read_bytes() for name in ("one", "again", "other"))
        assert one == again != other
        assert len(examples(tmp_path / "one", file)) == row_counts(40)[file]
    assert row_counts(40)["RTE/train.tsv"] == 40
    assert row_counts(40)["MNLI/dev_mismatched.tsv"] == 10
    assert row_counts(40)["diagnostic/diagnostic.tsv"] == 5


def test_too_few_rows(tmp_path):
    with pytest.raises(InputError, match="--rows 39: at least 40 are needed"):
        write_sample(tmp_path, rows=39)
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path, run_module):
    done = run_module("scripts.make_sample", "--output-dir", tmp_path / "sample", "--rows", 40)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"30 files, 515 rows, and tiny-convbert/ in {tmp_path}/sample\n"


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_too_few_rows_are_wrong_usage(tmp_path, run_module):
    done = run_module("scripts.make_sample", "--output_dir", tmp_path / "sample", "--rows", 39)
    assert (done.returncode, done.stderr) == (2, "error: --rows 39: at least 40 are needed\n")


def test_the_same_sample_is_written_over_itself_whole_or_in_part(tmp_path):
    write_sample(tmp_path, rows=40)
    whole = files_of(tmp_path)
    for name in ("CoLA/dev.tsv", f"{MODEL_FOLDER}/vocab.txt"):
        (tmp_path / name).unlink()
    write_sample(tmp_path, rows=40)
    assert files_of(tmp_path) == whole


@pytest.mark.parametrize(
    "name", ["CoLA/train.tsv", "CoLA/train.csv", f"{MODEL_FOLDER}/vocab.txt", "notes.txt"]
)
def test_a_file_that_is_not_the_samples_own_is_never_written_over_unasked(tmp_path, name, run_module):
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine", encoding="utf-8")
    argv = ("--output_dir", tmp_path / "data", "--rows", 40)
    done = run_module("scripts.make_sample", *argv)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {path}: is no file of this sample; give an empty folder, or write over it with --overwrite\n"
    )
    assert files_of(tmp_path) == {path: b"mine"}
    assert run_module("scripts.make_sample", *argv, "--overwrite").returncode == 0
    assert len(examples(tmp_path / "data", "CoLA/train.tsv")) == 40
    if name in ("CoLA/train.csv", "notes.txt"):
        assert path.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("other", [{"rows": 41}, {"seed": 1}, {"shuffle_train_labels": True}])
def test_another_sample_is_not_written_over_unasked(tmp_path, other):
    write_sample(tmp_path, rows=40)
    before = files_of(tmp_path)
    with pytest.raises(InputError, match=r"\.tsv: is no file of this sample"):
        write_sample(tmp_path, **{"rows": 40, **other})
    assert files_of(tmp_path) == before
    write_sample(tmp_path, **{"rows": 40, **other}, overwrite=True)
    assert files_of(tmp_path) != before


def test_the_work_for_many_rows_grows_with_their_number():
    """Also where nearly all texts that a task can have are used up: RTE has some three thousand."""

    class CountingDice(Dice):
        thrown = 0

        def below(self, number):
            self.thrown += 1
            return super().below(number)

    def work(rows):
        dice = CountingDice(0)
        assert len(make_rows("rte", "", rows, dice, set())) == rows
        return dice.thrown

    assert work(20_000) < 12 * work(2_000)


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_no_row_of_dev_or_test_stands_in_train(sample_dir, task):
    train, *others = ([e.texts for e in examples(sample_dir, split.file)] for split in task.splits)
    assert not {texts for other in others for texts in other} & set(train)


def test_the_tiny_model_folder(sample_dir):
    folder = sample_dir / MODEL_FOLDER
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    config = read_config(folder)
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert len(pieces) == len(set(pieces)) == config.vocab_size <= 500
    assert tuple(pieces[:5]) == SPECIALS
    assert (config.model_type, config.hidden_size, config.num_hidden_layers) == ("convbert", 64, 2)
    assert (config.head_ratio, config.conv_kernel_size, config.max_position_embeddings) == (2, 9, 128)


def test_the_tiny_vocabulary_covers_the_sample(sample_dir):
    """Unknown is what is not ASCII after accents are dropped; word ends are used; few rows are cut at 128."""
    tokenizer = Tokenizer(sample_dir / MODEL_FOLDER)
    pieces = (sample_dir / MODEL_FOLDER / "vocab.txt").read_text(encoding="utf-8").splitlines()
    rows = [e.texts for file in FILES for e in examples(sample_dir, file)]
    used = Counter()
    for texts, (ids, _) in zip(rows, tokenizer.encode(rows, 512), strict=True):
        assert len(ids) <= 128
        foreign = len(re.findall("[—€½中文]", " ".join(texts)))
        assert sum(pieces[i] == "[UNK]" for i in ids) == foreign
        used.update(pieces[i] for i in ids)
    assert min(used[end] for end in ("##s", "##ed", "##ing", "##ly", "##er")) > 20
    assert used["cafe"] + used["##e"] > 0  # é has lost its accent, not its letter


def test_a_task_without_a_pattern_is_named() -> None:
    with pytest.raises(InputError, match=r"sample_language\.py: .*my-task.*PATTERNS"):
        make_rows("my-task", "", 8, Dice(0), set())
