"""Model folders of small networks: this project reads them, each with a tokenizer of its kind."""

from pathlib import Path

import pytest
import tokenizers

from checkpoints.folder import read_config
from encoders.tokenizer import Tokenizer
from recipes import small_families

KINDS = {"roberta": "BPE", "distilbert": "WordPiece", "deberta-v2": "Unigram", "modernbert": "BPE"}


@pytest.mark.parametrize("model_type", KINDS)
def test_a_folder_is_read(model_type: str, sample_dir: Path, tmp_path: Path) -> None:
    small_families.main(["--data_dir", str(sample_dir), "--output", str(tmp_path)])
    folder = tmp_path / model_type
    config, tokenizer = read_config(folder), Tokenizer(folder)
    assert (config.model_type, config.hidden_size, config.num_hidden_layers) == (model_type, 128, 4)
    assert config.vocab_size == len(tokenizer)
    library = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert type(library.model).__name__ == KINDS[model_type]
    ((ids, _),) = tokenizer.encode([("a good film", "a bad one")], 64)
    separators = config.type.separators + 1
    assert ids.count(library.token_to_id(small_families.FAMILIES[model_type][1]["sep"])) == separators
    assert config.pad_token_id == tokenizer.token_id("pad_token")
