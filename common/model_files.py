"""The names of a model folder's files, and the digest that names a model."""

import hashlib
from collections.abc import Mapping, Sequence

VOCABULARY = "vocab.txt"
TOKENIZER_JSON = "tokenizer.json"
ADDED_TOKENS = "added_tokens.json"
SPECIAL_TOKENS = "special_tokens_map.json"
TOKENIZER_SETTINGS = "tokenizer_config.json"
TOKENIZER_FILES = (VOCABULARY, TOKENIZER_JSON, ADDED_TOKENS, SPECIAL_TOKENS, TOKENIZER_SETTINGS)
# Those that say which id a piece has; one of the first two is in every model folder.
ID_FILES = TOKENIZER_FILES[:4]


def model_digest(sha256: Mapping[str, str], weights: Sequence[str], config: str) -> str:
    """What a prediction came from: SHA-256 over those of a folder's weights, configuration and vocabulary.

    Args:
        sha256: Name → digest of the folder's files.
        weights: The names of the files of weights, in order.
        config: The name of the configuration.
    """
    names = [*weights, config, *(name for name in ID_FILES if name in sha256)]
    return hashlib.sha256("".join(sha256[name] for name in names).encode()).hexdigest()
