"""Adversarial training against its formula, worked out in NumPy for a model of one line."""

from dataclasses import dataclass

import numpy as np
import pytest

from encoders.framework import paddle
from training.regularization.fgm import FGM, perturbation

EPSILON = 0.7


@dataclass(frozen=True)
class Rows:
    ids: np.ndarray  # (B, T)
    signs: np.ndarray  # (B,) ±1


class Scorer(paddle.nn.Layer):
    """Row's score = Σ over its tokens of weight · word vector; its loss = log(1 + exp(−sign · score))."""

    def __init__(self) -> None:
        super().__init__()
        draw = np.random.default_rng(5)
        self.word = paddle.nn.Embedding(6, 4)
        self.weight = self.create_parameter([4])
        self.word.weight.set_value(draw.normal(size=(6, 4)).astype("float32"))
        self.weight.set_value(draw.normal(size=4).astype("float32"))

    def loss(self, rows: Rows) -> paddle.Tensor:
        scores = paddle.matmul(self.word(paddle.to_tensor(rows.ids)), self.weight).sum(axis=1)
        return paddle.nn.functional.softplus(-paddle.to_tensor(rows.signs) * scores).sum()


BATCH = Rows(np.array([[0, 1, 2], [3, 3, 4], [5, 0, 1]]), np.array([1.0, -1.0, -1.0], dtype=np.float32))


def backward(model: Scorer, *batches: Rows, epsilon: float = EPSILON) -> tuple[float, np.ndarray, np.ndarray]:
    """The losses' sum, and the gradients of the word vectors and of the weight."""
    adversary = FGM(model.word, epsilon)

    def once(rows: Rows) -> float:
        loss = model.loss(rows)
        loss.backward()
        return float(loss)

    total = sum(adversary.backward_twice(lambda rows=rows: once(rows)) for rows in batches)
    return total, model.word.weight.grad.numpy(), model.weight.grad.numpy()


def by_formula(model: Scorer, rows: Rows) -> tuple[float, np.ndarray, np.ndarray]:
    """Miyato et al., equations 5 and 6: r = −ε g/‖g‖₂ with g the gradient of log p, so +ε of the loss's."""
    table, weight = model.word.weight.numpy().astype(float), model.weight.numpy().astype(float)
    total, d_table, d_weight = 0.0, np.zeros_like(table), np.zeros_like(weight)
    for ids, sign in zip(rows.ids, rows.signs, strict=True):
        embedded = table[ids]  # (T, E)
        slope = -sign / (1 + np.exp(sign * (embedded @ weight).sum()))
        gradient = slope * np.tile(weight, (len(ids), 1))
        shift = EPSILON * gradient / np.sqrt((gradient**2).sum())
        for point in (embedded, embedded + shift):
            score = (point @ weight).sum()
            slope = -sign / (1 + np.exp(sign * score))
            total += np.log1p(np.exp(-sign * score))
            d_weight += slope * point.sum(axis=0)
            np.add.at(d_table, ids, slope * weight)
    return total, d_table, d_weight


def test_losses_and_gradients_are_those_of_the_formula() -> None:
    model = Scorer()
    for actual, expected in zip(backward(model, BATCH), by_formula(model, BATCH), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_parts_of_a_batch_give_what_the_whole_gives() -> None:
    parts = [Rows(BATCH.ids[cut], BATCH.signs[cut]) for cut in (slice(0, 1), slice(1, 3))]
    for actual, expected in zip(backward(Scorer(), *parts), backward(Scorer(), BATCH), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_the_perturbation_raises_the_loss_and_is_gone_afterwards() -> None:
    model = Scorer()
    clean = float(model.loss(BATCH))
    total, *_ = backward(model, BATCH)
    assert total - clean > clean
    assert float(model.loss(BATCH)) == clean


def test_nothing_stays_behind_where_a_pass_fails() -> None:
    model = Scorer()
    clean = float(model.loss(BATCH))
    adversary = FGM(model.word, EPSILON)
    with pytest.raises(ZeroDivisionError):
        adversary.backward_twice(lambda: 1 / 0)
    assert not model.word._forward_post_hooks
    assert float(model.loss(BATCH)) == clean


@pytest.mark.parametrize("size", [1.0, 1e-30, 1e30])
def test_every_rows_perturbation_has_the_length_given(size: float) -> None:
    gradient = np.random.default_rng(2).normal(size=(3, 5, 4)) * np.array([1, 10, 0.1])[:, None, None] * size
    shift = perturbation(paddle.to_tensor(gradient.astype("float32")), EPSILON).numpy().astype(float)
    np.testing.assert_allclose(np.sqrt((shift**2).sum(axis=(1, 2))), EPSILON, rtol=1e-5)
    cosine = (shift * gradient).sum(axis=(1, 2)) / EPSILON / np.sqrt((gradient**2).sum(axis=(1, 2)))
    np.testing.assert_allclose(cosine, 1.0, rtol=1e-5)


def test_the_perturbation_is_held_fixed() -> None:
    gradient = paddle.ones([2, 3, 4])
    gradient.stop_gradient = False
    assert perturbation(gradient, EPSILON).stop_gradient


def test_a_row_without_a_gradient_or_with_one_that_overflowed_is_left_alone() -> None:
    gradient = np.ones((4, 2, 3), dtype=np.float32)
    gradient[0], gradient[1, 0, 0], gradient[2, 0, 0] = 0.0, np.inf, np.nan
    shift = perturbation(paddle.to_tensor(gradient), EPSILON).numpy()
    assert np.array_equal(shift[:3], np.zeros((3, 2, 3)))
    np.testing.assert_allclose(shift[3], EPSILON / np.sqrt(6), rtol=1e-6)
