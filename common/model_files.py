"""The names of a model folder's files."""

VOCABULARY = "vocab.txt"
TOKENIZER_JSON = "tokenizer.json"
ADDED_TOKENS = "added_tokens.json"
SPECIAL_TOKENS = "special_tokens_map.json"
TOKENIZER_SETTINGS = "tokenizer_config.json"
TOKENIZER_FILES = (VOCABULARY, TOKENIZER_JSON, ADDED_TOKENS, SPECIAL_TOKENS, TOKENIZER_SETTINGS)
# Those that say which id a piece has; one of the first two is in every model folder.
ID_FILES = TOKENIZER_FILES[:4]
