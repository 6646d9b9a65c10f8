"""Gradients of whole networks against central differences in float64, with dropout and with padding."""

import math
from pathlib import Path

import numpy as np
import pytest

from checkpoints.network import load_classifier
from encoders.batching import EpochBatches, pack
from encoders.cpu import dropout_masks
from encoders.framework import paddle
from inference.network_engine import tensors
from tests.inference.golden_models import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_gradient_of_every_parameter(name: str, golden_dir: Path) -> None:
    model = load_classifier(golden_dir / name, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    model.to(dtype="float64")
    model.train()
    golden = np.load(golden_dir / name / "outputs.npz")
    ids, token_types = (
        paddle.to_tensor(golden[f"padded.{part}"].astype(np.int64))
        for part in ("input_ids", "token_type_ids")
    )
    mask = paddle.to_tensor(golden["padded.attention_mask"].astype(np.float64))
    labels = paddle.to_tensor(np.array([0, 1, 2]))

    def loss() -> paddle.Tensor:
        dropout_masks.seed(5)  # the same masks every time
        return paddle.nn.functional.cross_entropy(model(ids, token_types, mask), labels, reduction="sum")

    loss().backward()
    draw = np.random.default_rng(0)
    for parameter_name, parameter in model.named_parameters():
        value, gradient = parameter.numpy(), parameter.grad.numpy()
        direction = draw.normal(size=value.shape)
        ends = []
        for step in (1e-5, -1e-5):
            parameter.set_value(value + step * direction)
            ends.append(float(loss()))
        parameter.set_value(value)
        difference = (ends[0] - ends[1]) / 2e-5
        assert (gradient * direction).sum() == pytest.approx(difference, rel=1e-4, abs=1e-6), parameter_name


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_a_batch_give_the_gradient_of_the_whole(name: str, golden_dir: Path) -> None:
    """Rows of many lengths, cut by length: no row sees its neighbours, so the sums are the same."""
    model = load_classifier(golden_dir / name)
    model.to(dtype="float64")
    draw = np.random.default_rng(0)
    rows = [(draw.integers(5, 60, length).tolist(), length // 2) for length in (3, 4, 5, 17, 18, 33)]
    features = pack(rows, np.array([0, 1, 2, 0, 1, 2]))
    order = [np.arange(6)]

    def gradients(part_cost: float) -> tuple[int, dict[str, np.ndarray]]:
        batches = EpochBatches(features, order, part_cost=part_cost)[:]
        for batch in batches:
            ids, token_types, mask = tensors(batch)
            logits = model(ids, token_types, None if mask is None else mask.astype("float64"))
            loss = paddle.nn.functional.cross_entropy(
                logits, paddle.to_tensor(batch.targets), reduction="sum"
            )
            loss.backward()
        actual = {key: parameter.grad.numpy() for key, parameter in model.named_parameters()}
        model.clear_gradients()
        return len(batches), actual

    (one, whole), (several, cut) = gradients(math.inf), gradients(2.0)
    assert (one, several) == (1, 3)
    for key, wanted in whole.items():
        np.testing.assert_allclose(cut[key], wanted, atol=1e-10, err_msg=key)
