"""Batches without their padding: where every token goes, and that a row sees nothing but itself."""

from pathlib import Path

import numpy as np
import pytest

from checkpoints.network import load_classifier
from encoders.cpu import kernels
from encoders.cpu.unpadding import Unpadding, unpad_input
from encoders.framework import paddle
from tests.inference.golden_models import NAMES

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler here, or none that fits")
LENGTHS = [3, 1, 5, 2]


def unpadding() -> Unpadding:
    unpadded = unpad_input(paddle.to_tensor((np.arange(5) < np.array(LENGTHS)[:, None]).astype("float32")))
    assert unpadded is not None
    return unpadded


def test_tokens_know_their_row_and_position() -> None:
    unpadded = unpadding()
    assert unpadded.starts.tolist() == [0, 3, 4, 9, 11]
    assert unpadded.positions.numpy().tolist() == [0, 1, 2, 0, 0, 1, 2, 3, 4, 0, 1]
    assert unpadded.bounds.tolist() == [[0, 3]] * 3 + [[3, 4]] + [[4, 9]] * 5 + [[9, 11]] * 2
    ids = np.arange(20).reshape(4, 5)
    assert unpadded.unpad_ids(paddle.to_tensor(ids)).numpy().tolist() == [
        [0, 1, 2, 5, 10, 11, 12, 13, 14, 15, 16]
    ]


def test_pad_to_heads_and_back_by_hand() -> None:
    """Token p has the numbers 100 p + column; head h has the columns 2 h and 2 h + 1."""
    unpadded = unpadding()
    values = (100.0 * np.arange(11)[:, None] + np.arange(6)).astype("float32")
    x = paddle.to_tensor(values[None], stop_gradient=False)
    padded = unpadded.pad_to_heads(x, 3)
    wanted = np.zeros((4, 3, 5, 2), dtype="float32")
    for row, (start, length) in enumerate(zip(unpadded.starts, LENGTHS, strict=False)):
        for head in range(3):
            wanted[row, head, :length] = values[start : start + length, 2 * head : 2 * head + 2]
    np.testing.assert_array_equal(padded.numpy(), wanted)
    np.testing.assert_array_equal(unpadded.unpad_from_heads(padded).numpy(), x.numpy())
    np.testing.assert_array_equal(unpadded.first_token(x).numpy()[:, 0], values[[0, 3, 4, 9]])
    np.testing.assert_array_equal(unpadded.pad(x).numpy()[2], values[4:9])
    assert not unpadded.pad(x).numpy()[1, 1:].any()

    weights = np.random.default_rng(0).normal(size=padded.shape).astype("float32")
    (padded * paddle.to_tensor(weights)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[0, 4:9, 2:4], weights[2, 1])
    heads = paddle.to_tensor(wanted, stop_gradient=False)
    (unpadded.unpad_from_heads(heads) * x.detach()).sum().backward()
    np.testing.assert_array_equal(heads.grad.numpy(), wanted)


@pytest.mark.parametrize(
    "mask", [[[1, 0, 1], [1, 1, 1]], [[0, 1, 1], [1, 1, 1]], [[0, 0, 0], [1, 1, 1]], [[1, 0.5, 0], [1, 1, 1]]]
)
def test_other_masks_keep_their_padding(mask: list[list[float]]) -> None:
    assert unpad_input(paddle.to_tensor(np.array(mask, dtype="float32"))) is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [False, True])
def test_states_are_those_of_each_row_alone(name: str, training: bool, golden_dir: Path) -> None:
    """And at padding stand zeros."""
    encoder = load_classifier(
        golden_dir / name, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    ).encoder
    encoder.train() if training else encoder.eval()
    golden = np.load(golden_dir / name / "outputs.npz")
    ids, types, mask = (
        golden[f"padded.{part}"] for part in ("input_ids", "token_type_ids", "attention_mask")
    )
    tensors = [paddle.to_tensor(each.astype("int64")) for each in (ids, types)]
    depths = list(range(1, encoder.config.num_hidden_layers + 1))
    together = encoder.states(*tensors, paddle.to_tensor(mask.astype("float32")), depths)
    for row, length in enumerate(mask.sum(axis=1).astype(int)):
        alone = encoder.states(*(each[row : row + 1, :length] for each in tensors), None, depths)
        for actual, wanted in zip(together, alone, strict=True):
            np.testing.assert_allclose(actual.numpy()[row, :length], wanted.numpy()[0], atol=1e-5)
            assert not actual.numpy()[row, length:].any()


def test_published_padding_is_not_left_out(golden_dir: Path) -> None:
    """There the convolutions read the states at padding, so those must be computed."""
    encoder = load_classifier(golden_dir / "convbert_small", reference_padding=True).encoder
    mask = paddle.to_tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    ids = paddle.to_tensor([[5, 6, 0], [7, 8, 9]])
    states = encoder(ids, paddle.zeros_like(ids), mask).numpy()
    assert states[0, 2].any()
