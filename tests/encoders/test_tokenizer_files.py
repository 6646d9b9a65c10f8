"""What the files beside a vocabulary may say: respected, noted, or refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Library
from tokenizers import normalizers, processors

from common.errors import InputError
from encoders.tokenizer import Tokenizer
from tests.golden.tokenizer_folders import OTHER_NAMES, SIZE, VOCABULARY, library_tokenizer, lines

PLAIN = lines(VOCABULARY)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 231508\n"


def write(folder: Path, **files: Any) -> Path:
    """Write files, by their names without the ending; a vocabulary where none is given."""
    names = {"vocab": "vocab.txt"}
    for key, content in files.items():
        path = folder / names.get(key, f"{key}.json")
        if isinstance(content, Library):
            content.save(str(path))
        else:
            path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return folder


def fault(folder: Path, **changes: bool) -> str:
    """The one line that a folder's Tokenizer stops with."""
    with pytest.raises(InputError) as caught:
        Tokenizer(folder, **changes)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def changed(**changes: Any) -> dict[str, Any]:
    """A tokenizer.json with other values, by key or ``key__key``; None takes a key away."""
    values: dict[str, Any] = json.loads(library_tokenizer().to_str())
    for name, value in changes.items():
        *outer, key = name.split("__")
        part = values
        for step in outer:
            part = part[step]
        part[key] = value
        if value is None:
            del part[key]
    return values


def entry(content: str, number: int) -> dict[str, Any]:
    return {"id": number, "content": content, "special": True, "normalized": False,
            "single_word": False, "lstrip": False, "rstrip": False}  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "fragments"),
    [
        ({"tokenizer_class": "GPT2Tokenizer"}, ["GPT2Tokenizer", "WordPiece"]),
        ({"tokenizer_class": "BertJapaneseTokenizer"}, ["BertJapaneseTokenizer"]),
        ({"tokenizer_class": ["BertTokenizer"]}, ["tokenizer_class"]),
        ({"do_basic_tokenize": False}, ["do_basic_tokenize is False", "remove the line"]),
        ({"clean_text": False}, ["clean_text is False"]),
        ({"never_split": ["[MASK]", "McDonald"]}, ["never_split", "'McDonald'"]),
        ({"cls_token": "<s>"}, ["vocab.txt", "lacks <s>"]),
        ({"cls_token": 7}, ["cls_token", "7"]),
        ({"cls_token": "\ud800"}, ["cls_token", "text"]),
        ({"mask_token": {"content": "[MASK]", "lstrip": "no"}}, ["mask_token", "lstrip", "'no'"]),
        ({"additional_special_tokens": "<ent>"}, ["additional_special_tokens", "list"]),
        ({"split_special_tokens": "yes"}, ["split_special_tokens"]),
        ({"added_tokens_decoder": ["[PAD]"]}, ["added_tokens_decoder"]),
        ({"added_tokens_decoder": {"x": {"content": "a"}}}, ["added_tokens_decoder", "'x'", "id"]),
        ({"added_tokens_decoder": {"9": {"content": "[CLS]"}}}, ["'[CLS]'", "should be 9", "it is 2"]),
        ({"added_tokens_decoder": {str(SIZE + 3): {"content": "<a>"}}}, [f"{SIZE + 3}", f"it is {SIZE}"]),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, ["tokenizer.json: no such file"]),
    ],
)
def test_settings_that_are_refused(tmp_path: Path, settings: dict[str, Any], fragments: list[str]) -> None:
    write(tmp_path, vocab=PLAIN, tokenizer_config=settings)
    message = fault(tmp_path)
    assert all(word in message for word in fragments), message
    assert message.startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("files", "fragments"),
    [
        ({"added_tokens": {"<ent>": SIZE + 1}}, ["added_tokens.json", "'<ent>'", f"{SIZE + 1}", f"{SIZE}"]),
        ({"added_tokens": {"<ent>": "first"}}, ["added_tokens.json", "'first'"]),
        ({"added_tokens": {"\udcff": SIZE}}, ["added_tokens.json", "udcff", "text"]),
        (
            {
                "tokenizer_config": {
                    "mask_token": "[MASK]",
                    "added_tokens_decoder": {str(SIZE): {"content": " ", "lstrip": True}},
                }
            },
            ["vocab.txt", "' '", "lstrip"],
        ),
        ({"added_tokens": {"<ent>": True}}, ["added_tokens.json", "'True'"]),
        ({"added_tokens": ["<ent>"]}, ["added_tokens.json", "list"]),
        ({"special_tokens_map": {"pad_token": "<pad>"}}, ["vocab.txt", "lacks <pad>"]),
        ({"special_tokens_map": b"{"}, ["special_tokens_map.json", "not JSON"]),
        ({"special_tokens_map": LFS}, ["special_tokens_map.json", "git lfs pull"]),
        ({"config": {"tokenizer_class": "XLNetTokenizer"}}, ["config.json", "XLNetTokenizer"]),
        ({"vocab": LFS}, ["vocab.txt", "git lfs pull"]),
        ({"tokenizer": LFS}, ["tokenizer.json", "git lfs pull"]),
        ({"tokenizer": b"\xff\xfe{\0}\0"}, ["tokenizer.json", "UTF-16"]),
    ],
)
def test_files_that_are_refused(tmp_path: Path, files: dict[str, Any], fragments: list[str]) -> None:
    message = fault(write(tmp_path, **{"vocab": PLAIN, **files}))
    assert all(word in message for word in fragments), message


@pytest.mark.parametrize(
    ("change", "fragments"),
    [
        ({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}, ["WordLevel"]),
        ({"model": None}, ["no model"]),
        ({"model__vocab": {"a": -1}}, ["tokenizers library"]),
        ({"model__vocab": {"a": 2**40}}, ["tokenizers library"]),
        ({"normalizer": {"type": "Unheard"}}, ["tokenizers library"]),
        ({"normalizer": 5}, ["normalizer"]),
        ({"added_tokens": [entry("[PAD]", 4)]}, ["'[PAD]'", "4"]),
        ({"added_tokens": "none"}, ["added_tokens"]),
        ({"model__unk_token": "[MASK]"}, ["unk_token", "'[MASK]'"]),
        ({"post_processor__cls": ["[MASK]", 4]}, ["post_processor", "[MASK]", "[CLS]"]),
        ({"post_processor": None}, ["post_processor"]),
        ({"model__vocab__[SEP]": None, "added_tokens": []}, ["[SEP]"]),
    ],
)
def test_what_tokenizer_json_may_not_say(
    tmp_path: Path, change: dict[str, Any], fragments: list[str]
) -> None:
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    message = fault(write(tmp_path, tokenizer=changed(**change), tokenizer_config=settings))
    assert message.startswith(str(tmp_path / "tokenizer.json")), message
    assert all(word in message for word in fragments), message


def test_token_types_of_another_kind_are_refused(tmp_path: Path) -> None:
    tokenizer = library_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    assert "post_processor" in fault(write(tmp_path, tokenizer=tokenizer))


def test_a_folder_of_another_kind_of_tokeniser_is_named(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(b"\n\x0e")
    message = fault(tmp_path)
    assert message.startswith(f"{tmp_path / 'vocab.txt'}: no such file")
    assert "tokenizer.json" in message
    assert "spiece.model" in message


def swapped() -> list[str]:
    return [*VOCABULARY[:-2], VOCABULARY[-1], VOCABULARY[-2]]


@pytest.mark.parametrize(
    ("vocabulary", "line"), [(swapped(), SIZE - 1), ([*VOCABULARY, "more"], SIZE + 1), (VOCABULARY[:-1], 0)]
)
def test_two_files_with_other_ids_are_refused(tmp_path: Path, vocabulary: list[str], line: int) -> None:
    """transformers takes tokenizer.json without a word."""
    message = fault(write(tmp_path, vocab=lines(vocabulary), tokenizer=library_tokenizer()))
    assert message.startswith(f"{tmp_path / 'vocab.txt'}:{line}:" if line else f"{tmp_path / 'vocab.txt'}: ")
    assert str(tmp_path / "tokenizer.json") in message
    assert "remove" in message


def test_white_space_that_only_one_file_keeps_is_no_difference(tmp_path: Path) -> None:
    """As in files that transformers 4 made from a vocab.txt with such lines."""
    vocabulary = [*VOCABULARY, "\u3000", "word\u2003"]
    tokenizer = Tokenizer(write(tmp_path, vocab=lines(vocabulary), tokenizer=library_tokenizer(vocabulary)))
    assert tokenizer.vocabulary["\u3000"] == SIZE


@pytest.mark.parametrize(
    ("files", "fragments"),
    [
        ({"tokenizer_config": {"truncation_side": "left"}}, ["truncation_side", "'left'"]),
        ({"tokenizer_config": {"tokenizer_class": "DistilBertTokenizer"}}, ["token_type_ids"]),
        ({"special_tokens_map": {"mask_token": "the"}, "tokenizer_config": {"mask_token": "[MASK]"}},
         ["special_tokens_map.json", "'the'", "'[MASK]'"]),
        ({"special_tokens_map": {"additional_special_tokens": ["the"]},
          "tokenizer_config": {"additional_special_tokens": ["movie"]}},
         ["special_tokens_map.json", "'the'", "not added"]),
        ({"vocab": lines([*VOCABULARY, "movie"])}, [f"vocab.txt:{SIZE + 1}:", "'movie'", "line 268"]),
        ({"tokenizer": changed(model__max_input_chars_per_word=7)},
         ["max_input_chars_per_word 7", "PreTrainedTokenizerFast"]),
        ({"tokenizer": changed(normalizer__clean_text=False)}, ["normalizer"]),
        ({"tokenizer": changed(pre_tokenizer={"type": "WhitespaceSplit"})}, ["pre_tokenizer"]),
        ({"tokenizer": library_tokenizer(lower=False)}, ["tokenizer.json", "do_lower_case is false"]),
        ({"tokenizer": library_tokenizer(lower=False), "tokenizer_config": {"do_lower_case": True}},
         ["tokenizer_config.json", "do_lower_case is true", "that of tokenizer_config.json"]),
        ({"tokenizer": library_tokenizer(), "tokenizer_config": {
            "do_lower_case": False, "tokenizer_class": "PreTrainedTokenizerFast",
            "model_input_names": ["input_ids", "token_type_ids"]}}, ["that of tokenizer.json"]),
        ({"tokenizer": changed(added_tokens=[entry("<e>", SIZE)]),
          "tokenizer_config": {"added_tokens_decoder": {}}}, ["the added token '<e>'"]),
    ],
)  # fmt: skip
def test_what_is_noted(tmp_path: Path, files: dict[str, Any], fragments: list[str]) -> None:
    vocabulary = {} if "tokenizer" in files else {"vocab": PLAIN}
    (note,) = Tokenizer(write(tmp_path, **{**vocabulary, **files})).notes
    assert all(word in note for word in fragments), note


def test_tokenizer_json_is_taken_with_all_it_says(tmp_path: Path) -> None:
    """Also what transformers' BertTokenizer leaves out; its copy is of a class that does not."""
    tokenizer = library_tokenizer(max_input_chars_per_word=7)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    ours = Tokenizer(write(tmp_path, tokenizer=tokenizer))
    text = "ﬁne 𝒜 question MOVIE café"
    assert ours.encode([(text,)], 99)[0][0] == tokenizer.encode(text).ids
    (tmp_path / "copy").mkdir()
    ours.save(tmp_path / "copy")
    settings = json.loads((tmp_path / "copy" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert not (tmp_path / "copy" / "vocab.txt").exists()
    assert Tokenizer(tmp_path / "copy").encode([(text,)], 99) == ours.encode([(text,)], 99)


def test_other_names_that_no_file_gives(tmp_path: Path) -> None:
    message = fault(write(tmp_path, vocab=lines([*OTHER_NAMES, *VOCABULARY[5:]])))
    assert "lacks [PAD], [UNK], [CLS], [SEP], [MASK];" in message
    assert all(
        word in message
        for word in ("<pad>", "<s>", "tokenizer_config.json", "pad_token, unk_token, cls_token")
    ), message


def test_tokens_with_roles_of_their_own_come_before_lists(tmp_path: Path) -> None:
    """As transformers 5.23.0 counts on from the vocabulary."""
    settings = {"additional_special_tokens": ["<a>", "<b>"], "entity_token": "<c>", "bos_token": "<d>"}
    tokenizer = Tokenizer(write(tmp_path, vocab=PLAIN, tokenizer_config=settings))
    assert list(tokenizer.vocabulary)[SIZE:] == ["<d>", "<c>", "<a>", "<b>"]


def test_holes_in_the_ids_of_tokenizer_json(tmp_path: Path) -> None:
    values = changed(model__vocab__film=SIZE + 8)
    tokenizer = Tokenizer(write(tmp_path, tokenizer=values))
    assert len(tokenizer) == SIZE + 9
    assert tokenizer.encode([("the film",)], 9)[0][0][2] == SIZE + 8
    (tmp_path / "copy").mkdir()
    tokenizer.save(tmp_path / "copy")
    assert not (tmp_path / "copy" / "vocab.txt").exists()
    assert Tokenizer(tmp_path / "copy").vocabulary == tokenizer.vocabulary


def test_roles_of_a_file_taken_whole_come_from_its_frame(tmp_path: Path) -> None:
    """transformers needs no names for them; this project asks for the ids."""
    tokenizer = library_tokenizer([*OTHER_NAMES, *VOCABULARY[5:]], OTHER_NAMES)
    settings = {"tokenizer_class": "TokenizersBackend", "model_input_names": ["input_ids", "token_type_ids"]}
    ours = Tokenizer(write(tmp_path, tokenizer=tokenizer, tokenizer_config=settings))
    assert (ours.token_id("cls_token"), ours.token_id("sep_token"), ours.notes) == (2, 3, [])
    with pytest.raises(InputError, match="mask_token"):
        ours.token_id("mask_token")


def test_an_added_token_never_takes_the_id_of_a_piece(tmp_path: Path) -> None:
    """Where lines repeat others, the library goes on counting from the number of pieces."""
    write(tmp_path, vocab=lines([*VOCABULARY, "movie", "the"]))
    message = fault(write(tmp_path, special_tokens_map={"additional_special_tokens": ["<ent>"]}))
    assert "'<ent>'" in message
    assert "repeat" in message


def test_a_change_that_the_normaliser_does_not_know_is_refused(tmp_path: Path) -> None:
    tokenizer = library_tokenizer()
    tokenizer.normalizer = normalizers.Lowercase()
    write(tmp_path, tokenizer=tokenizer)
    assert "--do_lower_case" in fault(tmp_path, do_lower_case=False)


def test_a_change_wins_over_every_file(tmp_path: Path) -> None:
    write(tmp_path, tokenizer=library_tokenizer(), tokenizer_config={"do_lower_case": True})
    tokenizer = Tokenizer(tmp_path, do_lower_case=False)
    assert tokenizer.notes == []
    assert tokenizer.encode_plain(["The"]) == [[VOCABULARY.index("The")]]
    (tmp_path / "copy").mkdir()
    tokenizer.save(tmp_path / "copy")
    assert Tokenizer(tmp_path / "copy").encode_plain(["The"]) == [[VOCABULARY.index("The")]]


def test_settings_of_cutting_and_padding_stay_behind(tmp_path: Path) -> None:
    tokenizer = library_tokenizer()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    ours = Tokenizer(write(tmp_path, tokenizer=tokenizer))
    assert len(ours.encode([("the movie is good",)], 99)[0][0]) == 6
    ours.encode([("the movie is good",)], 5)
    (tmp_path / "copy").mkdir()
    ours.save(tmp_path / "copy")
    saved = json.loads((tmp_path / "copy" / "tokenizer.json").read_text(encoding="utf-8"))
    assert (saved["truncation"], saved["padding"]) == (None, None)


def test_a_vocabulary_with_capital_letters_is_cased(tmp_path: Path) -> None:
    vocabulary = [*VOCABULARY, "Gene", "Protein", "Mice", "Cells"]
    tokenizer = Tokenizer(write(tmp_path, vocab=lines(vocabulary)))
    assert tokenizer.settings["do_lower_case"] is False
    (note,) = tokenizer.notes
    assert all(word in note for word in ("vocab.txt", "capital letters", "--do_lower_case true")), note
    assert tokenizer.encode_plain(["Mice"]) == [[vocabulary.index("Mice")]]
    (tmp_path / "copy").mkdir()
    tokenizer.save(tmp_path / "copy")  # where it is said
    assert Tokenizer(tmp_path / "copy").notes == []
    assert Tokenizer(tmp_path / "copy").settings["do_lower_case"] is False


@pytest.mark.parametrize("lower", [True, False])
def test_what_is_said_of_the_case_wins_over_the_vocabulary(tmp_path: Path, lower: bool) -> None:
    vocabulary = [*VOCABULARY, "Gene", "Protein", "Mice", "Cells"]
    write(tmp_path, vocab=lines(vocabulary), tokenizer_config={"do_lower_case": lower})
    assert (Tokenizer(tmp_path).settings["do_lower_case"], Tokenizer(tmp_path).notes) == (lower, [])
    (tmp_path / "tokenizer_config.json").unlink()
    tokenizer = Tokenizer(tmp_path, do_lower_case=lower)
    assert (tokenizer.settings["do_lower_case"], tokenizer.notes) == (lower, [])


def test_models_of_the_library_without_their_kind_are_read(tmp_path: Path) -> None:
    """As tokenizers wrote them before 0.10 or so."""
    values = changed(model__type=None)
    assert Tokenizer(write(tmp_path, tokenizer=values)).encode_plain(["movie"]) == [
        [VOCABULARY.index("movie")]
    ]


def test_a_byte_order_mark_before_any_of_the_files(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    write(tmp_path, tokenizer=mark + library_tokenizer().to_str().encode(), vocab=mark + PLAIN,
          tokenizer_config=mark + b'{"do_lower_case": true}')  # fmt: skip
    assert Tokenizer(tmp_path).vocabulary == {piece: n for n, piece in enumerate(VOCABULARY)}
