"""The embedded sample's model folder without weights: a tiny ConvBERT and its WordPiece vocabulary.

The words are those of the sample's own language; what is not among them falls to letters, so that any
ASCII text can be tokenised. No outside vocabulary is copied.
"""

import string
from pathlib import Path
from typing import Any

from common.files import write_json, write_text
from scripts.sample_language import all_words

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SUFFIXES = ("ed", "ing", "ly", "er")
MAX_POSITIONS = 128


def vocabulary() -> list[str]:
    """The WordPiece tokens in id order: the five specials first, then signs, letters, words, word ends."""
    characters = [*string.ascii_lowercase, *string.digits]
    words = sorted({_stem(word) for word in all_words()} - set(characters) - set(string.punctuation))
    ends = sorted(f"##{end}" for end in SUFFIXES)
    return [*SPECIALS, *string.punctuation, *characters, *(f"##{c}" for c in characters), *words, *ends]


def _stem(word: str) -> str:
    # "cleaned" is left to "clean" + "##ed", so that word ends are really used.
    ends = (end for end in SUFFIXES if word.endswith(end) and len(word) > len(end) + 3)
    return word.removesuffix(next(ends, ""))


def configuration(vocab_size: int) -> dict[str, Any]:
    """``config.json`` under Hugging Face's names.

    initializer_range is ten times the usual 0.02: at this width weights that small leave attention
    uniform for most of a short training.
    """
    return {
        "model_type": "convbert",
        "architectures": ["ConvBertForSequenceClassification"],
        "vocab_size": vocab_size,
        "embedding_size": 32, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 128, "head_ratio": 2, "conv_kernel_size": 9, "num_groups": 1,
        "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": MAX_POSITIONS, "type_vocab_size": 2, "initializer_range": 0.2,
        "layer_norm_eps": 1e-12, "pad_token_id": 0,
    }  # fmt: skip


def write_model_folder(folder: str | Path) -> None:
    """Write ``config.json``, ``vocab.txt`` and ``tokenizer_config.json``; weights there are none."""
    tokens = vocabulary()
    write_text(Path(folder) / "vocab.txt", "".join(f"{token}\n" for token in tokens))
    write_json(Path(folder) / "config.json", configuration(len(tokens)))
    settings = {
        "tokenizer_class": "BertTokenizer", "do_lower_case": True, "strip_accents": None,
        "tokenize_chinese_chars": True, "model_max_length": MAX_POSITIONS,
    }  # fmt: skip
    specials = {f"{token.strip('[]').lower()}_token": token for token in SPECIALS}
    write_json(Path(folder) / "tokenizer_config.json", {**settings, **specials})
