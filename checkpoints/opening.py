"""Opening a model folder to use it: which folder, is it whole, does its tokeniser fit. No Paddle."""

from pathlib import Path

from commands.errors import InputError
from commands.files import MANIFEST, damage
from convbert.config import EncoderConfig
from convbert.tokenizer import Tokenizer


def model_folder(path: str | Path) -> Path:
    """The folder itself, or ``best/`` in it where it is a run's; InputError if that run has saved none."""
    folder = Path(path)
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


def tokenizer_of(folder: str | Path, config: EncoderConfig, lower_case: bool | None = None) -> Tokenizer:
    """A model folder's tokeniser; lower_case wins over what its settings say.

    InputError if it knows more pieces than the network has embeddings.
    """
    tokenizer = Tokenizer(folder, **({} if lower_case is None else {"do_lower_case": lower_case}))
    if len(tokenizer) > config.vocab_size:
        said = f"config.json says vocab_size {config.vocab_size}"
        raise InputError(f"{folder}/vocab.txt: has {len(tokenizer)} pieces, {said}")
    return tokenizer
