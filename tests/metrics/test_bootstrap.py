"""The bootstrap's shortcuts against scoring each resample row by row, and p against exact enumeration."""

import itertools
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from glue.file_scoring import ScoredSplits
from glue.file_scoring import compare_systems as compare
from metrics import bootstrap
from metrics.bootstrap import compare_scores, resampled_scores
from metrics.scores import METRICS

_ACCURACY = ScoredSplits("any", ("accuracy",), ("accuracy",), "accuracy", "dev")


def _labels(rows, labels, seed):
    return tuple(np.random.default_rng(seed).integers(labels, size=(3, rows)))


@pytest.mark.filterwarnings("ignore:.*undefined here")
@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_weighted_correlations_are_those_of_the_repeated_rows(metric):
    generator = np.random.default_rng(5)
    gold = generator.integers(0, 6, size=12) / 1.7 + 3  # ties
    predicted = np.round(gold + generator.normal(size=12), 1)
    weights = bootstrap._draw_counts(12, 200, generator)
    weights[0] = 0
    weights[0, 3] = 12  # one row, twelve times: undefined
    values = bootstrap._FROM_WEIGHTS[metric](weights, gold, predicted)
    for value, counts in zip(values, weights.astype(int), strict=True):
        expected = METRICS[metric](np.repeat(gold, counts), np.repeat(predicted, counts))
        assert value == pytest.approx(expected, abs=1e-9)


def test_draws_are_n_of_n_rows():
    counts = bootstrap._draw_counts(50, 400, np.random.default_rng(0))
    assert counts.shape == (400, 50)
    assert set(counts.sum(axis=1)) == {50.0}
    # a row is drawn Binomial(50, 1/50) times: variance 0.98; 20000 draws leave ± 0.05
    assert counts.var() == pytest.approx(0.98, abs=0.05)


def test_resampled_accuracies_have_the_exact_distribution():
    gold, a, b = np.array([1, 1, 1]), np.array([1, 1, 0]), np.array([1, 0, 0])
    exact = Counter(
        (a[list(sampled)].sum(), b[list(sampled)].sum()) for sampled in itertools.product(range(3), repeat=3)
    )
    pairs = resampled_scores(("accuracy",), gold, (a, b), 40_000, np.random.default_rng(1))["accuracy"]
    actual = Counter(map(tuple, np.rint(pairs * 3).astype(int)))
    assert set(actual) == set(exact)
    for pair, ways in exact.items():
        assert actual[pair] / 40_000 == pytest.approx(ways / 27, abs=0.01)


def test_p_and_interval_against_all_resamples_of_five_rows():
    # A right in rows 0-3, B in row 0 and 4: difference 0.4. Every one of the 5^5 resamples, counted.
    gold, a, b = np.ones(5, int), np.array([1, 1, 1, 1, 0]), np.array([1, 0, 0, 0, 1])
    draws = [np.mean(a[list(d)] - b[list(d)]) for d in itertools.product(range(5), repeat=5)]
    exact_p = np.mean(np.abs(np.array(draws) - 0.4) >= 0.4 - 1e-12)
    result = compare(_ACCURACY, [(gold, a, b)], 40_000, seed=3)["accuracy"]
    assert result["difference"] == pytest.approx(0.4)
    assert result["p"] == pytest.approx(exact_p, abs=0.01)
    assert result["interval_95"] == pytest.approx(list(np.quantile(draws, [0.025, 0.975])), abs=1e-9)


def test_p_and_interval_against_the_exact_distribution_of_many_rows():
    # 4000 rows: A alone right in 260, B alone in 210. A resample's difference is a sum of 4000 draws
    # of +1, 0, −1; its distribution is the 4000-fold convolution of one draw's, by Fourier transform.
    rows = 4000
    a, b = np.ones(rows, int), np.ones(rows, int)
    b[:260], a[260:470] = 0, 0
    one = np.zeros(2 * rows + 1)
    one[[0, 1, -1]] = [(rows - 470) / rows, 260 / rows, 210 / rows]
    exact = np.fft.ifft(np.fft.fft(one) ** rows).real
    sums = np.fft.fftfreq(len(one), 1 / len(one))
    exact_p = exact[np.abs(sums - 50) >= 49.5].sum()
    order = np.argsort(sums)
    low, high = np.interp([0.025, 0.975], np.cumsum(exact[order]), sums[order]) / rows
    result = compare(_ACCURACY, [(np.ones(rows, int), a, b)], 100_000, seed=0)["accuracy"]
    assert result["p"] == pytest.approx(exact_p, abs=0.0015)  # three standard errors of 100 000 draws
    assert result["interval_95"] == pytest.approx([low, high], abs=0.0003)
    assert exact_p == pytest.approx(0.0223, abs=0.0002)  # McNemar's normal approximation, z = 49.5/21.67


def test_equal_systems_differ_by_nothing_with_p_one():
    gold, a, _ = _labels(100, 2, seed=2)
    scored = ScoredSplits("any", ("f1", "accuracy"), ("f1", "accuracy"), "f1_accuracy_mean", "dev")
    for value in compare(scored, [(gold, a, a)], 500, seed=0).values():
        assert value["difference"] == 0.0
        assert value["interval_95"] == [0.0, 0.0]
        assert value["p"] == 1.0


def test_swapping_the_systems_mirrors_the_result():
    gold, a, b = _labels(200, 2, seed=4)
    one = compare(_ACCURACY, [(gold, a, b)], 2000, seed=9)["accuracy"]
    other = compare(_ACCURACY, [(gold, b, a)], 2000, seed=9)["accuracy"]
    assert other["difference"] == -one["difference"]
    assert other["p"] == pytest.approx(one["p"], abs=0.05)
    assert other["interval_95"] == pytest.approx([-one["interval_95"][1], -one["interval_95"][0]], abs=0.02)


def test_main_is_resampled_as_the_mean_of_its_parts():
    gold, a, b = _labels(400, 3, seed=6)
    scored = ScoredSplits("any", ("accuracy",), ("accuracy_x", "accuracy_y"), "mean", "dev_x+dev_y")
    result = compare(scored, [(gold[:200], a[:200], b[:200]), (gold[200:], a[200:], b[200:])], 4000, seed=1)
    widths = {key: value["interval_95"][1] - value["interval_95"][0] for key, value in result.items()}
    # independent files: the variance of the mean is a quarter of the sum
    expected = np.hypot(widths["accuracy_x"], widths["accuracy_y"]) / 2
    assert widths["main"] == pytest.approx(expected, rel=0.08)


def test_the_seed_fixes_the_result_and_chunks_do_not_change_its_meaning(monkeypatch):
    generator = np.random.default_rng(0)
    gold = generator.normal(size=30)
    systems = (gold + generator.normal(size=30), gold + generator.normal(size=30))
    monkeypatch.setattr(bootstrap, "_CHUNK_VALUES", 30 * 7)

    def draw(seed):
        return resampled_scores(("pearson",), gold, systems, 50, np.random.default_rng(seed))["pearson"]

    assert draw(1).shape == (50, 2)
    assert (draw(1) == draw(1)).all()
    assert len(np.unique(draw(1)[:, 0])) == 50


@pytest.mark.parametrize("metrics", [("accuracy",), ("f1", "accuracy"), ("matthews",)])
def test_confusions_drawn_in_chunks_are_those_drawn_at_once(metrics, monkeypatch):
    gold, *systems = _labels(50, 2, seed=3)

    def draw():
        return resampled_scores(metrics, gold, tuple(systems), 1000, np.random.default_rng(1))

    whole = draw()
    monkeypatch.setattr(bootstrap, "_CHUNK_VALUES", 8 * 7)
    parts = draw()
    assert list(parts) == list(metrics)
    for name in metrics:
        assert (parts[name] == whole[name]).all()


@pytest.mark.parametrize("metrics", [("accuracy",), ("pearson", "spearman")])
def test_memory_does_not_grow_with_the_resamples(metrics, monkeypatch):
    """But for the scores themselves: two numbers of eight bytes a score and resample."""
    gold, *systems = _labels(40, 3, seed=8)
    monkeypatch.setattr(bootstrap, "_CHUNK_VALUES", 20_000)
    tracemalloc.start()
    resampled_scores(metrics, gold, tuple(systems), 50_000, np.random.default_rng(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 50_000 * 16 * len(metrics) + 30 * 8 * 20_000


def test_p_is_never_zero():
    assert compare_scores(0.9, 0.1, np.full(999, 0.8))["p"] == 1 / 1000
