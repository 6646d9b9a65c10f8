"""Make tokenizer/subwords: folders of byte-level BPE and Unigram tokenisers, and transformers' ids.

    python tests/golden/subword_folders.py

Needs sentencepiece and protobuf besides what make_golden.py needs; see README.md. Not run by the tests.
"""

import io
import json
import shutil
import string
import tempfile
from pathlib import Path
from typing import Any

import nasty_texts
import sentencepiece
import tokenizer_folders
import tokenizers
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent / "tokenizer" / "subwords"
ANGLED = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
CORPUS = [*nasty_texts.TEXTS, nasty_texts.WORDS, *string.ascii_letters, *nasty_texts.CJK] * 3
# Rules of SentencePiece's normaliser, few, so that its file is small.
RULES = [("ﬁ", "fi"), ("½", "1/2"), ("Ａ", "A"), ("…", "..."), ("\u00a0", " "), ("\u3000", " "), ("Ⅳ", "IV")]
# Folder → the model type in its config.json, and its tokenizer_config.json.
FOLDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "roberta_files": ("roberta", {}),
    "roberta_prefix": ("roberta", {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}),
    "roberta_json": ("roberta", {"tokenizer_class": "RobertaTokenizer"}),
    "xlm_spm": ("xlm-roberta", {}),
    "xlm_json": ("xlm-roberta", {"tokenizer_class": "XLMRobertaTokenizer"}),
    "deberta_spm": ("deberta-v2", {"do_lower_case": False, "vocab_type": "spm"}),
    "deberta_lower": ("deberta-v2", {"do_lower_case": True, "split_by_punct": True}),
    "deberta_json": ("deberta-v2", {"tokenizer_class": "DebertaV2Tokenizer"}),
    "modernbert": (
        "modernbert",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_input_names": ["input_ids", "attention_mask"],
            **dict(zip(tokenizer_folders.ROLES, nasty_texts.SPECIAL, strict=True)),
        },
    ),
}  # fmt: skip


def byte_pairs(special: tuple[str, ...]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def unigram(folder: Path, name: str, **settings: Any) -> None:
    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".tsv") as rules:
        rules.write("".join(f"{ord(text):X}\t{' '.join(f'{ord(c):X}' for c in to)}\n" for text, to in RULES))
        rules.flush()
        _train(model, rules.name, **settings)
    (folder / name).write_bytes(model.getvalue())


def _train(model: io.BytesIO, rules: str, **settings: Any) -> None:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, vocab_size=330, character_coverage=0.98,
        model_type="unigram", num_threads=1, minloglevel=2, normalization_rule_tsv=rules, **settings,
    )  # fmt: skip


def write_pieces(name: str, folder: Path) -> None:
    """The files that say what the pieces are."""
    kind, _, form = name.partition("_")
    if kind == "modernbert":
        tokenizer = byte_pairs(nasty_texts.SPECIAL)
        tokenizer.normalizer = normalizers.NFC()
        cls, sep = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
            special_tokens=[("[CLS]", cls), ("[SEP]", sep)],
        )  # fmt: skip
        tokenizer.save(str(folder / "tokenizer.json"))
    elif form == "json":  # as transformers writes it
        other = {"roberta": "roberta_files", "xlm": "xlm_spm", "deberta": "deberta_spm"}[kind]
        transformers.AutoTokenizer.from_pretrained(HERE / other).save_pretrained(folder / "saved")
        shutil.move(folder / "saved" / "tokenizer.json", folder / "tokenizer.json")
        shutil.rmtree(folder / "saved")
    elif kind == "roberta":
        byte_pairs(ANGLED).model.save(str(folder))
    elif kind == "xlm":
        unigram(folder, "sentencepiece.bpe.model")
    else:
        unigram(
            folder, "spm.model", pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]",
            eos_piece="[SEP]", unk_piece="[UNK]",
        )  # fmt: skip
        (folder / "added_tokens.json").write_text(json.dumps({"[MASK]": 330}), encoding="ascii")


def main() -> None:
    expected: dict[str, Any] = {
        "made_with": {
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
            "sentencepiece": sentencepiece.__version__,
        }
    }
    for name, (model_type, settings) in FOLDERS.items():
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="ascii")
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="ascii")
        write_pieces(name, folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        expected[name] = {
            "texts": [tokenizer(text)["input_ids"] for text in tokenizer_folders.TEXTS],
            "pairs": [
                tokenizer(*pair, max_length=24, truncation="longest_first")["input_ids"]
                for pair in nasty_texts.pairs()
                if pair[1]
            ],
        }
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in expected.items())
    (HERE / "expected.json").write_text("{" + ",\n".join(lines) + "}\n", encoding="ascii")


if __name__ == "__main__":
    main()
