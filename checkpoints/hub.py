"""A model of the Hugging Face hub, fetched with huggingface_hub into its cache. No Paddle.

The library checks what it fetches, goes on after a cut, locks its cache, and honours ``HF_HUB_OFFLINE``,
``HF_ENDPOINT`` and ``HF_HOME``. Where the hub cannot be reached it would try for half a minute; so that is
found out first, and the cache is all that is asked.
"""

import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants, errors

from checkpoints.download import is_offline, open_url
from checkpoints.weight_files import INDEX, WEIGHT_FILES, weight_files
from common.errors import InputError
from common.model_files import TOKENIZER_FILES, TOKENIZER_JSON, VOCABULARY

_FAULTS = (errors.HTTPError, errors.HFValidationError, errors.OfflineModeIsEnabled, OSError)
_TIMEOUT = 10  # seconds for the hub to say anything at all


def snapshot(repository: str, revision: str) -> tuple[str, Path]:
    """The commit that revision names, and the folder of its files; InputError says why there is none."""
    why_not = "" if is_offline() else _unreachable(constants.ENDPOINT)
    model = _Model(repository, revision, why_not)
    configuration = model.fetch("config.json")
    commit = configuration.parent.name
    model = _Model(repository, commit, why_not)
    for name in WEIGHT_FILES:
        if model.fetch_if_there(name):
            break
        if model.fetch_if_there(name + INDEX):
            for path in weight_files(configuration.parent)[1:]:
                model.fetch(path.name)
            break
    else:
        raise InputError(f"{repository}@{commit}: has none of {', '.join(WEIGHT_FILES)}")
    there = [name for name in TOKENIZER_FILES if model.fetch_if_there(name)]
    if VOCABULARY not in there and TOKENIZER_JSON not in there:
        raise InputError(
            f"{repository}@{commit}: has neither {VOCABULARY} nor {TOKENIZER_JSON}{_offline(why_not)}; this "
            "project reads BERT's WordPiece vocabularies alone"
        )
    return commit, configuration.parent


def _offline(why_not: str) -> str:
    return " in the hub's cache, which is all that can be asked" if why_not or is_offline() else ""


def _unreachable(url: str) -> str:
    """Why nobody answers there; empty if somebody does, whatever the answer."""
    try:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "convbert-glue"})
        open_url(request, timeout=_TIMEOUT).close()
    except urllib.error.HTTPError:
        return ""
    except urllib.error.URLError as error:
        # Of certificates the library may know more.
        return "" if isinstance(error.reason, ssl.SSLError) else str(error.reason)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class _Model:
    """A repository's files of one revision. why_not: why the hub cannot be reached; empty if it can."""

    repository: str
    revision: str
    why_not: str

    def fetch(self, name: str) -> Path:
        try:
            return self._fetch(name)
        except _FAULTS as error:
            raise self._fault(name, error) from None

    def fetch_if_there(self, name: str) -> bool:
        try:
            self._fetch(name)
        except errors.LocalEntryNotFoundError as error:
            if self.why_not or is_offline():  # an absent file and one not fetched look alike
                return False
            raise self._fault(name, error) from None
        except errors.EntryNotFoundError:
            return False
        except _FAULTS as error:
            raise self._fault(name, error) from None
        return True

    def _fetch(self, name: str) -> Path:
        local = bool(self.why_not)
        found = huggingface_hub.hf_hub_download(
            self.repository, name, revision=self.revision, local_files_only=local
        )
        return Path(found)

    def _fault(self, name: str, error: Exception) -> InputError:
        if self.why_not:
            return InputError(
                f"no such folder here, nor in the hub's cache, and {constants.ENDPOINT} "
                f"cannot be reached: {self.why_not}",
                path=self.repository,
            )
        return InputError(f"{self.repository}@{self.revision}: {name} {_reason(error)}")


def _reason(error: Exception) -> str:
    if is_offline():
        return "is not in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return "cannot be fetched: no such folder here, nor in the hub's cache, and the hub does not answer"
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
