"""Tasks of the user's own: made from files, trained, predicted, scored, exported and swept like the nine."""

import json
from pathlib import Path

import numpy as np
import pytest

import deploy
import glue
import lab
import submission
from checkpoints.folder import read_config
from common.errors import InputError
from deploy import export
from glue import run_eval, run_glue, run_predict, summary
from glue.data import read_split
from glue.predictions import SplitPredictions
from glue.task_file import make_task, read_record, read_task_file, record_of
from glue.tasks import TASKS, find_task
from tests.docs_pages import blocks_of, text_of
from tests.lab.trials import run_trials_in_this_process

FILE = "text: review\nlabel: stars\ntrain: train.csv\ndev: dev.jsonl\ntest: test.tsv\n"
DOCUMENTED = next(code for kind, code in blocks_of(text_of("docs/finetuning.md")) if kind == "yaml")
WORDS = {"bad": ("awful", "boring", "dull"), "good": ("fine", "lovely", "great")}
ROWS = [(f"a {word} film {number}", label) for number in range(6) for label in WORDS for word in WORDS[label]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "reviews.yaml").write_text(FILE, encoding="utf-8")
    write_reviews(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def reviews_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two steps on the reviews make of convbert-mini; the run's folder, not to be written to."""
    folder = tmp_path_factory.mktemp("reviews")
    (folder / "reviews.yaml").write_text(FILE, encoding="utf-8")
    write_reviews(folder)
    settings = {"max_steps": 2, "max_seq_length": 16}
    return glue.fine_tune(
        str(folder / "reviews.yaml"), "convbert-mini", output_dir=folder / "run", **settings
    ).folder


def write_reviews(folder: Path) -> None:
    """Write the data of reviews.yaml: a CSV, a JSON lines and a TSV file."""
    rows = "".join(f'"{text}, said ""Ada""\nand others",{label}\n' for text, label in ROWS)
    (folder / "train.csv").write_text(f"review,stars\n{rows}", encoding="utf-8")
    lines = [json.dumps({"review": text, "stars": label}) for text, label in ROWS[:12]]
    (folder / "dev.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "test.tsv").write_text("review\n" + "".join(f"{text}\n" for text, _ in ROWS[:7]), "utf-8")


def fault(call, *args, **settings) -> InputError:
    with pytest.raises(InputError) as caught:
        call(*args, **settings)
    assert "\n" not in str(caught.value)
    return caught.value


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("content", [FILE, DOCUMENTED])
def test_a_task_file_is_a_task_like_the_nine(folder: Path, content: str) -> None:
    (folder / "reviews.yaml").write_text(content, encoding="utf-8")
    task = read_task_file(folder / "reviews.yaml")
    assert find_task("reviews") is task
    assert (task.name, task.labels, task.score_keys, task.main) == (
        "reviews", ("bad", "good"), ("accuracy",), "accuracy"
    )  # fmt: skip
    assert "reviews" not in TASKS  # the leaderboard's table stays
    train, dev, test = (read_split(task, split, "nowhere") for split in task.splits)
    assert [(row.texts[0], row.label) for row in dev.examples] == ROWS[:12]
    assert train.examples[0].texts == ('a awful film 0, said "Ada"\nand others',)
    assert {row.label for row in test.examples} == {None}


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (("b", "a", "c", "a"), ("a", "b", "c")),
        (("10", "9", "-1"), ("-1", "9", "10")),
        (("10", "9", "x"), ("10", "9", "x")),
        (("2.5", "10", "1"), ("1", "2.5", "10")),
    ],
)
def test_labels_are_those_of_the_training_file_sorted_once(tmp_path: Path, labels, order) -> None:
    rows = "".join(f"t,{label}\n" for label in labels)
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    assert glue.Task.from_files("t", text="text", train=tmp_path / "t.csv").labels == order
    given = order[::-1]
    assert glue.Task.from_files("t", text="text", train=tmp_path / "t.csv", labels=given).labels == given


@pytest.mark.parametrize(
    ("file", "old", "new", "at", "line"),
    [
        ("reviews.yaml", "text: review", "text: opinion", "train.csv", 1),
        ("train.csv", 'others",good', 'others",Good', "train.csv", None),
        ("train.csv", 'others",good', 'others", good', "train.csv", None),
        ("train.csv", 'others",good', 'others",', "train.csv", None),
        ("dev.jsonl", '"stars": "good"', '"stars": "Good"', "dev.jsonl", 4),
        ("dev.jsonl", '"a awful film 0"', '" "', "dev.jsonl", 1),
        ("test.tsv", "review\n", "review\tstars\n", "test.tsv", 2),
        ("test.tsv", "review\na awful film 0", "review\tstars\na awful film 0\tso-so", "test.tsv", 2),
        ("reviews.yaml", "train.csv", "absent.csv", "absent.csv", None),
        ("reviews.yaml", "train.csv", "train.xlsx", "train.xlsx", None),
        ("reviews.yaml", "label: stars", "labels: [bad, good, bad]\nlabel: stars", "reviews.yaml", 2),
        ("reviews.yaml", "label: stars", "labels: [yes, no]\nlabel: stars", "reviews.yaml", 2),
        ("reviews.yaml", "label: stars", "scores: [pearson]\nlabel: stars", "reviews.yaml", 2),
        ("reviews.yaml", "label: stars", "score: [accuracy]\nlabel: stars", "reviews.yaml", 2),
        ("reviews.yaml", "label: stars", "regression: true\nlabel: stars", "train.csv", 2),
        ("reviews.yaml", "label: stars", "name: RTE\nlabel: stars", "reviews.yaml", 2),
        ("reviews.yaml", "label: stars", "name: ../x\nlabel: stars", "reviews.yaml", 2),
        ("reviews.yaml", "text: review", "text: [a, b, c]", "reviews.yaml", 1),
        ("reviews.yaml", "text: review\n", "", "reviews.yaml", None),
    ],
)
def test_faults_name_file_and_line(folder: Path, file: str, old: str, new: str, at: str, line) -> None:
    rewrite(folder / file, old, new)

    def read_all() -> None:
        task = read_task_file(folder / "reviews.yaml")
        for split in task.splits:
            read_split(task, split, "")

    error = fault(read_all)
    assert Path(str(error.path)).name == at
    if line is not None:
        assert error.line == line


def test_labels_that_differ_in_case_are_both_named_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\na,good\nb,bad\nc,Good\n", encoding="utf-8")
    error = fault(make_task, "t", "text", train=tmp_path / "t.csv")
    assert error.line == 4
    assert "'Good' and 'good' (line 2)" in str(error)


@pytest.mark.parametrize("content", ["", "text,label\n", "text,label\na,x\nb,x\n"])
def test_a_training_file_without_two_labels_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    assert fault(make_task, "t", "text", train=tmp_path / "t.csv").path == tmp_path / "t.csv"


def test_as_commands_from_training_to_scores(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, run = ["--task_file", str(folder / "reviews.yaml")], folder / "runs" / "a"
    few = ["--max_steps", "12", "--save_steps", "12", "--learning_rate", "1e-3", "--max_seq_length", "16"]
    run_glue.main([*file, "--model_name_or_path", "convbert-mini", "--output_dir", str(run), *few])
    assert "labels in id order, with their rows: bad (18), good (18)" in (run / "train.log").read_text(
        "utf-8"
    )
    config = read_config(run / "best")
    assert (config.finetuning_task, config.id2label) == ("reviews", {0: "bad", 1: "good"})
    capsys.readouterr()
    run_eval.main([*file, "--ckpt_path", str(run)])
    scores = json.loads(capsys.readouterr().out)
    assert scores["accuracy"] == 1.0  # the words tell
    run_predict.main([*file, "--ckpt_path", str(run), "--output_dir", str(folder / "p")])
    lines = (folder / "p" / "reviews.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[1] for line in lines[1:]] == [label for _, label in ROWS[:7]]
    capsys.readouterr()
    summary.main([str(folder / "runs")])
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["reviews", "100.00"]
    # It goes on without the task file, which may be gone; another model's label order is the model's own.
    (folder / "reviews.yaml").rename(folder / "other.yaml")
    run_glue.main(["--resume", "--output_dir", str(run)])
    with pytest.raises(InputError, match="a new one needs --task_name or --task_file"):
        run_glue.main(
            ["--resume", "--output_dir", str(folder / "new"), "--model_name_or_path", "convbert-mini"]
        )


def test_labels_in_another_order_are_read_off_the_model(folder: Path, reviews_model: Path) -> None:
    before = glue.evaluate(read_task_file(folder / "reviews.yaml"), reviews_model)
    turned = make_task(
        "reviews", "review", "stars", folder / "train.csv", folder / "dev.jsonl", labels=("good", "bad")
    )
    assert glue.evaluate(turned, reviews_model) == pytest.approx(before)


def test_pairs_and_regression_from_python(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"one {n},two {n},{n}.5\n" for n in range(12))
    (folder / "pairs.csv").write_text(f"left,right,distance\n{rows}", encoding="utf-8")
    task = glue.Task.from_files(
        "distances", text=("left", "right"), label="distance", train=folder / "pairs.csv",
        dev=folder / "pairs.csv", test=folder / "pairs.csv", regression=True,
    )  # fmt: skip
    run = glue.fine_tune(task, "convbert-mini", output_dir=folder / "run", max_steps=2, max_seq_length=16)
    assert set(run.scores) == {"pearson", "spearman", "main", "loss"}
    assert list(run.history["dev_main"])[-1] == run.last["main"]
    (predicted,) = glue.predict(task, run.folder, output_dir=folder / "p").values()
    assert len(predicted.values) == 12
    model = deploy.load(run.folder)
    answers = model([("one 1", "two 1"), ("one 2", "two 2")])
    assert [answer["score"] for answer in answers] == pytest.approx(predicted.logits[1:3, 0], abs=1e-4)
    assert fault(model, ["a lone text"])
    assert "distances: predictions are kept within 0.5 to 11.5" in capsys.readouterr().err
    settings = {"max_steps": 1, "scale_targets": True, "max_seq_length": 16}
    scaled = glue.fine_tune(task, "convbert-mini", output_dir=folder / "b", **settings)
    assert read_config(scaled.folder / "best").target_scale == 11.5


def test_numbers_are_kept_within_the_range_that_is_given_or_that_was_learnt(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,1\nb,4.5\n", encoding="utf-8")
    (tmp_path / "dev.csv").write_text("text,label\na,2\nb,7\n", encoding="utf-8")
    (tmp_path / "t.yaml").write_text(
        "text: text\nregression: true\ntrain: train.csv\ndev: dev.csv\nrange: [0, 5]\n", encoding="utf-8"
    )
    given = read_task_file(tmp_path / "t.yaml")
    assert given.target_range == (0.0, 5.0)
    error = fault(read_split, given, given.of_kind("dev")[0], "")
    assert (error.path, error.line) == (tmp_path / "dev.csv", 3)
    rewrite(tmp_path / "t.yaml", "range: [0, 5]\n", "")
    learnt = read_task_file(tmp_path / "t.yaml")
    assert learnt.target_range == (1.0, 4.5)
    (dev,) = learnt.of_kind("dev")
    assert [row.label for row in read_split(learnt, dev, "").examples] == [2.0, 7.0]
    logits = np.array([[0.0], [3.0], [9.0]], dtype=np.float32)
    assert SplitPredictions(learnt, dev, logits, ["score"]).values == ["1.00000", "3.00000", "4.50000"]
    assert read_record(json.loads(json.dumps(record_of(learnt)))) == learnt
    for wrong in (
        "range: [5, 1]",
        "range: [1]",
        "range: [a, b]",
        "range: 5",
        "regression: false\nrange: [0, 1]",
    ):
        text = f"text: text\ntrain: train.csv\nregression: true\n{wrong}\n".replace(
            "regression: true\nregression: false", "regression: false"
        )
        (tmp_path / "w.yaml").write_text(text, encoding="utf-8")
        error = fault(read_task_file, tmp_path / "w.yaml")
        assert (error.path, error.line) == (str(tmp_path / "w.yaml"), 4), wrong
    (tmp_path / "train.csv").write_text("text,label\na,3\nb,3\n", encoding="utf-8")
    assert "all the same" in str(fault(read_task_file, tmp_path / "t.yaml"))


def test_a_test_file_with_labels_is_scored_and_the_benchmarks_is_not(
    folder: Path, reviews_model: Path, sample_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(folder / "reviews.yaml")
    argv = ["--task_file", file, "--ckpt_path", str(reviews_model), "--split", "test"]
    assert "no column 'stars'" in str(fault(run_eval.main, argv))
    (folder / "test.tsv").write_text("review\tstars\na dull film\tbad\n", encoding="utf-8")
    capsys.readouterr()
    run_eval.main(argv)
    (predicted,) = glue.predict(file, reviews_model, output_dir=folder / "p").values()
    assert json.loads(capsys.readouterr().out)["accuracy"] == float(predicted.values == ["bad"])
    argv = ["--task_name", "rte", "--ckpt_path", "x", "--split", "test", "--data_dir", str(sample_dir)]
    assert "withheld" in str(fault(run_eval.main, argv))


def test_export_and_its_answers_know_the_columns(
    folder: Path, reviews_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    task = folder / "reviews.yaml"
    flags = ["--model_path", str(reviews_model), "--save_inference_dir", str(folder / "onnx")]
    flags += ["--format", "onnx"]
    export.main([*flags, "--int8", "--task_file", str(task)])
    assert "reviews dev accuracy" in capsys.readouterr().out
    model = deploy.load(folder / "onnx")
    assert (tuple(model.text_columns), model.texts) == (("review",), (1,))
    assert set(model("a fine film")[0]["probabilities"]) == {"bad", "good"}


def test_a_plan_names_the_task_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_trials_in_this_process(monkeypatch)
    plan = folder / "plan.yaml"
    plan.write_text(
        "checkpoints: {mini: convbert-mini}\nseeds: [1]\nsettings: {max_steps: 2, max_seq_length: 16}\n"
        "tasks:\n  reviews: {task_file: reviews.yaml}\n",
        encoding="utf-8",
    )
    table = lab.sweep(plan, folder / "runs")
    assert table[["task", "run", "status"]].to_numpy().tolist() == [["reviews", "reviews/mini-seed1", "done"]]
    assert (folder / "runs" / "reviews" / "mini-seed1" / "predictions" / "test" / "reviews.tsv").is_file()
    assert lab.results(folder / "runs")["accuracy"].tolist() == table["accuracy"].tolist()
    rewrite(plan, "  reviews:", "  opinions:")
    assert fault(lab.sweep, plan, folder / "other").line == 5
    rewrite(plan, "{task_file: reviews.yaml}", "")
    assert fault(lab.sweep, plan, folder / "other").line == 5


def test_it_is_no_part_of_a_submission(folder: Path) -> None:
    (folder / "p").mkdir()
    (folder / "p" / "reviews.tsv").write_text("index\tprediction\n0\tbad\n", encoding="utf-8")
    report = next(each for each in submission.check(folder / "p") if each.name == "reviews.tsv")
    assert report.status == "ERROR"
    assert "does not belong into the submission" in report.line()
    assert fault(submission.pack, folder / "p", folder / "a.zip", fill_missing=True)
