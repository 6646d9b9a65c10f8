"""A model folder → a repository of the Hugging Face hub, with huggingface_hub. No Paddle."""

import re
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
from huggingface_hub import CommitOperationAdd, HfApi, constants, errors

from checkpoints.config_file import config_path
from checkpoints.download import is_offline
from checkpoints.folder import check_manifest, open_checkpoint
from checkpoints.hub import why_unreachable
from checkpoints.registry import model_folder
from checkpoints.weight_files import open_weights, weight_files
from common.errors import InputError, UsageError
from common.messages import say
from common.model_files import MODEL_CARD, TOKENIZER_FILES

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_ERRORS = (
    errors.HTTPError,
    errors.HFValidationError,
    errors.OfflineModeIsEnabled,
    OSError,
    RuntimeError,
    ValueError,
)
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
# What an answer of the hub means, by its status.
_REASONS = {
    401: f"the hub does not take the token: {_LOG_IN}",
    403: "the token may not write there: take one with the right to write, or another repository",
    404: "no such repository, or the token may not see it; --create makes it, --private a private one",
}


def push_model(flags: Namespace) -> None:
    """Carry out ``checkpoints.push``."""
    repository = flags.repository
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(f"{repository!r} is no repository of the hub; expected OWNER/NAME")
    folder = model_folder(flags.folder)
    files = model_files(folder)
    if flags.dry_run:
        for path in files:
            print(f"{path.name}\t{path.stat().st_size}")
        say(f"{len(files)} files of {folder} would go to {repository}; nothing was uploaded")
        return
    api = HfApi(token=_token(repository), endpoint=constants.ENDPOINT)
    with _naming_the_cause(repository):
        _open_repository(api, repository, flags.create, flags.private)
        commit = api.create_commit(
            repository,
            [CommitOperationAdd(path.name, path) for path in files],
            commit_message="Upload a model with convbert-glue",
            revision=flags.revision,
        )
    print(commit.commit_url)


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that are the model; InputError if it is none, or damaged."""
    check_manifest(folder)
    open_checkpoint(folder)
    open_weights(folder)
    others = (folder / name for name in (*TOKENIZER_FILES, MODEL_CARD))
    return [config_path(folder), *weight_files(folder), *(path for path in others if path.is_file())]


def _token(repository: str) -> str:
    """The user's token, if the hub can be reached; else InputError."""
    if is_offline():
        raise InputError("HF_HUB_OFFLINE forbids to upload", path=repository)
    token = huggingface_hub.get_token()
    if not token:
        raise InputError(f"there is no token of the hub; {_LOG_IN}", path=repository)
    if reason := why_unreachable(constants.ENDPOINT):
        raise InputError(f"{constants.ENDPOINT} cannot be reached: {reason}", path=repository)
    return token


def _open_repository(api: HfApi, repository: str, create: bool, private: bool) -> None:
    """Make sure that the repository is there, and private if it must be."""
    try:
        is_private = api.repo_info(repository).private
    except errors.RepositoryNotFoundError as error:
        if error.response.status_code != 404 or not (create or private):
            raise
        api.create_repo(repository, private=private)
        return
    if private and not is_private:
        raise InputError("is public; leave out --private to upload to it", path=repository)


@contextmanager
def _naming_the_cause(repository: str) -> Iterator[None]:
    """Turn errors of the library into one line that says what to do."""
    try:
        yield
    except errors.RevisionNotFoundError:
        raise InputError("has no such branch; make it on the hub first", path=repository) from None
    except _ERRORS as error:
        answers = [getattr(each, "response", None) for each in (error, error.__cause__)]
        status = next((answer.status_code for answer in answers if answer is not None), 0)
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        reason = _REASONS.get(status) or f"cannot be uploaded: {first_line}"
        raise InputError(reason, path=repository) from None
