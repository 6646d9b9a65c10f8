"""The names of a model folder's files."""

VOCABULARY = "vocab.txt"
TOKENIZER_JSON = "tokenizer.json"
ADDED_TOKENS = "added_tokens.json"
SPECIAL_TOKENS = "special_tokens_map.json"
TOKENIZER_SETTINGS = "tokenizer_config.json"
VOCABULARY_JSON, MERGES = "vocab.json", "merges.txt"  # of byte-level BPE
SENTENCEPIECES = ("spm.model", "sentencepiece.bpe.model")  # DeBERTa's and XLM-RoBERTa's
# The files of which one says what the pieces are.
PIECE_FILES = (VOCABULARY, TOKENIZER_JSON, VOCABULARY_JSON, *SENTENCEPIECES)
# Those that say which id a piece has.
ID_FILES = (
    VOCABULARY,
    TOKENIZER_JSON,
    ADDED_TOKENS,
    SPECIAL_TOKENS,
    VOCABULARY_JSON,
    MERGES,
    *SENTENCEPIECES,
)
MODEL_CARD = "README.md"  # what the model is, with front matter for the hub
TOKENIZER_FILES = (*ID_FILES, TOKENIZER_SETTINGS)
