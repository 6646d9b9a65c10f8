"""A made-up language, its files and its models."""

import pytest

from common.files import write_json, write_text
from encoders.tokenizer import SPECIALS
from squad import run_squad
from tests.squad.colours import COLOURS, WORDS, make_argv, make_data
from tests.squad.vocabularies import PIECES, is_assigned, normal, write_tokenizer_json, write_vocabulary


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """By version: training and dev file; and the model folder, without weights."""
    folder = tmp_path_factory.mktemp("squad")
    write_text(folder / "model" / "vocab.txt", "".join(f"{w}\n" for w in [*SPECIALS, *COLOURS, *WORDS]))
    write_json(folder / "model" / "config.json", {
        "model_type": "convbert", "vocab_size": 17, "embedding_size": 16, "hidden_size": 32,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.2,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 32,
    })  # fmt: skip
    made = {"model": folder / "model"}
    for version in ("1.1", "2.0"):
        made[version] = [
            make_data(folder / f"{part}-v{version}.json", count, version == "2.0", seed)
            for part, count, seed in (("train", 96, 1), ("dev", 40, 2))
        ]
    return made


@pytest.fixture(scope="session")
def trained(files, tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    run_squad.main(make_argv(files, "2.0", "--do_train", "--output_dir", run, "--max_steps", 1))
    return run / "best"


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory):
    """By "uncased", "cased" and "tokenizer.json" (uncased, in that file): vocabularies with every character
    alone, so that hardly a word is unknown."""
    letters = [chr(i) for i in range(0x110000) if is_assigned(i) and not chr(i).isspace()]
    made = {}
    for name, lower in (("uncased", True), ("cased", False)):
        pieces = {*letters, *(piece for letter in letters for piece in normal(letter, lower))}
        folder = tmp_path_factory.mktemp(name)
        made[name] = write_vocabulary(
            folder, [*PIECES, *sorted(pieces), *(f"##{p}" for p in sorted(pieces))], lower
        )
    made["tokenizer.json"] = write_tokenizer_json(
        tmp_path_factory.mktemp("tokenizer_json"), made["uncased"].pieces
    )
    return made


@pytest.fixture(scope="session")
def letters(tmp_path_factory):
    alphabet = [chr(i) for i in range(ord("a"), ord("z") + 1)]
    return write_vocabulary(tmp_path_factory.mktemp("letters"), alphabet, True)
