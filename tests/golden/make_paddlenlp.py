"""Make the golden folders of paddlenlp/ with PaddleNLP; see README.md. Not run by the tests.

    python tests/golden/make_paddlenlp.py [NAME …]

As make_golden.py: random weights of a fixed seed, every kind away from its neutral value. A folder is what
``save_pretrained`` writes, with ``outputs.npz``: input_ids, token_type_ids, last_hidden_state, logits.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddlenlp import transformers

HERE = Path(__file__).resolve().parent / "paddlenlp"
SHARED: dict[str, Any] = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 32, "max_position_embeddings": 20, "num_labels": 3,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any], int]] = {
    "convbert": ("ConvBert", {"embedding_size": 8}, 1),
    "convbert_grouped": ("ConvBert", {"embedding_size": 8, "num_groups": 2}, 2),
    "electra": ("Electra", {"embedding_size": 8}, 3),
    "bert": ("Bert", {}, 4),
    "ernie": ("Ernie", {"hidden_act": "relu", "use_task_id": True, "task_type_vocab_size": 3}, 5),
    "roberta": (
        "Roberta",
        {
            "type_vocab_size": 1,
            "pad_token_id": 1,
            "layer_norm_eps": 1e-5,
            "max_position_embeddings": 22,
        },
        6,
    ),
    "distilbert": ("DistilBert", {}, 7),
    "deberta_v3": (
        "DebertaV2",
        {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 4,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
        8,
    ),
}


def make_model(name: str) -> None:
    family, settings, seed = MODELS[name]
    config = getattr(transformers, f"{family}Config")(**{**SHARED, **settings})
    model = getattr(transformers, f"{family}ForSequenceClassification")(config)
    random = np.random.default_rng(seed)
    for key, parameter in sorted(model.named_parameters()):
        values = random.standard_normal(parameter.shape).astype(np.float32)
        if "norm" in key.lower() and key.endswith("weight"):
            values = 1 + 0.2 * values
        else:
            values = (0.03 if "embeddings.weight" in key else 0.2) * values
        parameter.set_value(values)
    model.eval()
    model.save_pretrained(HERE / name)
    ids = random.integers(5, SHARED["vocab_size"], (3, 12))
    types = (np.arange(12) >= np.array([[4], [7], [9]])).astype(np.int64)
    inputs = [paddle.to_tensor(ids), paddle.to_tensor(types)]
    inputs = inputs[:1] if name in ("roberta", "distilbert", "deberta_v3") else inputs  # they have one type
    with paddle.no_grad():
        answer = getattr(model, config.model_type.split("-")[0])(*inputs)
        hidden = answer[0] if isinstance(answer, tuple | list) else answer
        logits = model(*inputs)
    np.savez(
        HERE / name / "outputs.npz",
        input_ids=ids, token_type_ids=types, last_hidden_state=hidden.numpy(), logits=logits.numpy(),
    )  # fmt: skip


def make_pair() -> None:
    """A generator and a discriminator as pre-training saves them, and the discriminator's hidden states."""
    paddle.seed(6)
    config = transformers.ConvBertConfig(**SHARED, embedding_size=8)
    model = transformers.ConvBertForTotalPretraining(config)
    for parameter in model.parameters():  # PaddleNLP begins narrow: the two should differ visibly
        parameter.set_value(parameter + 0.1 * paddle.randn(parameter.shape))
    model.eval()
    folder = HERE / "pairs" / "convbert"
    model.save_pretrained(folder)
    ids = np.random.default_rng(6).integers(5, SHARED["vocab_size"], (3, 12))
    with paddle.no_grad():
        answer = model.discriminator.convbert(paddle.to_tensor(ids))
        hidden = answer[0] if isinstance(answer, tuple) else answer
    np.savez(folder / "outputs.npz", input_ids=ids, last_hidden_state=hidden.numpy())


def make_old_pickles() -> None:
    """What ``paddle.save`` made of a state dict in protocol 2, its default in 2.0, and in nested form."""
    layer = paddle.nn.Linear(2, 3)
    layer.weight.set_value(np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5)
    layer.bias.set_value(np.array([0.5, -1, 200], np.float32))
    paddle.save(layer.state_dict(), str(HERE / "protocol2.pdparams"), protocol=2)
    half, brain = layer.bias.astype("float16"), layer.bias.astype("bfloat16")
    paddle.save({**layer.state_dict(), "half": half, "brain": brain}, str(HERE / "kinds.pdparams"))


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        make_model(name)
    if len(sys.argv) == 1:
        make_pair()
        make_old_pickles()
    print(json.dumps({"paddle": paddle.__version__, "numpy": np.__version__}))
