"""What an artefact was made from: one record, and how two records differ.

A run's ``args.json`` and the ``.npz`` beside a prediction file hold such a record; ``difference`` answers
whether a file was made from that model, that data and those settings.
"""

import functools
import hashlib
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import MANIFEST
from common.json_files import read_json_object
from common.messages import escape_unprintable, shortened
from common.model_files import ID_FILES, TOKENIZER_JSON, VOCABULARY

_PROJECT = Path(__file__).resolve().parents[1]
_WEIGHTS = re.compile(r"model\.safetensors|pytorch_model\.bin|model_state\.pdparams")
_LONGEST_VALUE = 60
_SHORT_DIGEST = 12


@dataclass(frozen=True)
class Provenance:
    """What an artefact was made from.

    Attributes:
        model: The digest of the model folder, as ``model_digest`` computes it; empty: unknown.
        data: Each file that was read, such as ``RTE/dev.tsv``, → SHA-256 of its bytes; empty: unknown.
        settings: Name → value of the settings that decide the result; mappings may be nested.
        code: The version of this project; empty: unknown.
    """

    model: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""


def difference(expected: Provenance, actual: Provenance, unknown_may_pass: bool = False) -> list[str]:
    """Say how an artefact was made otherwise than expected.

    Only what ``expected`` names is compared, so that a caller chooses what matters.

    Args:
        expected: The model, files, settings and code that the artefact should be made from.
        actual: The artefact's own record.
        unknown_may_pass: Do not count a digest that ``actual`` lacks, as the records of other tools do.

    Returns:
        A line for each difference, such as ``RTE/dev.tsv 0a1b2c3d4e5f, expected f5e4d3c2b1a0``, in the order
        model, data, settings, code; empty if there is none.

    >>> difference(Provenance(settings={"seed": 1}), Provenance(settings={"seed": 2, "batch_size": 8}))
    ['seed 2, expected 1']
    """
    digests = _digests(actual)
    differences = [
        f"{name} {short(digests.get(name, ''))}, expected {short(digest)}"
        for name, digest in _digests(expected).items()
        if digests.get(name) != digest and (name in digests or not unknown_may_pass)
    ]
    settings = {**flat(actual.settings), "code": actual.code}
    wanted = {**flat(expected.settings), **({"code": expected.code} if expected.code else {})}
    differences += [
        f"{name} {shortened(settings.get(name), _LONGEST_VALUE)}, expected {shortened(value, _LONGEST_VALUE)}"
        for name, value in wanted.items()
        if settings.get(name) != value
    ]
    return differences


def of_run(args: Mapping[str, Any]) -> Provenance:
    """The record in a run's ``args.json``; what is missing or malformed counts as unknown."""
    data = args.get("data")
    files = data.items() if isinstance(data, Mapping) else ()
    digests = {str(name): str(entry.get("sha256", "")) for name, entry in files if isinstance(entry, Mapping)}
    others = ("data", "model_sha256", "versions")
    versions = args.get("versions")
    return Provenance(
        model=str(args.get("model_sha256") or ""),
        data=digests,
        settings={name: value for name, value in args.items() if name not in others},
        code=str(versions.get("convbert-glue", "")) if isinstance(versions, Mapping) else "",
    )


def short(digest: str) -> str:
    """The beginning of a digest, which is enough to tell two apart in a message."""
    return escape_unprintable(digest[:_SHORT_DIGEST]) if digest else "unknown"


def code_version() -> str:
    """The version of this project, as installed."""
    try:
        return version("convbert-glue")
    except PackageNotFoundError:  # run from a clone that was never installed
        return "not-installed"


@functools.cache
def code_commit() -> str:
    """The commit of the clone that this runs from, with ``-dirty`` where files differ; empty if unknown."""
    if not (_PROJECT / ".git").exists():
        return ""
    command = ["git", "-C", str(_PROJECT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def model_digest(sha256: Mapping[str, str], weights: Sequence[str], config: str) -> str:
    """The digest that names a model, SHA-256 over those of its weights, configuration and vocabulary."""
    names = [*weights, config, *(name for name in ID_FILES if name in sha256)]
    return hashlib.sha256("".join(sha256[name] for name in names).encode()).hexdigest()


def recorded_digest(folder: Path) -> str:
    """The digest of a model folder of ours, from its own manifest (else InputError), without reading its
    weights."""
    path = folder / MANIFEST
    digests = read_json_object(path).get("sha256")
    digests = digests if isinstance(digests, dict) else {}
    weights = [name for name in digests if _WEIGHTS.fullmatch(name)]
    if len(weights) != 1 or "config.json" not in digests or not {VOCABULARY, TOKENIZER_JSON} & set(digests):
        raise InputError("is not the manifest of a model folder", path=path, code="manifest")
    if not all(isinstance(digest, str) and digest.isascii() for digest in digests.values()):
        raise InputError("holds something else than digests", path=path, code="manifest")
    return model_digest(digests, weights, "config.json")


def _digests(record: Provenance) -> dict[str, str]:
    """Those that are known."""
    return {name: digest for name, digest in {"model": record.model, **record.data}.items() if digest}


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, their keys joined by dots."""
    result: dict[str, Any] = {}
    for key, value in settings.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return result
