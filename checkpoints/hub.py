"""A model of the Hugging Face hub, fetched with huggingface_hub into its cache. No Paddle.

The library checks what it fetches, goes on after a cut, locks its cache, and honours ``HF_HUB_OFFLINE``,
``HF_ENDPOINT`` and ``HF_HOME``. Where the hub cannot be reached the library would try for half a
minute; so that is checked first, and only the cache is asked.
"""

import ssl
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants, errors

from checkpoints.download import is_offline, open_url
from checkpoints.weight_files import INDEX, WEIGHT_FILES, weight_files
from common.errors import InputError
from common.model_files import MODEL_CARD, PIECE_FILES, TOKENIZER_FILES

_ERRORS = (errors.HTTPError, errors.HFValidationError, errors.OfflineModeIsEnabled, OSError)
# The first that an error is an instance of says why a file cannot be fetched.
_REASONS: dict[type[Exception], str] = {
    errors.LocalEntryNotFoundError: "not here, nor in the hub's cache, and the hub does not answer",
    errors.GatedRepoError: "its owner must grant access first (then: hf auth login)",
    errors.RepositoryNotFoundError: "no such folder here, and no such model on the hub, or a private one",
    errors.RevisionNotFoundError: "the model has no such revision",
    errors.EntryNotFoundError: "the model has no such file",
}
_TIMEOUT = 10  # seconds for the hub to say anything at all


def snapshot(repository: str, revision: str) -> tuple[str, Path]:
    """Fetch a model's configuration, weights and tokenizer: the commit, and the folder of its files.

    revision: a commit, branch or tag. InputError says why there is none.
    """
    unreachable = "" if is_offline() else why_unreachable(constants.ENDPOINT)
    folder = _HubModel(repository, revision, unreachable).fetch("config.json").parent
    commit = folder.name
    model = _HubModel(repository, commit, unreachable)
    for name in WEIGHT_FILES:
        if model.fetch_if_there(name):
            break
        if model.fetch_if_there(name + INDEX):
            for path in weight_files(folder)[1:]:
                model.fetch(path.name)
            break
    else:
        raise InputError(f"has none of {', '.join(WEIGHT_FILES)}", path=f"{repository}@{commit}")
    with suppress(InputError):  # it says under which licence the model may be used
        model.fetch(MODEL_CARD)
    fetched = [name for name in TOKENIZER_FILES if model.fetch_if_there(name)]
    if not {*PIECE_FILES} & {*fetched}:
        cache = " in the hub's cache, which is all that can be asked" if unreachable or is_offline() else ""
        reason = f"has none of {', '.join(PIECE_FILES)}{cache}"
        remedy = "its tokenizer is of a kind that this project does not read"
        raise InputError(f"{reason}; {remedy}", path=f"{repository}@{commit}")
    return commit, folder


def why_unreachable(url: str) -> str:
    """Why nobody answers there; empty if somebody does, whatever the answer."""
    try:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "convbert-glue"})
        open_url(request, timeout=_TIMEOUT).close()
    except urllib.error.HTTPError:
        return ""
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return "" if isinstance(reason, ssl.SSLError) else str(reason)  # the library may know more
    return ""


@dataclass(frozen=True)
class _HubModel:
    """A repository's files of one revision. unreachable: why the hub does not answer; empty if it does."""

    repository: str
    revision: str
    unreachable: str

    def fetch(self, name: str) -> Path:
        try:
            path = huggingface_hub.hf_hub_download(
                self.repository, name, revision=self.revision, local_files_only=bool(self.unreachable)
            )
        except _ERRORS as error:
            raise self._input_error(name, error) from error
        return Path(path)

    def fetch_if_there(self, name: str) -> bool:
        try:
            self.fetch(name)
        except InputError as error:
            if isinstance(error.__cause__, errors.LocalEntryNotFoundError):
                if self.unreachable or is_offline():  # an absent file and one not fetched look alike
                    return False
            elif isinstance(error.__cause__, errors.EntryNotFoundError):
                return False
            raise
        return True

    def _input_error(self, name: str, error: Exception) -> InputError:
        if self.unreachable:
            return InputError(
                f"no such folder here, nor in the hub's cache, and {constants.ENDPOINT} "
                f"cannot be reached: {self.unreachable}",
                path=self.repository,
            )
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        reasons = (reason for kind, reason in _REASONS.items() if isinstance(error, kind))
        message = f"{name} cannot be fetched: {next(reasons, first_line)}"
        if is_offline():
            message = f"{name} is not in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it"
        return InputError(message, path=f"{self.repository}@{self.revision}")
