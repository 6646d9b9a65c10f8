"""A model of the Hugging Face hub, fetched with huggingface_hub into its cache. No Paddle.

The library checks what it fetches, goes on after a cut, locks its cache, and honours ``HF_HUB_OFFLINE``,
``HF_ENDPOINT`` and ``HF_HOME``.
"""

from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

from checkpoints.download import is_offline
from checkpoints.weights import WEIGHT_FILES
from commands.errors import InputError

_FAULTS = (errors.HTTPError, errors.HFValidationError, errors.OfflineModeIsEnabled, OSError)


def snapshot(repository: str, revision: str) -> tuple[str, Path]:
    """The commit that revision names, and the folder of its files; InputError says why there is none."""
    configuration = _fetch(repository, revision, "config.json")
    commit = configuration.parent.name
    for name in WEIGHT_FILES:
        if _fetch_if_there(repository, commit, name):
            break
    else:
        raise InputError(f"{repository}@{commit}: has none of {', '.join(WEIGHT_FILES)}")
    _fetch(repository, commit, "vocab.txt")
    _fetch_if_there(repository, commit, "tokenizer_config.json")
    return commit, configuration.parent


def _fetch(repository: str, revision: str, name: str) -> Path:
    try:
        return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision))
    except _FAULTS as error:
        raise InputError(f"{repository}@{revision}: {name} {_reason(error)}") from None


def _fetch_if_there(repository: str, revision: str, name: str) -> bool:
    try:
        huggingface_hub.hf_hub_download(repository, name, revision=revision)
    except errors.LocalEntryNotFoundError as error:
        if is_offline():  # an absent file and one not fetched look alike
            return False
        raise InputError(f"{repository}@{revision}: {name} {_reason(error)}") from None
    except errors.EntryNotFoundError:
        return False
    except _FAULTS as error:
        raise InputError(f"{repository}@{revision}: {name} {_reason(error)}") from None
    return True


def _reason(error: Exception) -> str:
    if is_offline():
        return "is not in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return "cannot be fetched: no such folder here, nor in the hub's cache, and the hub cannot be reached"
    if isinstance(error, errors.GatedRepoError):
        return "cannot be fetched: its owner must grant access first (then: hf auth login)"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "cannot be fetched: no such folder here, and no such model on the hub, or a private one"
    if isinstance(error, errors.RevisionNotFoundError):
        return "cannot be fetched: the model has no such revision"
    if isinstance(error, errors.EntryNotFoundError):
        return "cannot be fetched: the model has no such file"
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"cannot be fetched: {said}"
