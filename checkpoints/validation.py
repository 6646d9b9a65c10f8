"""Opening a model folder to use it: which folder, is it whole, does its tokeniser fit. No Paddle."""

from collections.abc import Iterator
from pathlib import Path

from checkpoints.registry import PADDLENLP_MODELS, SHIPPED
from common.errors import InputError
from common.files import MANIFEST, damage
from common.messages import say
from common.model_files import TOKENIZER_FILES, TOKENIZER_SETTINGS
from encoders.config import EncoderConfig
from encoders.letter_case import stripped, unreachable
from encoders.tokenizer import Tokenizer

_LONGEST_VOCABULARY = 100_000_000  # bytes; the largest published ones have 5 MB
_LONGEST_PADDING = 128  # embeddings without a piece, which some add for a round number


def model_folder(path: str | Path) -> Path:
    """The folder itself, or ``best/`` in it where it is a run's; InputError if that run has saved none, or
    the name is that of a pre-trained model."""
    folder = Path(path)
    if not folder.exists() and str(path) in (*SHIPPED, *PADDLENLP_MODELS):
        raise InputError(
            f"{path}: is a pre-trained model, without a head to answer with; fine-tune it first "
            f"(glue.run_glue or squad.run_squad --model_name_or_path {path}), and name the run's folder"
        )
    inner = folder / "best"
    if (folder / "config.json").is_file():
        return folder
    if not inner.is_dir() and (folder / "args.json").is_file():
        raise InputError(
            f"{folder}: is the folder of a run that has no best/ yet, as it has not been evaluated; "
            "let it go on, with --resume if it was stopped"
        )
    return inner if inner.is_dir() else folder


def check_manifest(folder: str | Path) -> None:
    """InputError if a folder of ours has been damaged; foreign folders have no manifest."""
    if (Path(folder) / MANIFEST).is_file() and (fault := damage(Path(folder))):
        raise InputError(f"{fault}; damaged? take another copy, or remove {MANIFEST} if you changed it")


def check_length(max_length: int, config: EncoderConfig) -> None:
    """InputError if inputs could be longer than the model has positions."""
    if max_length > config.max_position_embeddings:
        positions = config.max_position_embeddings
        raise InputError(f"--max_seq_length {max_length}: this model has {positions} positions at the most")


def check_pairs(config: EncoderConfig) -> None:
    """InputError if the model reads single texts only: it has no embedding for the tokens of a second one."""
    if config.type_vocab_size < 2:
        raise InputError(
            f"the model's type_vocab_size is {config.type_vocab_size}: it reads single texts, pairs need 2; "
            "take another checkpoint"
        )


def tokenizer_of(folder: str | Path, config: EncoderConfig, lower_case: bool | None = None) -> Tokenizer:
    """A model folder's tokeniser; lower_case wins over what its files say.

    InputError if it knows more pieces than the network has embeddings. That a vocabulary may be cut short
    or another model's, or that lower_case makes a part of it useless, is a warning: every id it gives has an
    embedding. (A folder of ours says by its manifest that a file is not the one it was saved with, a
    vocabulary in another order too.)
    """
    for path in (Path(folder) / name for name in TOKENIZER_FILES):
        if path.is_file() and path.stat().st_size > _LONGEST_VOCABULARY:
            size = path.stat().st_size
            raise InputError(f"{path}: has {size} bytes, beyond all vocabularies; fetch it again")
    tokenizer = Tokenizer(folder, **({} if lower_case is None else {"do_lower_case": lower_case}))
    count, size, path = len(tokenizer), config.vocab_size, tokenizer.path
    if count > size:
        beyond = [piece for piece, number in tokenizer.vocabulary.items() if number >= size]
        reason = "is it another model's?"
        if set(beyond) <= tokenizer.added_tokens:
            names = ", ".join(beyond[:5])
            reason = f"the network has no embeddings of {names}: take them off the folder's added tokens"
        raise InputError(f"{path}: has {count} pieces, config.json says vocab_size {size}; {reason}")
    for note in tokenizer.notes:
        say(f"note: {note}")
    for warning in _doubts(tokenizer, config):
        say(f"warning: {path}: {warning}")
    return tokenizer


def _doubts(tokenizer: Tokenizer, config: EncoderConfig) -> Iterator[str]:
    """Why a vocabulary may not be the network's, or not go with the settings."""
    count, size = len(tokenizer), config.vocab_size
    is_padding = size % 8 == 0 and size - count < _LONGEST_PADDING
    if count < size and not is_padding:
        yield (
            f"has {count} pieces, config.json says vocab_size {size}; is it cut short? Words that it lacks "
            "become [UNK] or fall to letters"
        )
    token = tokenizer.special_tokens.get("pad_token")
    if token and (pad := tokenizer.id_of("pad_token")) != config.pad_token_id:
        yield (
            f"{token} is piece {pad}, config.json says pad_token_id {config.pad_token_id}; is it another "
            "model's, or in another order?"
        )
    if not tokenizer.settings:
        return
    lower_case, strip = (tokenizer.settings[key] for key in ("do_lower_case", "strip_accents"))
    if useless := unreachable(tokenizer.vocabulary, bool(lower_case)):
        yield (
            f"do_lower_case is {str(lower_case).lower()}, but {useless}; if the model was trained otherwise: "
            f"--do_lower_case {str(not lower_case).lower()}"
        )
    elif (lower_case if strip is None else strip) and (useless := stripped(tokenizer.vocabulary)):
        yield (
            f"accents are stripped, but {useless}; if the model was trained with them: "
            f'"strip_accents": false in {TOKENIZER_SETTINGS}'
        )
