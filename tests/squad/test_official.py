"""The official numbers: by hand for every clause, and against what the original scripts answered."""

import hashlib
import json
import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from squad.curves import precision_recall
from squad.official import always_null, normalise, score_v11, score_v20
from tests.squad.odd_pairs import make_pair

# Made by golden/make_official_scores.py from the scripts whose digests it names, with Python 3.11.7.
GOLDEN = json.loads((Path(__file__).parent / "golden" / "official_scores.json").read_text("utf-8"))
# From 3.12 on Python's own sum() keeps more digits, in the original scripts as here.
SAME_SUM = sys.version_info < (3, 12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Cat", "cat"),
        ("a.n apple", "apple"),  # the article appears when the full stop is gone
        ("theory of an antenna", "theory of antenna"),
        ("à la carte", "à la carte"),
        ("an’t", "’t"),  # a curly quote ends the word
        ("_the_", ""),
        ("“U.S.” — (1,000)", "“us” — 1000"),
        (" x\t y\u00a0z\u2003w ", "x y z w"),
        ("the", ""),
        ("ΣΑΣ", "σας"),
    ],
)
def test_normalising(text, expected):
    assert normalise(text) == expected


def v11(golds, prediction):
    scores = score_v11([("q", golds)], {"q": prediction})
    return scores["exact_match"], scores["f1"]


def v20(golds, prediction):
    scores = score_v20([("q", golds)], {"q": prediction})
    return scores["exact"], scores["f1"]


@pytest.mark.parametrize(
    ("golds", "prediction", "old", "new"),
    [
        (["Cats"], "the cats!", (100, 100), (100, 100)),
        # 2 of 3 words in common with each side: precision 2/3, recall 2/3
        (["red green blue"], "red green white", (0, 200 / 3), (0, 200 / 3)),
        # one word of one, one of two: 2 · 1 · ½ / 1½
        (["red red"], "red", (0, 200 / 3), (0, 200 / 3)),
        # the best gold counts, for each number by itself
        (["red green blue white", "black"], "red green", (0, 200 / 3), (0, 200 / 3)),
        (["x", "red"], "red", (100, 100), (100, 100)),
        (["red"], "blue", (0, 0), (0, 0)),
        # A gold that normalises to nothing: agreement without words is F1 0 in 1.1; dropped in 2.0,
        # and where none remain the gold is empty.
        (["the"], "", (100, 0), (100, 100)),
        (["the", "cat"], "", (100, 0), (0, 0)),
        (["the", "cat"], "cat", (100, 100), (100, 100)),
        (["the"], "cat", (0, 0), (0, 0)),
        (["cat"], "a", (0, 0), (0, 0)),
    ],
)  # fmt: skip
def test_one_question(golds, prediction, old, new):
    assert v11(golds, prediction) == pytest.approx(old)
    assert v20(golds, prediction) == pytest.approx(new)


def test_an_unanswerable_question_wants_nothing():
    assert v20([], "") == (100, 100)
    assert v20([], "the") == (100, 100)  # normalises to nothing
    assert v20([], "cat") == (0, 0)


def test_v11_counts_a_missing_question_and_ignores_others():
    golds = [("a", ["red"]), ("b", ["blue"])]
    assert score_v11(golds, {"a": "red", "z": "blue"}) == {"exact_match": 50, "f1": 50}
    assert score_v11(golds, {}) == {"exact_match": 0, "f1": 0}


GOLDS = [("h1", ["red"]), ("h2", ["blue"]), ("n1", []), ("n2", [])]
ANSWERS = {"h1": "red", "h2": "blue car", "n1": "x", "n2": ""}


def test_v20_groups_and_their_order():
    scores = score_v20(GOLDS, ANSWERS)
    # exact: 1, 0, 0, 1; f1: 1, 2/3, 0, 1
    assert scores == pytest.approx({
        "exact": 50, "f1": 100 * (8 / 3) / 4, "total": 4,
        "HasAns_exact": 50, "HasAns_f1": 250 / 3, "HasAns_total": 2,
        "NoAns_exact": 50, "NoAns_f1": 50, "NoAns_total": 2,
    })  # fmt: skip
    assert list(scores) == [
        "exact", "f1", "total", "HasAns_exact", "HasAns_f1", "HasAns_total", "NoAns_exact", "NoAns_f1",
        "NoAns_total",
    ]  # fmt: skip
    assert "NoAns_total" not in score_v20(GOLDS[:2], ANSWERS)
    assert "HasAns_total" not in score_v20(GOLDS[2:], ANSWERS)


def test_v20_empties_above_the_threshold_only():
    chances = {"h1": 0.5, "h2": 0.6, "n1": 0.5, "n2": 0.0}
    # at 0.5 only h2 is emptied: exact 1, 0, 0, 1
    assert score_v20(GOLDS, ANSWERS, chances, 0.5)["f1"] == 50
    # below, h1 and n1 are too: 0, 0, 1, 1
    scores = score_v20(GOLDS, ANSWERS, chances, 0.4)
    assert (scores["exact"], scores["HasAns_f1"], scores["NoAns_f1"]) == (50, 0, 100)
    # 1.0 is the default and is not exceeded by 1
    assert score_v20(GOLDS, ANSWERS, dict.fromkeys(ANSWERS, 1))["HasAns_exact"] == 50
    # without scores everything counts as 0, which exceeds a negative threshold
    assert score_v20(GOLDS, ANSWERS, None, -1)["exact"] == 50
    assert score_v20(GOLDS, ANSWERS, None, -1)["HasAns_exact"] == 0


def test_v20_best_threshold():
    # Begin with 2 (both NoAns right). h1 at 0.1: 3; n1 at 0.2, answered: 2; h2 at 0.3: F1 2⅔, exact 2;
    # n2 at 0.4, empty: unchanged. So 3 of 4 is best, first reached at 0.1.
    chances = {"n2": 0.4, "h2": 0.3, "n1": 0.2, "h1": 0.1}
    scores = score_v20(GOLDS, ANSWERS, chances)
    assert list(scores)[-4:] == ["best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh"]
    assert [scores[key] for key in list(scores)[-4:]] == [75, 0.1, 75, 0.1]
    # only a strict gain moves the threshold from 0
    worse = score_v20(GOLDS[2:], {"n1": "x", "n2": ""}, {"n1": 0.9, "n2": 0.1})
    assert (worse["best_exact"], worse["best_exact_thresh"]) == (100, 0.0)
    # an answer that normalises to nothing is right, yet costs 1 here, as it is not empty
    odd = score_v20([("n", []), ("h", ["red"])], {"n": "the", "h": "red"}, {"n": 0.1, "h": 0.2})
    assert (odd["NoAns_exact"], odd["best_exact"], odd["best_exact_thresh"]) == (100, 50, 0.0)


def test_precision_recall_by_hand():
    chances = {"h1": 0.1, "n1": 0.2, "h2": 0.2, "n2": 0.9}
    curves = precision_recall(GOLDS, ANSWERS, chances)
    # exact: after h1 p 1, r ½; n1 and h2 tie: p ⅓, r ½; n2: p ¼, r ½. Area ½ · 1.
    assert curves["pr_exact"].precisions == [1.0, 1.0, 1 / 3, 1 / 4]
    assert curves["pr_exact"].recalls == [0.0, 0.5, 0.5, 0.5]
    assert curves["pr_exact"].thresholds == [-math.inf, 0.1, 0.2, 0.9]
    assert curves["pr_exact"].average_precision == 50
    # oracle: 1 · ½, then ⅔ · ½
    assert curves["pr_oracle"].average_precision == pytest.approx(100 * (1 / 2 + 1 / 3))
    assert precision_recall(GOLDS[2:], ANSWERS, {"n1": 0, "n2": 0}) == {}


def test_always_null():
    assert always_null([*GOLDS, ("odd", ["the"])]) == {"exact": 60, "f1": 60}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: score_v20(GOLDS, {"h1": "x"}), r"question 'h2' has no prediction \(3 of 4 have none\)"),
        (lambda: score_v20(GOLDS, ANSWERS, {"h1": 0.1}), "question 'h2' has no no-answer score"),
        (lambda: score_v20([], {}), "no question in the data"),
        (lambda: score_v11([], {}), "no question in the data"),
        (lambda: score_v11(GOLDS, ANSWERS), "question 'n1' has no answer.*--script v2.0"),
        (
            lambda: precision_recall(GOLDS, ANSWERS, {**dict.fromkeys(ANSWERS, 0), "z": 1}),
            "no-answer score for 'z'",
        ),
    ],
)
def test_where_the_originals_die_there_is_a_clear_error(call, message):
    with pytest.raises(InputError, match=message):
        call()


def same(actual, expected):
    assert list(actual) == list(expected)
    if SAME_SUM:
        assert actual == expected
    else:
        assert actual == pytest.approx(expected, rel=1e-13, abs=1e-11)


def test_the_generated_pairs_are_those_of_the_golden_values():
    pairs = {
        version: [make_pair(number, version == "v2.0") for number in range(len(GOLDEN["results"]))]
        for version in ("v1.1", "v2.0")
    }
    values = {version: [vars(pair) for pair in made] for version, made in pairs.items()}
    assert hashlib.sha256(json.dumps(values).encode()).hexdigest() == GOLDEN["pairs_sha256"]


@pytest.mark.parametrize("version", ["v1.1", "v2.0"])
def test_equal_to_the_original_script(version):
    scored = 0
    for number, results in enumerate(GOLDEN["results"]):
        pair, expected = make_pair(number, version == "v2.0"), results[version]

        def score(pair=pair):
            if version == "v1.1":
                return score_v11(pair.golds, pair.predictions)
            actual = score_v20(pair.golds, pair.predictions, pair.no_answer, pair.threshold)
            if pair.curves:
                curves = precision_recall(pair.golds, pair.predictions, pair.no_answer)
                actual.update({f"{name}_ap": curve.average_precision for name, curve in curves.items()})
            return actual

        if isinstance(expected, str):  # the exception that the original died of
            with pytest.raises(InputError):
                score()
        else:
            same(score(), expected)
            scored += 1
    assert scored >= 1000


TEXTS = st.lists(st.sampled_from(["", "the", "a", "cat", "Cat.", "dog", "é"]), max_size=3).map(" ".join)


@given(st.lists(st.tuples(st.lists(TEXTS, max_size=3), TEXTS, st.floats(-2, 2)), min_size=1, max_size=6))
def test_numbers_hold_together(questions):
    golds = [(str(number), answers) for number, (answers, _, _) in enumerate(questions)]
    predictions = {str(number): answer for number, (_, answer, _) in enumerate(questions)}
    chances = {str(number): chance for number, (_, _, chance) in enumerate(questions)}
    scores = score_v20(golds, predictions, chances, 0.0)
    for key, value in scores.items():
        assert math.isfinite(value)
        assert key.endswith(("total", "thresh")) or 0 <= value <= 100
    assert scores["f1"] >= scores["exact"] - 1e-9
    for key in ("exact", "f1"):
        # The walk over the thresholds takes no answer to be wrong that is not there …
        assert scores[f"best_{key}"] >= 100 * sum(not gold for _, gold in golds) / len(golds)
        # … and what it calls best is what that threshold gives, if every answer has a word.
        if all(normalise(answer) for answer in predictions.values()) and scores[f"best_{key}_thresh"]:
            again = score_v20(golds, predictions, chances, scores[f"best_{key}_thresh"])
            tied = len(set(chances.values())) < len(chances)
            assert tied or again[key] == pytest.approx(scores[f"best_{key}"])
