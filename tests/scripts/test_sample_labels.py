"""The labels of the embedded sample: a signal that is honest, and noise that is known."""

import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import hstack
from scipy.stats import pearsonr, spearmanr
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import matthews_corrcoef

from common.errors import UsageError
from glue.tasks import TASKS
from scripts.make_sample import best_possible_scores, write_sample
from tests.scripts.test_make_sample import examples


@pytest.fixture(scope="module")
def control_dir(tmp_path_factory):
    """The sample with shuffled training labels."""
    folder = tmp_path_factory.mktemp("control")
    write_sample(folder, shuffle_train_labels=True)
    return folder


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_shuffled_labels_keep_texts_and_shares(sample_dir, control_dir, task):
    folder = control_dir
    for split in task.splits:
        if split.kind != "train":
            assert (folder / split.file).read_bytes() == (sample_dir / split.file).read_bytes()
            continue
        real, control = examples(sample_dir, split.file), examples(folder, split.file)
        assert [e.texts for e in control] == [e.texts for e in real]
        if not task.is_regression:
            assert Counter(e.label for e in control) == Counter(e.label for e in real)
        unrelated = [e.label for e in control] != [e.label for e in real]
        assert unrelated


@pytest.fixture(scope="module")
def noisy_dir(tmp_path_factory):
    """The sample with every tenth dev label wrong."""
    folder = tmp_path_factory.mktemp("noisy")
    write_sample(folder, label_noise=0.1)
    return folder


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_noise_is_in_a_tenth_of_the_dev_labels_and_in_nothing_else(sample_dir, noisy_dir, task):
    for split in task.splits:
        if split.kind != "dev":
            assert (noisy_dir / split.file).read_bytes() == (sample_dir / split.file).read_bytes()
            continue
        clean, noisy = examples(sample_dir, split.file), examples(noisy_dir, split.file)
        assert [e.texts for e in noisy] == [e.texts for e in clean]
        wrong = sum(one.label != other.label for one, other in zip(clean, noisy, strict=True))
        assert wrong == len(clean) / 10


def test_best_possible_scores_are_those_of_the_rules(sample_dir, noisy_dir):
    def labels(folder, file):
        return [e.label for e in examples(folder, file)]

    best = best_possible_scores(noisy_dir)
    assert list(best) == list(TASKS)
    for task in ("sst-2", "mnli", "qnli", "rte", "wnli"):  # accuracies
        assert best[task] == pytest.approx(0.9)
    gold, rules = labels(noisy_dir, "CoLA/dev.tsv"), labels(sample_dir, "CoLA/dev.tsv")
    assert best["cola"] == pytest.approx(matthews_corrcoef(gold, rules))
    gold, rules = (
        labels(noisy_dir, "STS-B/dev.tsv"),
        np.round(np.multiply(labels(sample_dir, "STS-B/dev.tsv"), 0.6)),
    )
    assert best["sts-b"] == pytest.approx((pearsonr(gold, rules)[0] + spearmanr(gold, rules)[0]) / 2)
    assert best["sts-b"] < 0.95


def test_noise_above_one_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="a share is at most 1"):
        write_sample(tmp_path, rows=40, label_noise=2)


def test_the_command_names_the_best_possible_scores(tmp_path, run_module):
    done = run_module("scripts.make_sample", "--output_dir", tmp_path, "--rows", 40, "--label_noise", 0.2)
    assert "SST-2 80.0, " in done.stdout


def words_of(text):
    return re.findall(r"\w+", text.lower())


def score_of_linear_model(task, sample_dir, dev_file, features):
    """Dev accuracy (STS-B: Pearson) of a linear model on counts of what ``features`` make of an example."""
    train = examples(sample_dir, task.splits[0].file)
    dev = examples(sample_dir, dev_file)
    columns = [CountVectorizer(analyzer=part) for part in features]
    x = hstack([column.fit_transform(train) for column in columns]).tocsr()
    x_dev = hstack([column.transform(dev) for column in columns]).tocsr()
    y, y_dev = ([e.label for e in rows] for rows in (train, dev))
    if task.is_regression:
        return float(np.corrcoef(Ridge().fit(x, y).predict(x_dev), y_dev)[0, 1])
    return float(np.mean(LogisticRegression(max_iter=2000).fit(x, y).predict(x_dev) == np.array(y_dev)))


def chance(task, sample_dir, dev_file):
    labels = Counter(e.label for e in examples(sample_dir, dev_file))
    return 0.0 if task.is_regression else max(labels.values()) / labels.total()


PAIRS = [
    (task, split.file)
    for task in TASKS.values()
    if task.is_pair
    for split in task.splits
    if split.kind == "dev"
]


@pytest.mark.parametrize(("task", "file"), PAIRS, ids=[file for _, file in PAIRS])
def test_a_pairs_label_needs_both_sentences(sample_dir, task, file):
    def first(example):
        return words_of(example.texts[0])

    def second(example):
        return words_of(example.texts[1])

    def crossed(example):
        return [f"{one} {two}" for one in set(first(example)) for two in second(example)]

    level = chance(task, sample_dir, file) + 0.11  # 150 rows: about two and a half standard errors
    assert score_of_linear_model(task, sample_dir, file, [first]) < level
    assert score_of_linear_model(task, sample_dir, file, [second]) < level
    assert score_of_linear_model(task, sample_dir, file, [first, second]) < level  # side by side: no relation
    assert score_of_linear_model(task, sample_dir, file, [crossed]) > 0.9


def test_the_single_sentences_have_their_signal(sample_dir):
    def one_word(example):
        return words_of(example.texts[0])

    def two_words(example):
        cut = words_of(example.texts[0])
        return [f"{a} {b}" for a, b in pairwise(cut)]

    assert score_of_linear_model(TASKS["sst-2"], sample_dir, "SST-2/dev.tsv", [one_word]) > 0.9
    # Agreement in number: no single word tells, two neighbours do.
    assert score_of_linear_model(TASKS["cola"], sample_dir, "CoLA/dev.tsv", [one_word]) < 0.65 + 0.11
    assert score_of_linear_model(TASKS["cola"], sample_dir, "CoLA/dev.tsv", [two_words]) > 0.9


def test_mismatched_nouns_are_new(sample_dir):
    train = {
        word for e in examples(sample_dir, "MNLI/train.tsv") for text in e.texts for word in words_of(text)
    }
    other = {
        word for e in examples(sample_dir, "MNLI/dev_mismatched.tsv") for t in e.texts for word in words_of(t)
    }
    assert {"ship", "library", "tank"} <= other - train
