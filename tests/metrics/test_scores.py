"""Scores against hand-worked numbers, and what happens where a score is undefined."""

import math
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from metrics.scores import METRICS, UndefinedScoreWarning, accuracy, f1, matthews, pearson, spearman

# gold and predicted with TP 3, FN 1, FP 2, TN 4
GOLD = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
PREDICTED = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("score", "gold", "predicted", "expected"),
    [
        (accuracy, GOLD, PREDICTED, 7 / 10),
        (f1, GOLD, PREDICTED, 2 * 3 / (2 * 3 + 2 + 1)),
        (matthews, GOLD, PREDICTED, (3 * 4 - 2 * 1) / math.sqrt(5 * 4 * 6 * 5)),
        (f1, PREDICTED, GOLD, 2 * 3 / (2 * 3 + 2 + 1)),
        # three labels, R_K of Gorodkin 2004 by hand: 3 of 4 right
        (matthews, [0, 1, 2, 2], [0, 1, 2, 0], (3 * 4 - (1 * 2 + 1 * 1 + 2 * 1)) / math.sqrt(10 * 10)),
        # deviations (-2 -1 0 1 2) and (-2 0 -1 1 2): 9 / sqrt(10 · 10)
        (pearson, [1, 2, 3, 4, 5], [1, 3, 2, 4, 5], 0.9),
        (pearson, [1.0, 2.0], [7.0, -1.0], -1.0),
        # no ties: 1 − 6·Σd²/(n(n²−1)) = 1 − 6·2/120
        (spearman, [1, 2, 3, 4, 5], [10, 30, 20, 40, 500], 0.9),
        # a tie: ranks (1 2 3 4) and (1.5 1.5 3 4); Pearson of the ranks is 4.5 / sqrt(5 · 4.5)
        (spearman, [1, 2, 3, 4], [0.5, 0.5, 0.7, 0.9], 4.5 / math.sqrt(5 * 4.5)),
    ],
)  # fmt: skip
def test_hand_worked_value(score, gold, predicted, expected):
    assert score(gold, predicted) == pytest.approx(expected, abs=1e-12)


def test_f1_is_that_of_the_second_label():
    assert f1([1, 0, 0, 0], [1, 0, 0, 0]) == 1.0
    assert f1([1, 0, 0, 0], [0, 0, 0, 0]) == 0.0  # defined: there is a positive row, and it was missed
    assert f1([1, 1, 1, 0], [1, 1, 1, 1]) == pytest.approx(6 / 7)


@pytest.mark.parametrize(
    ("score", "gold", "predicted", "reason"),
    [
        (matthews, [0, 1, 1], [1, 1, 1], "every prediction is 1"),
        (matthews, [0, 0, 0], [0, 1, 1], "every gold value is 0"),
        (matthews, [1, 1], [1, 1], "every prediction is 1"),
        (pearson, [1.0, 2.0], [2.7, 2.7], "every prediction is 2.7"),
        (pearson, [3.0, 3.0], [2.7, 2.9], "every gold value is 3"),
        (pearson, [1.0, 2.0, 3.0], [2.7, 2.7 + 4e-16, 2.7], "every prediction is 2.7"),
        (pearson, [1.0, 2.0, 3.0], [2.7, 2.7 + 8e-13, 2.7], "every prediction is 2.7"),  # SciPy warns, too
        (pearson, [1.0], [1.0], "every prediction is 1"),
        (spearman, [1.0, 2.0], [2.7, 2.7], "every prediction is 2.7"),
        (spearman, [3.0, 3.0], [2.7, 2.9], "every gold value is 3"),
        (f1, [0, 0, 0], [0, 0, 0], "neither the gold labels nor the predictions"),
    ],
)
def test_an_undefined_score_is_zero_with_one_warning(score, gold, predicted, reason):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert score(gold, predicted) == 0.0
    assert len(caught) == 1
    assert caught[0].category is UndefinedScoreWarning
    message = str(caught[0].message)
    assert message.startswith(f"{score.__name__} is undefined here: {reason}")


def test_a_constant_prediction_has_an_accuracy():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert accuracy([0, 0, 1, 1, 0], [0, 0, 0, 0, 0]) == 0.6
        assert f1([1, 1, 0], [1, 1, 1]) == pytest.approx(0.8)
        assert f1([1, 1, 0], [0, 0, 0]) == 0.0


@pytest.mark.parametrize("score", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([1, 0], [1], "2 gold values but 1 predictions"),
        ([], [], "no rows to score"),
        ([1.0, 0.0], [1.0, math.nan], "predicted value of row 1 is nan"),
        ([math.inf, 0.0], [1.0, 0.0], "gold value of row 0 is inf"),
        ([[1, 0]], [[1, 0]], r"shape \(1, 2\)"),
        (["0", "1"], ["0", "1"], "give numbers"),
    ],
)
def test_arrays_that_cannot_be_scored(score, gold, predicted, message):
    with pytest.raises(InputError, match=message):
        score(gold, predicted)


@pytest.mark.parametrize("score", [accuracy, f1, matthews])
def test_a_fraction_is_no_label_id(score):
    with pytest.raises(InputError, match=r"predicted label of row 1 is 0\.5"):
        score([0, 1], [0, 0.5])


_PAIRS = st.integers(1, 40).flatmap(
    lambda rows: st.tuples(*[st.lists(st.integers(0, 2), min_size=rows, max_size=rows) for _ in range(2)])
)


@pytest.mark.filterwarnings("ignore:.*undefined here")
@pytest.mark.parametrize("score", METRICS.values(), ids=METRICS)
@given(pair=_PAIRS)
def test_never_nan_symmetric_and_within_its_range(score, pair):
    gold, predicted = pair
    value = score(gold, predicted)
    assert -1 - 1e-12 <= value <= 1 + 1e-12
    assert score(predicted, gold) == pytest.approx(value, abs=1e-12)


_NUMBERS = st.sampled_from([0.0, 1.0, 2.7, 2.7 + 8e-13, 2.7 + 9e-12, 5e-324, 1e-200, 1e154, 1e308, -1.7e308])
_NUMBER_PAIRS = st.integers(1, 6).flatmap(
    lambda rows: st.tuples(*[st.lists(_NUMBERS, min_size=rows, max_size=rows) for _ in range(2)])
)


@pytest.mark.parametrize(
    ("score", "strategy"),
    [*[(score, _PAIRS) for score in METRICS.values()], (pearson, _NUMBER_PAIRS), (spearman, _NUMBER_PAIRS)],
)
@given(data=st.data())
def test_the_libraries_own_warnings_never_show_and_numbers_of_any_size_have_a_score(score, strategy, data):
    gold, predicted = data.draw(strategy)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = score(gold, predicted)
    assert -1 - 1e-12 <= value <= 1 + 1e-12
    assert [warning.category for warning in caught] in ([], [UndefinedScoreWarning])
    assert not caught or value == 0.0


def test_numbers_near_the_largest_correlate_as_small_ones_do():
    gold, predicted = [1.0, 2.0, 4.0, 1.0], [0.5, 2.0, 3.0, 1.5]
    expected = pearson(gold, predicted)
    assert pearson([x * 2.0**1000 for x in gold], [-x * 2.0**1021 for x in predicted]) == -expected
    assert pearson([x * 2.0**-1000 for x in gold], [x * 2.0**-1070 for x in predicted]) == expected
