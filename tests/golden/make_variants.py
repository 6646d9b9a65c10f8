"""Make variants.json: the golden models under other settings, and what transformers answers; see README.md.

    python tests/golden/make_variants.py

Every case is one of the folders that make_golden.py wrote, with changes to its config.json (null takes a key
out) and the first ``labels`` rows of its head. The logits are transformers' for the three unpadded rows of
``full``, in float64 from the float32 weights, or null where transformers does not load the folder either.
"""

import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import transformers

HERE = Path(__file__).resolve().parent
CLASSES = {"bert": "Bert", "electra": "Electra", "ernie": "Ernie", "convbert_small": "ConvBert"}
ACTIVATIONS = [name for name in transformers.activations.ACT2CLS if name not in ("prelu", "xielu")]
# Changes to config.json that are tried on every model.
SETTINGS: dict[str, dict[str, Any]] = {
    **{f"act_{name}": {"hidden_act": name} for name in ACTIVATIONS},
    "eps_1e-3": {"layer_norm_eps": 1e-3},
    "eps_1e-5": {"layer_norm_eps": 1e-5},
    "eps_under_another_name": {"layer_norm_epsilon": 1e-3},
    "relative_key": {"position_embedding_type": "relative_key"},
    "relative_key_query": {"position_embedding_type": "relative_key_query"},
    "absolute": {"position_embedding_type": "absolute"},
    "decoder": {"is_decoder": True},
    "cross_attention": {"is_decoder": True, "add_cross_attention": True},
    "pruned": {"pruned_heads": {"0": [1]}},
    "nothing_pruned": {"pruned_heads": {}},
    "summary": {"summary_type": "mean", "summary_use_proj": False, "summary_activation": "tanh"},
    "of_old_versions": {
        "output_past": True, "gradient_checkpointing": True, "torchscript": True, "_num_labels": 3,
        "finetuning_task": None, "use_bfloat16": False, "directionality": "bidi",
        "pooler_type": "first_token_transform", "pooler_fc_size": 768, "_name_or_path": "x",
        "layer_norm_eps": None,
    },
    "chunks": {"chunk_size_feed_forward": 4},
    "untied": {"tie_word_embeddings": False, "use_cache": False},
    "dropout": {"classifier_dropout": 0.5, "hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2},
    "another_padding": {"pad_token_id": 7},
    "padding_unsaid": {"pad_token_id": None},
    "no_architectures": {"architectures": None},
    "no_model_type": {"model_type": None},
    "neither": {"model_type": None, "architectures": None},
    "embedding_size_unsaid": {"embedding_size": None},
    "task_ids": {"use_task_id": True},
    "no_task_ids": {"use_task_id": False},
    "head_ratio": {"head_ratio": 4},
    "many_heads": {"num_attention_heads": 8},
    "one_head": {"num_attention_heads": 1},
    "float16": {"dtype": "float16"},
    "labels_in_another_order": {"id2label": {"0": "neutral", "1": "contradiction", "2": "entailment"}},
    "several_right_at_once": {"problem_type": "multi_label_classification"},
    "unknown": {"a_setting_of_nobody": 3},
}  # fmt: skip
# And with so many rows of the head.
HEADS: dict[str, tuple[int, dict[str, Any]]] = {
    "two_unnamed": (2, {"id2label": None, "label2id": None}),
    "two_counted": (2, {"id2label": None, "label2id": None, "num_labels": 2}),
    "one_counted": (1, {"id2label": None, "label2id": None, "num_labels": 1}),
}


def logits(base: str, labels: int, changes: dict[str, Any]) -> list[list[float]] | None:
    """What transformers answers; None where it does not load the folder."""
    values = json.loads((HERE / base / "config.json").read_text(encoding="utf-8"))
    values = {
        key: value for key, value in {**values, **changes}.items() if value is not None or key not in changes
    }
    tensors = safetensors.torch.load_file(HERE / base / "model.safetensors")
    last = "classifier.out_proj" if "classifier.out_proj.weight" in tensors else "classifier"
    for part in ("weight", "bias"):
        tensors[f"{last}.{part}"] = tensors[f"{last}.{part}"][:labels].clone()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(values), encoding="utf-8")
        safetensors.torch.save_file(tensors, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        try:
            model = getattr(transformers, f"{CLASSES[base]}ForSequenceClassification").from_pretrained(
                folder, dtype=torch.float32, attn_implementation="eager"
            )
        except Exception as error:
            print(f"{base} {changes}: {type(error).__name__} {str(error)[:80]!r}")
            return None
    with np.load(HERE / base / "outputs.npz") as file:
        inputs = {
            key: torch.tensor(file[f"full.{key}"])
            for key in ("input_ids", "token_type_ids", "attention_mask")
        }
    with torch.no_grad():
        answer = model.eval().double()(**inputs).logits
    return [[float(f"{value:.7f}") for value in row] for row in answer.numpy()]


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    cases = []
    for base in CLASSES:
        table = {**{name: (3, changes) for name, changes in SETTINGS.items()}, **HEADS}
        for name, (labels, changes) in table.items():
            answer = logits(base, labels, changes)
            cases.append({"base": base, "name": name, "labels": labels, "changes": changes, "logits": answer})
    made_with = {
        "python": platform.python_version(),
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
    lines = ",\n".join(json.dumps(case) for case in cases)  # a case a line
    content = f'{{"made_with": {json.dumps(made_with)},\n"cases": [\n{lines}\n]}}\n'
    (HERE / "variants.json").write_bytes(content.encode("ascii"))


if __name__ == "__main__":
    main()
