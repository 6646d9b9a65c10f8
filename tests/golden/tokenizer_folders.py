"""Folders of tokenisers in the shapes that people have, for transformers and for this project to read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

try:
    from tests.golden import nasty_texts
except ImportError:  # this file is used by a script that lies beside it, in a Python without the project
    import nasty_texts  # type: ignore[no-redef]

VOCABULARY = nasty_texts.vocabulary()
SPECIAL = nasty_texts.SPECIAL
OTHER_NAMES = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")
ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
BESIDE = (  # texts in which added tokens and other names of special ones occur
    "the <ent> movie<ent>s, [NEW] and Paris-London <s> good</s> <mask> [MASK]",
    "a  <ent>  [NEW]b ParisLondon Paris, [new] <ENT>",
    "McDonald The THE <pad> [PAD] [unused1]",
)
TEXTS = (*nasty_texts.TEXTS, *BESIDE)
SIZE = len(VOCABULARY)
Files = dict[str, Any]


def library_tokenizer(
    vocabulary: list[str] = VOCABULARY, special: tuple[str, ...] = SPECIAL, lower: bool = True, **model: Any
) -> Tokenizer:
    """A BERT tokeniser of the tokenizers library."""
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=special[1], **model))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        (special[3], ids[special[3]]), (special[2], ids[special[2]])
    )
    tokenizer.add_special_tokens(list(special))
    return tokenizer


def _with(tokenizer: Tokenizer, change: Callable[[Tokenizer], Any]) -> Tokenizer:
    change(tokenizer)
    return tokenizer


def _cutting(tokenizer: Tokenizer) -> None:
    tokenizer.enable_truncation(8, stride=2)
    tokenizer.enable_padding(length=16)


def _odd_normaliser(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()


def _added(content: str, **flags: bool) -> dict[str, Any]:
    names = ("lstrip", "normalized", "rstrip", "single_word", "special")
    return {"content": content, **{name: flags.get(name, False) for name in names}}


def lines(vocabulary: list[str], end: str = "\n") -> bytes:
    return "".join(piece + end for piece in vocabulary).encode()


_PLAIN = lines(VOCABULARY)
_RENAMED = [*OTHER_NAMES, *VOCABULARY[5:]]
_WHOLE = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    **dict(zip(ROLES, SPECIAL, strict=True)),
}
_DECODER = {
    "added_tokens_decoder": {
        "4": _added("[MASK]", lstrip=True, special=True),
        str(SIZE): _added("<ent>", rstrip=True, lstrip=True, special=True),
        str(SIZE + 1): _added("[NEW]", normalized=True),
        str(VOCABULARY.index("Paris")): _added("Paris", single_word=True),
    }
}

# Name → the files besides config.json; config.json's own settings are under that name. Each is read without a
# word by this project, or with a note that changes no id.
SHAPES: dict[str, Files] = {
    "vocab_only": {"vocab.txt": _PLAIN},
    "vocab_cased": {"vocab.txt": _PLAIN, "tokenizer_config.json": {"do_lower_case": False}},
    "accents_kept": {"vocab.txt": _PLAIN, "tokenizer_config.json": {"strip_accents": False}},
    "accents_stripped_case_kept": {
        "vocab.txt": _PLAIN, "tokenizer_config.json": {"do_lower_case": False, "strip_accents": True}
    },
    "chinese_in_words": {"vocab.txt": _PLAIN, "tokenizer_config.json": {"tokenize_chinese_chars": False}},
    "class_in_config": {"config.json": {"tokenizer_class": "ElectraTokenizerFast"}, "vocab.txt": _PLAIN},
    "convbert_class": {
        "vocab.txt": _PLAIN,
        "tokenizer_config.json": {
            "tokenizer_class": "ConvBertTokenizer", "model_max_length": 16, "never_split": None
        },
    },
    "json_only": {"tokenizer.json": library_tokenizer()},
    "json_cased": {
        "tokenizer.json": library_tokenizer(lower=False), "tokenizer_config.json": {"do_lower_case": False}
    },
    "json_against_settings": {
        "tokenizer.json": library_tokenizer(lower=False), "tokenizer_config.json": {"do_lower_case": True}
    },
    "json_and_vocab": {"vocab.txt": _PLAIN, "tokenizer.json": library_tokenizer()},
    "json_that_cuts_and_pads": {"tokenizer.json": _with(library_tokenizer(), _cutting)},
    "json_without_frame": {
        "tokenizer.json": _with(library_tokenizer(), lambda t: setattr(t, "post_processor", None))
    },
    "json_with_added": {
        "vocab.txt": _PLAIN,
        "tokenizer.json": _with(
            library_tokenizer(),
            lambda t: t.add_tokens(["<ent>", AddedToken("[NEW]", lstrip=True, special=True)]),
        ),
    },
    "json_of_transformers_5": {
        "tokenizer.json": _with(library_tokenizer(lower=False), lambda t: t.add_tokens(["<ent>"])),
        "tokenizer_config.json": {
            "backend": "tokenizers", "is_local": True, "model_max_length": 10**30, "do_lower_case": False,
            "strip_accents": None, "tokenize_chinese_chars": True, "tokenizer_class": "BertTokenizer",
            **dict(zip(ROLES, SPECIAL, strict=True)),
        },
    },
    "json_with_other_names": {
        "tokenizer.json": library_tokenizer(_RENAMED, OTHER_NAMES),
        "tokenizer_config.json": dict(zip(ROLES, OTHER_NAMES, strict=True)),
    },
    "json_whole": {"tokenizer.json": library_tokenizer(lower=False), "tokenizer_config.json": _WHOLE},
    "json_whole_short_words": {
        "tokenizer.json": library_tokenizer(max_input_chars_per_word=7), "tokenizer_config.json": _WHOLE
    },
    "json_whole_other_normaliser": {
        "tokenizer.json": _with(library_tokenizer(), _odd_normaliser), "tokenizer_config.json": _WHOLE
    },
    "added_tokens": {"vocab.txt": _PLAIN, "added_tokens.json": {"[NEW]": SIZE + 1, "<ent>": SIZE}},
    "added_and_special": {
        "vocab.txt": _PLAIN,
        "added_tokens.json": {"<ent>": SIZE},
        "special_tokens_map.json": {
            "additional_special_tokens": ["<ent>"],
            "mask_token": _added("[MASK]", lstrip=True, normalized=True),
        },
    },
    "added_tokens_decoder": {
        "vocab.txt": _PLAIN,
        "tokenizer_config.json": _DECODER,
        "added_tokens.json": {"McDonald": VOCABULARY.index("McDonald")},  # not read beside a decoder
        "special_tokens_map.json": {"cls_token": "the"},
    },
    "json_and_added_tokens": {
        "tokenizer.json": library_tokenizer(), "added_tokens.json": {"[MASK]": 4, "<ent>": SIZE}
    },
    "lists_in_both": {
        "vocab.txt": _PLAIN,
        "tokenizer_config.json": {"additional_special_tokens": ["Paris"]},
        "special_tokens_map.json": {"additional_special_tokens": ["the"]},
    },
    "role_that_is_not_special": {
        "tokenizer.json": _with(
            library_tokenizer(),
            lambda t: t.add_tokens([AddedToken("[MASK]", special=False, normalized=False)]),
        ),
        "tokenizer_config.json": {"split_special_tokens": True},
    },
    "json_and_decoder": {"tokenizer.json": library_tokenizer(), "tokenizer_config.json": _DECODER},
    "additional_special_tokens": {
        "vocab.txt": _PLAIN, "tokenizer_config.json": {"additional_special_tokens": ["Paris", "[NEW]"]}
    },
    "names_in_map": {
        "vocab.txt": lines(_RENAMED), "special_tokens_map.json": dict(zip(ROLES, OTHER_NAMES, strict=True))
    },
    "names_in_settings": {
        "vocab.txt": lines(_RENAMED),
        "tokenizer_config.json": {
            **dict(zip(ROLES, OTHER_NAMES, strict=True)),
            "mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "rstrip": False,
                           "normalized": True, "single_word": False},
        },
    },
    "special_tokens_split": {"vocab.txt": _PLAIN, "tokenizer_config.json": {"split_special_tokens": True}},
    "line_ends_of_windows": {"vocab.txt": lines(VOCABULARY, "\r\n")},
    "blank_last_lines": {"vocab.txt": _PLAIN + b"\n\n"},
    "blank_line_inside": {"vocab.txt": lines([*VOCABULARY[:200], "", *VOCABULARY[200:]])},
    "spaces_at_line_ends": {"vocab.txt": lines(VOCABULARY, " \u3000\n")},
    "repeated_lines": {"vocab.txt": lines([*VOCABULARY, "movie", "##ing", "the"])},
}  # fmt: skip


def write_shape(name: str, folder: Path) -> None:
    """Write a folder of this shape; it has no weights."""
    files = {"config.json": {}, **SHAPES[name]}
    files["config.json"] = {"model_type": "bert", **files["config.json"]}
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        if isinstance(content, Tokenizer):
            content.save(str(folder / file))
        else:
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            (folder / file).write_bytes(raw)
