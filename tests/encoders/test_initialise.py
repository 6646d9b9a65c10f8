"""Random starts: the distribution that initialise promises."""

import math

import numpy as np
import pytest

from encoders.encoder import initialise
from encoders.framework import paddle


@pytest.mark.parametrize("deviation", [0.02, 0.5])
def test_weights_are_normal_cut_at_two_deviations(deviation: float) -> None:
    paddle.seed(3)
    network = paddle.nn.Sequential(paddle.nn.Linear(300, 400), paddle.nn.Linear(400, 300))
    initialise(network, deviation)
    weights = np.concatenate([layer.weight.numpy().ravel() for layer in network]) / deviation
    assert 1.99 < np.abs(weights).max() <= 2.0 + 1e-6
    # Of a normal variable cut at ±2: variance 1 − 4 φ(2) / (2 Φ(2) − 1) = 0.7737, and 0.7152 lies within ±1.
    assert weights.mean() == pytest.approx(0.0, abs=0.01)
    assert weights.var() == pytest.approx(0.7737, abs=0.01)
    inside = math.erf(1 / math.sqrt(2)) / math.erf(2 / math.sqrt(2))
    assert (np.abs(weights) < 1).mean() == pytest.approx(inside, abs=0.01)


def test_biases_and_norms_are_left_as_they_are() -> None:
    class Layer(paddle.nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.norm = paddle.nn.Linear(4, 4), paddle.nn.LayerNorm(4)

    layer = Layer()
    initialise(layer, 0.02)
    assert layer.inner.bias.numpy().tolist() == [0.0] * 4
    assert layer.norm.weight.numpy().tolist() == [1.0] * 4
    assert layer.norm.bias.numpy().tolist() == [0.0] * 4
