"""The golden models under other settings (tests/golden/variants.json): transformers' answers, or a line that
says what is not supported. A folder that loads without a word and answers otherwise is the error_of."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from checkpoints.network import load_classifier
from encoders.framework import paddle
from tests.checkpoints.golden_folders import GOLDEN, error_of, theirs_of

CASES: list[dict[str, Any]] = json.loads((GOLDEN / "variants.json").read_text(encoding="utf-8"))["cases"]
# Settings that must be refused, whatever transformers makes of them, with a word of the message.
REFUSED = {
    "act_gelu_10": "hidden_act", "act_hardswish": "hidden_act", "act_laplace": "hidden_act",
    "act_leaky_relu": "hidden_act", "act_linear": "hidden_act", "act_mish": "hidden_act",
    "act_quick_gelu": "hidden_act", "act_relu2": "hidden_act", "act_relu6": "hidden_act",
    "act_sigmoid": "hidden_act", "act_sqrtsoftplus": "hidden_act",
    "eps_under_another_name": "layer_norm_epsilon", "relative_key": "position_embedding_type",
    "relative_key_query": "position_embedding_type", "decoder": "is_decoder", "cross_attention": "is_decoder",
    "pruned": "pruned_heads", "several_right_at_once": "problem_type",
}  # fmt: skip
# transformers leaves its task-type embeddings aside; here all tensors must be those of the configuration.
STRICTER = [("ernie", "no_task_ids")]


def variant(folder: Path, case: dict[str, Any]) -> Path:
    """The folder that transformers was given."""
    values = json.loads((GOLDEN / case["base"] / "config.json").read_text(encoding="utf-8"))
    for key, value in case["changes"].items():
        values.pop(key, None)
        if value is not None:
            values[key] = value
    tensors = theirs_of(GOLDEN / case["base"])
    last = "classifier.out_proj" if "classifier.out_proj.weight" in tensors else "classifier"
    for part in ("weight", "bias"):
        tensors[f"{last}.{part}"] = tensors[f"{last}.{part}"][: case["labels"]].copy()
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['base']}-{case['name']}")
def test_what_loads_answers_as_transformers(tmp_path: Path, case: dict[str, Any]) -> None:
    folder, name = variant(tmp_path, case), case["name"]
    if name in REFUSED or case["logits"] is None or (case["base"], name) in STRICTER:
        message = error_of(lambda: load_classifier(folder))
        assert message.startswith(str(tmp_path))
        assert REFUSED.get(name, "") in message
        return
    model = load_classifier(folder)
    with np.load(GOLDEN / case["base"] / "outputs.npz") as file:
        inputs = [paddle.to_tensor(file[f"full.{key}"]) for key in ("input_ids", "token_type_ids")]
    with paddle.no_grad():
        logits = model(*inputs).numpy()
    np.testing.assert_allclose(logits, case["logits"], rtol=0, atol=1e-5)
    assert len(model.config.id2label) == case["labels"]
