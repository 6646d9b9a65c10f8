"""R-Drop's loss against the paper's equations, with SciPy's relative entropy."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from encoders.batching import Batch
from encoders.framework import paddle
from training.regularization.r_drop import doubled, symmetric_kl


def test_disagreement_is_half_of_both_divergences_summed_over_the_rows() -> None:
    logits = np.random.default_rng(0).normal(size=(10, 3), scale=2.0)
    first, second = softmax(logits[:5], axis=1), softmax(logits[5:], axis=1)
    expected = sum((entropy(p, q) + entropy(q, p)) / 2 for p, q in zip(first, second, strict=True))
    assert float(symmetric_kl(paddle.to_tensor(logits.astype("float32")))) == pytest.approx(
        expected, rel=1e-5
    )


def test_its_gradient_is_the_formulas() -> None:
    """By finite differences of SciPy's divergences, in float64."""
    logits = np.random.default_rng(1).normal(size=(4, 3))

    def formula(values: np.ndarray) -> float:
        first, second = softmax(values[:2], axis=1), softmax(values[2:], axis=1)
        pairs = zip(first, second, strict=True)
        return float(sum((entropy(p, q) + entropy(q, p)) / 2 for p, q in pairs))

    expected = np.zeros_like(logits)
    for place in np.ndindex(*logits.shape):
        step = np.zeros_like(logits)
        step[place] = 1e-6
        expected[place] = (formula(logits + step) - formula(logits - step)) / 2e-6
    tensor = paddle.to_tensor(logits.astype("float32"), stop_gradient=False)
    symmetric_kl(tensor).backward()
    np.testing.assert_allclose(tensor.grad.numpy(), expected, atol=1e-5)


def test_two_logits_by_hand() -> None:
    """P₁ = (½, ½), P₂ = (¾, ¼): KL(P₁‖P₂) = ½ ln(4/3), KL(P₂‖P₁) = ¾ ln(3/2) − ¼ ln 2."""
    logits = paddle.to_tensor([[0.0, 0.0], [float(np.log(3)), 0.0]])
    by_hand = (0.5 * np.log(4 / 3) + 0.75 * np.log(1.5) - 0.25 * np.log(2)) / 2
    assert float(symmetric_kl(logits)) == pytest.approx(by_hand, rel=1e-6)


def test_answers_alike_do_not_disagree_and_ruled_out_positions_do_no_harm() -> None:
    alike = paddle.to_tensor(np.tile([[2.0, -1000.0, 0.5]], (2, 1)).astype("float32"))
    assert float(symmetric_kl(alike)) == 0.0
    apart = paddle.to_tensor(np.array([[2, -1000, 0.5], [1, -1000, 0.5]], dtype="float32"))
    p, q = softmax([2, 0.5]), softmax([1, 0.5])
    assert float(symmetric_kl(apart)) == pytest.approx((entropy(p, q) + entropy(q, p)) / 2, rel=1e-5)


def test_a_regressions_disagreement_is_the_squared_difference() -> None:
    logits = paddle.to_tensor([[1.0], [4.0], [3.0], [4.5]])
    assert float(symmetric_kl(logits)) == (1 - 3) ** 2 + (4 - 4.5) ** 2


@pytest.mark.parametrize("padded", [True, False])
def test_a_doubled_batch_is_the_batch_twice(padded: bool) -> None:
    ids = np.array([[1, 2, 3], [4, 5, 0]])
    mask = (ids > 0).astype(np.float32) if padded else None
    batch = Batch(ids, ids % 2, mask, np.array([1.5, 2.5]), np.array([7, 9]))
    twice = doubled(batch)
    assert len(twice) == 4
    for half in (slice(0, 2), slice(2, 4)):
        assert np.array_equal(twice.ids[half], ids)
        assert np.array_equal(twice.token_types[half], ids % 2)
        assert (twice.mask is None) if mask is None else np.array_equal(twice.mask[half], mask)
        assert twice.targets[half].tolist() == [1.5, 2.5]
        assert twice.rows[half].tolist() == [7, 9]
