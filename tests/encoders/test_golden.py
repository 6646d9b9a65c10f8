"""Every model type against transformers 5.23.0 (see tests/golden/README.md), at 1e-5."""

from pathlib import Path

import numpy as np
import pytest

from checkpoints.folder import read_config
from checkpoints.network import load_classifier
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.model_types import MODEL_TYPES

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = sorted(path.parent.name for path in GOLDEN.glob("*/outputs.npz"))
CONV_NAMES = [name for name in NAMES if name.startswith("convbert")]


def answers(model: SentenceClassifier, golden: dict, case: str) -> tuple[np.ndarray, np.ndarray]:
    real = golden[f"{case}.attention_mask"]
    ids = paddle.to_tensor(golden[f"{case}.input_ids"].astype(np.int64))
    token_types = paddle.to_tensor(golden[f"{case}.token_type_ids"].astype(np.int64))
    mask = None if real.all() else paddle.to_tensor(real.astype(np.float32))
    with paddle.no_grad():
        return model.encoder(ids, token_types, mask).numpy(), model(ids, token_types, mask).numpy()


def test_every_model_type_has_golden_values() -> None:
    same = {"xlm-roberta": "roberta"}  # the networks are alike
    types = {read_config(GOLDEN / name).model_type for name in NAMES}
    assert types == {same.get(name, name) for name in MODEL_TYPES}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["full", "padded", "alone0", "alone1", "alone2"])
def test_equals_transformers(name: str, case: str) -> None:
    golden = np.load(GOLDEN / name / "outputs.npz")
    hidden, logits = answers(load_classifier(GOLDEN / name, reference_padding=True), golden, case)
    real = golden[f"{case}.attention_mask"].astype(bool)
    np.testing.assert_allclose(hidden[real], golden[f"{case}.last_hidden_state"][real], atol=1e-5, rtol=0)
    np.testing.assert_allclose(logits, golden[f"{case}.logits"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_does_not_depend_on_its_batch(name: str) -> None:
    """Padded among longer rows, each row gives what transformers gives for it alone, unpadded."""
    golden = np.load(GOLDEN / name / "outputs.npz")
    hidden, logits = answers(load_classifier(GOLDEN / name), golden, "padded")
    for row, length in enumerate(golden["padded.attention_mask"].sum(axis=1).astype(int)):
        alone = golden[f"alone{row}.last_hidden_state"][0]
        np.testing.assert_allclose(hidden[row, :length], alone, atol=1e-5, rtol=0)
        np.testing.assert_allclose(logits[row], golden[f"alone{row}.logits"][0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CONV_NAMES)
def test_published_padding_leaks_and_the_switch_shows_it(name: str) -> None:
    golden = np.load(GOLDEN / name / "outputs.npz")
    _, ours = answers(load_classifier(GOLDEN / name), golden, "padded")
    _, published = answers(load_classifier(GOLDEN / name, reference_padding=True), golden, "padded")
    assert np.abs(ours - published)[1:].max() > 1e-3  # rows 1 and 2 are padded
    np.testing.assert_allclose(ours[0], published[0], atol=1e-5)  # row 0 is not
