"""Make the golden values of this folder with transformers and torch; see README.md. Not run by the tests.

    python tests/golden/make_golden.py [models] [tokenizer] [folders] [NAME of a model …]

Every model gets random weights of a fixed seed, every parameter of every kind away from its neutral
value (LayerNorm scale is not 1, no bias is 0, embeddings are small so that the LayerNorm epsilon counts),
so that a wrong detail of an implementation shows in the outputs. The outputs are computed in float64 from
the float32 weights that are saved, and stored as float32.
"""

import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import nasty_texts
import numpy as np
import tokenizer_folders
import tokenizers
import torch
import transformers

HERE = Path(__file__).resolve().parent
LENGTHS = (20, 13, 5)
LABELS = ("contradiction", "entailment", "neutral")

SHARED: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "id2label": dict(enumerate(LABELS)),
    "label2id": {label: index for index, label in enumerate(LABELS)},
}
CONVBERT = {
    "embedding_size": 16,
    "head_ratio": 2,
    "conv_kernel_size": 9,
    "num_groups": 1,
    "hidden_act": "gelu",
}

# name of the folder: (class of the configuration, class of the model, settings, seed)
MODELS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "convbert_small": ("ConvBertConfig", "ConvBertForSequenceClassification", CONVBERT, 1),
    "convbert_grouped": (
        "ConvBertConfig", "ConvBertForSequenceClassification", CONVBERT | {"num_groups": 2}, 2,
    ),
    "convbert_base": (
        "ConvBertConfig", "ConvBertForSequenceClassification", CONVBERT | {"embedding_size": 32}, 3,
    ),
    "convbert_ratio4": (
        "ConvBertConfig", "ConvBertForSequenceClassification",
        CONVBERT | {"head_ratio": 4, "conv_kernel_size": 5}, 4,
    ),
    "electra": (
        "ElectraConfig", "ElectraForSequenceClassification", {"embedding_size": 16, "hidden_act": "gelu"}, 5,
    ),
    "bert": ("BertConfig", "BertForSequenceClassification", {"hidden_act": "gelu"}, 6),
    "ernie": (
        "ErnieConfig", "ErnieForSequenceClassification",
        {"hidden_act": "relu", "use_task_id": True, "task_type_vocab_size": 3}, 7,
    ),
    "roberta": (
        "RobertaConfig", "RobertaForSequenceClassification", {"type_vocab_size": 1, "pad_token_id": 1}, 8,
    ),
    "distilbert": (
        "DistilBertConfig", "DistilBertForSequenceClassification",
        {"hidden_dim": 64, "intermediate_size": None, "type_vocab_size": None, "layer_norm_eps": None}, 9,
    ),
    # As DeBERTa-v3: buckets, and distances that go through the content's own query and key.
    "deberta_v3": (
        "DebertaV2Config", "DebertaV2ForSequenceClassification",
        {
            "type_vocab_size": 0, "relative_attention": True, "position_buckets": 8, "share_att_key": True,
            "norm_rel_ebd": "layer_norm", "position_biased_input": False, "pos_att_type": ["p2c", "c2p"],
            "layer_norm_eps": 1e-7, "max_relative_positions": -1,
        }, 10,
    ),
    # The other choices, and the convolution.
    "deberta_v2": (
        "DebertaV2Config", "DebertaV2ForSequenceClassification",
        {
            "relative_attention": True, "pos_att_type": "c2p|p2c", "conv_kernel_size": 3, "conv_act": "gelu",
            "conv_groups": 2, "max_relative_positions": 16,
        }, 11,
    ),
    # The first layer global, the second local with a window that most rows are longer than.
    "modernbert": (
        "ModernBertConfig", "ModernBertForSequenceClassification",
        {
            "local_attention": 8, "global_attn_every_n_layers": 2, "type_vocab_size": None,
            "layer_norm_eps": None,
        }, 12,
    ),
    # A window in which every padded token sees a real one: else transformers' mean of the row is NaN.
    "modernbert_mean": (
        "ModernBertConfig", "ModernBertForSequenceClassification",
        {
            "local_attention": 30, "global_attn_every_n_layers": 3, "type_vocab_size": None,
            "layer_norm_eps": None, "classifier_pooling": "mean", "norm_bias": True, "attention_bias": True,
            "mlp_bias": True, "classifier_bias": True,
        }, 13,
    ),
}  # fmt: skip
# Models that take no token types; what the others make of those of the batch is in their outputs.
WITHOUT_TOKEN_TYPES = ("roberta", "distilbert", "modernbert")


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Give every parameter random values of a size that keeps activations near 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
            if "norm" in name.split(".")[-2].lower() and name.endswith(".weight"):
                values = 1 + 0.2 * values
            elif "embeddings.weight" in name:
                values = 0.03 * values
            else:
                values = 0.2 * values
            parameter.copy_(values)


def make_batch(seed: int) -> dict[str, np.ndarray]:
    """Three unpadded rows of 20 tokens: [CLS] = 2, [SEP] = 3, the second segment starts elsewhere in each."""
    random = np.random.default_rng(seed)
    input_ids = random.integers(5, SHARED["vocab_size"], (3, LENGTHS[0]))
    input_ids[:, 0] = 2
    token_type_ids = np.zeros_like(input_ids)
    for row, (length, boundary) in enumerate(zip(LENGTHS, (9, 7, 3), strict=True)):
        input_ids[row, [boundary - 1, length - 1]] = 3
        token_type_ids[row, boundary:] = 1
    attention_mask = np.ones_like(input_ids)
    return {"input_ids": input_ids, "token_type_ids": token_type_ids, "attention_mask": attention_mask}


def cases_of(batch: dict[str, np.ndarray], pad_id: int) -> dict[str, dict[str, np.ndarray]]:
    """The inputs by case: the full batch, the batch cut to LENGTHS and padded, each cut row alone."""
    inside = np.arange(LENGTHS[0]) < np.array(LENGTHS)[:, None]
    cases = {"full": batch, "padded": {name: values * inside for name, values in batch.items()}}
    cases["padded"]["input_ids"] += pad_id * ~inside
    for row, length in enumerate(LENGTHS):
        cases[f"alone{row}"] = {name: values[row : row + 1, :length] for name, values in batch.items()}
    return cases


def make_model(name: str) -> None:
    """Write the folder of one model: config.json, model.safetensors, outputs.npz."""
    config_class, model_class, settings, seed = MODELS[name]
    settings = {key: value for key, value in {**SHARED, **settings}.items() if value is not None}
    config = getattr(transformers, config_class)(**settings)
    config._attn_implementation = "eager"
    model = getattr(transformers, model_class)(config).eval()
    randomise(model, seed)
    model.save_pretrained(HERE / name)
    model = model.double()

    arrays: dict[str, np.ndarray] = {}
    for case, inputs in cases_of(make_batch(seed), config.pad_token_id).items():
        given = {key: torch.tensor(values) for key, values in inputs.items()}
        if name.split("_")[0] in WITHOUT_TOKEN_TYPES:
            del given["token_type_ids"]
        with torch.no_grad():
            answer = model(**given, output_hidden_states=True)
            last = answer.hidden_states[-1]
            if name.startswith("modernbert"):  # whose list ends before the last LayerNorm
                last = model.base_model(**given).last_hidden_state
        outputs = {
            "last_hidden_state": last.numpy().astype(np.float32),
            "logits": answer.logits.numpy().astype(np.float32),
        }
        arrays |= {f"{case}.{key}": values for key, values in (inputs | outputs).items()}
    np.savez(HERE / name / "outputs.npz", **arrays)


def make_tokenizer_values() -> None:
    """Write tokenizer/vocab.txt and tokenizer/expected.json."""
    folder = HERE / "tokenizer"
    folder.mkdir(exist_ok=True)
    vocabulary = nasty_texts.vocabulary()
    (folder / "vocab.txt").write_bytes("".join(token + "\n" for token in vocabulary).encode())
    cases: list[dict[str, Any]] = []
    for lower in (True, False):
        tokenizer = transformers.BertTokenizer(
            vocab={token: index for index, token in enumerate(vocabulary)}, do_lower_case=lower
        )
        for max_length in (None, 16, 32):
            texts: list[tuple[str, ...]] = [(text,) for text in nasty_texts.TEXTS]
            for inputs in texts + (nasty_texts.pairs() if max_length else []):
                encoded = tokenizer(
                    *inputs, max_length=max_length, truncation="longest_first" if max_length else False
                )
                case = {"do_lower_case": lower, "max_length": max_length, "texts": list(inputs)}
                cases.append(case | {key: encoded[key] for key in ("input_ids", "token_type_ids")})
    lines = ",\n".join(json.dumps(case) for case in cases)  # a case a line
    content = f'{{"made_with": {json.dumps(_versions())},\n"cases": [\n{lines}\n]}}\n'
    (folder / "expected.json").write_bytes(content.encode("ascii"))


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
    }


def make_folder_values() -> None:
    """Write tokenizer/folders.json: what AutoTokenizer gives for the folders of tokenizer_folders.py.

    Of each text the answers that differ, and of each folder the number of its answer to each text.
    """
    answers: list[list[Any]] = [[] for _ in (*tokenizer_folders.TEXTS, "the pair")]
    folders: dict[str, list[int]] = {}
    for name in tokenizer_folders.SHAPES:
        with tempfile.TemporaryDirectory() as scratch:
            tokenizer_folders.write_shape(name, Path(scratch))
            tokenizer = transformers.AutoTokenizer.from_pretrained(scratch)
        values: list[Any] = [_ids_and_offsets(tokenizer, text) for text in tokenizer_folders.TEXTS]
        pair = tokenizer(*tokenizer_folders.BESIDE[:2])
        values.append([pair["input_ids"], pair["token_type_ids"]])
        folders[name] = []
        for differing, value in zip(answers, values, strict=True):
            if value not in differing:
                differing.append(value)
            folders[name].append(differing.index(value))
    parts = {"folders": folders.items(), "answers": enumerate(answers)}
    rows = {key: [json.dumps(row, separators=(",", ":")) for row in part] for key, part in parts.items()}
    content = ",\n".join(f'"{key}": [\n' + ",\n".join(part) + "\n]" for key, part in rows.items())
    content = f'{{"made_with": {json.dumps(_versions())},\n{content}}}\n'
    (HERE / "tokenizer" / "folders.json").write_bytes(content.encode("ascii"))


def _ids_and_offsets(tokenizer: Any, text: str) -> list[list[int]]:
    """A text's ids, and its tokens' first characters and those behind their last, without added ones."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    firsts, ends = zip(*encoded["offset_mapping"], strict=True) if encoded["input_ids"] else ((), ())
    return [encoded["input_ids"], list(firsts), list(ends)]


def main(wanted: list[str]) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name in MODELS:
        if not wanted or "models" in wanted or name in wanted:
            make_model(name)
    if not wanted or "tokenizer" in wanted:
        make_tokenizer_values()
    if not wanted or "folders" in wanted:
        make_folder_values()


if __name__ == "__main__":
    main(sys.argv[1:])
