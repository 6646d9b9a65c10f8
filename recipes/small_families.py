"""Write a model folder of each newer family, without weights: a small network and a tokenizer of its kind.

Example:
  python -m recipes.small_families --data_dir glue_data --output models
  python -m glue.run_glue --task_name mrpc --model_name_or_path models/roberta --from_scratch --output_dir run

The tokenizers learn their pieces from the training texts of MRPC and CoLA: byte-level BPE for RoBERTa and
ModernBERT, WordPiece for DistilBERT, Unigram for DeBERTa. The networks have 4 layers of width 128.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from common.command_line import CommandParser, path, run
from common.files import write_json
from glue.data import read_split
from glue.tasks import TASKS

PIECES, SOURCES = 8000, ("mrpc", "cola")
_BERT = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
_SIZES = {"num_hidden_layers": 4, "hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 512}
# Model type → its kind of tokenizer, special tokens in id order, and config.json.
FAMILIES: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "roberta": (
        "BPE", _ROBERTA,
        {**_SIZES, "max_position_embeddings": 130, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    ),
    "distilbert": (
        "WordPiece", _BERT,
        {"n_layers": 4, "dim": 128, "n_heads": 4, "hidden_dim": 512, "max_position_embeddings": 128},
    ),
    "deberta-v2": (
        "Unigram", _BERT,
        {
            **_SIZES, "max_position_embeddings": 128, "relative_attention": True, "position_buckets": 32,
            "pos_att_type": ["p2c", "c2p"], "share_att_key": True, "norm_rel_ebd": "layer_norm",
            "position_biased_input": False, "type_vocab_size": 0, "layer_norm_eps": 1e-7,
        },
    ),
    "modernbert": (
        "BPE", _BERT,
        {**_SIZES, "intermediate_size": 256, "max_position_embeddings": 128, "local_attention": 32},
    ),
}  # fmt: skip


def train_tokenizer(kind: str, specials: dict[str, str], texts: Sequence[str]) -> tokenizers.Tokenizer:
    """Learn a tokenizer of a kind (``BPE``, ``WordPiece`` or ``Unigram``) that puts special tokens around."""
    names = list(specials.values())
    settings: dict[str, Any] = {"vocab_size": PIECES, "special_tokens": names, "show_progress": False}
    if kind == "BPE":
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        settings["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(**settings)
    elif kind == "WordPiece":
        tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token=specials["unk"]))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(**settings)
    else:
        tokenizer = tokenizers.Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(**settings, unk_token=specials["unk"])
    tokenizer.train_from_iterator(texts, trainer)
    cls, sep = specials["cls"], specials["sep"]
    second = f"{sep} $B {sep}" if specials is _ROBERTA else f"$B:1 {sep}:1"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} {second}",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (cls, sep)],
    )  # fmt: skip
    return tokenizer


def write_folder(folder: Path, model_type: str, texts: Sequence[str]) -> None:
    """Write a family's ``config.json``, ``tokenizer.json`` and ``tokenizer_config.json``."""
    kind, specials, sizes = FAMILIES[model_type]
    tokenizer = train_tokenizer(kind, specials, texts)
    ids = {f"{role}_token_id": tokenizer.token_to_id(specials[role]) for role in ("pad", "cls", "sep")}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / "config.json",
        {"model_type": model_type, **sizes, **ids, "vocab_size": tokenizer.get_vocab_size()},
    )
    tokens = {f"{role}_token": token for role, token in specials.items()}
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **tokens})
    tokenizer.save(str(folder / "tokenizer.json"))


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m recipes.small_families", description=__doc__)
    for name, help_text in (
        ("--data_dir", "the folder of the official MRPC/ and CoLA/"),
        ("--output", "the folder to write the model folders to"),
    ):
        parser.add_argument(name, required=True, type=path, metavar="DIR", help=help_text)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    texts: list[str] = []
    for task in (TASKS[name] for name in SOURCES):
        (split,) = task.of_kind("train")
        texts += [text for row in read_split(task, split, flags.data_dir).examples for text in row.texts]
    for model_type in FAMILIES:
        write_folder(Path(flags.output) / model_type, model_type, texts)
        print(Path(flags.output) / model_type)


if __name__ == "__main__":
    run(main)
