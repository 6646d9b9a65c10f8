"""Span heads: losses against values worked out in NumPy by their definition, beams against all pairs."""

import math

import numpy as np
import pytest

from encoders.config import EncoderConfig
from encoders.framework import paddle
from encoders.span_heads import JointSpanHead, LinearSpanHead, SpanModel, mask_question, span_loss

TYPES = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0]])  # second row: two tokens of padding
ALLOWED = np.array([[1, 0, 0, 1, 1, 1], [1, 0, 1, 1, 0, 0]], dtype=bool)
TARGETS = np.array([[3, 4], [0, 0]])
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 30}
CONFIG = EncoderConfig(hidden_size=8, embedding_size=8, **SIZES)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def test_a_span_loss_by_hand():
    # Allowed: 4 positions of equal logits, then 3: each softmax gives 1/4, the second row's 1/3.
    zeros = paddle.zeros([2, 6])
    types = paddle.to_tensor(TYPES)
    loss = span_loss(mask_question(zeros, types), mask_question(zeros, types), paddle.to_tensor(TARGETS))
    assert float(loss) == pytest.approx(math.log(4) + math.log(3), rel=1e-6)
    # A start logit of ln 5 at the target makes it 5 of 8: the mean of −ln ⅝ and −ln ¼, and ln 3.
    start = zeros.clone()
    start[0, 3] = math.log(5)
    loss = span_loss(mask_question(start, types), mask_question(zeros, types), paddle.to_tensor(TARGETS))
    assert float(loss) == pytest.approx((math.log(8 / 5) + math.log(4)) / 2 + math.log(3), rel=1e-6)


def test_question_and_padding_have_no_part():
    logits = paddle.to_tensor(np.random.default_rng(0).normal(size=(2, 6)).astype("float32"))
    share = paddle.nn.functional.softmax(mask_question(logits, paddle.to_tensor(TYPES)), axis=-1).numpy()
    assert (share[~ALLOWED] < 1e-20).all()  # Paddle's softmax knows no smaller share
    assert (share[ALLOWED] > 1e-3).all()


@pytest.fixture
def joint():
    paddle.seed(1)
    head = JointSpanHead(CONFIG, beam=4, answerable_weight=0.5)
    draw = np.random.default_rng(2)
    for parameter in head.parameters():
        parameter.set_value(draw.normal(scale=0.5, size=parameter.shape).astype("float32"))
    return head, draw.normal(size=(2, 6, 8)).astype("float32")


def by_definition(head, hidden):
    """Start logits (B, T), end logits (B, start, T) and impossible logits (B,), in float64, in loops."""
    w = {name: value.numpy().astype("f8") for name, value in head.named_parameters()}
    start = (hidden @ w["start.weight"])[..., 0] + w["start.bias"]
    start = np.where(ALLOWED, start, start - 1000)
    end = np.zeros((2, 6, 6))
    for row in range(2):
        for first in range(6):
            for last in range(6):
                both = np.concatenate([hidden[row, first], hidden[row, last]])
                inner = gelu(both @ w["end_hidden.weight"] + w["end_hidden.bias"])
                end[row, first, last] = (inner @ w["end.weight"] + w["end.bias"])[0]
    end = np.where(ALLOWED[:, None], end, end - 1000)
    mean = np.stack([softmax(start[row]) @ hidden[row] for row in range(2)])
    both = np.concatenate([hidden[:, 0], mean], axis=1)
    inner = gelu(both @ w["answerable_hidden.weight"] + w["answerable_hidden.bias"])
    return start, end, (inner @ w["answerable.weight"] + w["answerable.bias"])[:, 0]


def test_the_joint_loss_is_its_definition(joint):
    head, hidden = joint
    start, end, doubt = by_definition(head, hidden.astype("f8"))
    expected = 0.0
    for row, (first, last) in enumerate(TARGETS):
        expected -= np.log(softmax(start[row])[first]) / 2
        expected -= np.log(softmax(end[row, first])[last]) / 2  # given the true start
    impossible = np.array([0.0, 1.0])
    chance = 1 / (1 + np.exp(-doubt))
    expected -= 0.5 * (np.log(1 - chance[0]) + np.log(chance[1]))
    loss = head.loss(
        paddle.to_tensor(hidden),
        paddle.to_tensor(TYPES),
        paddle.to_tensor(TARGETS),
        paddle.to_tensor(impossible.astype("float32")),
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_beams_are_the_best_of_all_pairs(joint):
    head, hidden = joint
    start, end, doubt = by_definition(head, hidden.astype("f8"))
    beams = [part.numpy() for part in head(paddle.to_tensor(hidden), paddle.to_tensor(TYPES))]
    for row in range(2):
        share = np.log(softmax(start[row]) + 1e-300)
        # only the likeliest 3 of the second row are possible at all
        best = np.argsort(-share)[: min(4, ALLOWED[row].sum())]
        count = len(best)
        assert beams[1][row, :count].tolist() == best.tolist()
        np.testing.assert_allclose(beams[0][row, :count], share[best], rtol=1e-4)
        for rank, first in enumerate(best):
            given = np.log(softmax(end[row, first]) + 1e-300)
            ends = np.argsort(-given)[:count]
            assert beams[3][row, rank, :count].tolist() == ends.tolist()
            np.testing.assert_allclose(beams[2][row, rank, :count], given[ends], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(beams[4], doubt, rtol=1e-4)


@pytest.mark.parametrize("model_type", ["convbert", "electra", "bert"])
@pytest.mark.parametrize("kind", ["linear", "joint"])
def test_padding_changes_nothing(model_type, kind):
    config = EncoderConfig(model_type=model_type, hidden_size=8, embedding_size=8, **SIZES)
    paddle.seed(3)
    model = SpanModel(config, LinearSpanHead(config) if kind == "linear" else JointSpanHead(config, beam=3))
    model.eval()
    ids = np.array([[2, 7, 3, 8, 9, 3]])
    types = np.array([[0, 0, 0, 1, 1, 1]])
    wider, wider_types = (np.pad(x, [(0, 0), (0, 5)]) for x in (ids, types))
    mask = (np.arange(11) < 6)[None].astype("float32")
    alone = model(paddle.to_tensor(ids), paddle.to_tensor(types))
    padded = model(*map(paddle.to_tensor, (wider, wider_types, mask)))
    for a, b in zip(alone, padded, strict=True):
        b = b[:, :6] if kind == "linear" else b
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)
    targets, impossible = paddle.to_tensor([[3, 4]]), paddle.to_tensor([0.0])
    losses = [
        float(model.loss(*map(paddle.to_tensor, inputs), targets, impossible))
        for inputs in ((ids, types, np.ones((1, 6), "float32")), (wider, wider_types, mask))
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
