"""Names of published models → a folder on this machine, fetched once. No Paddle.

``convbert-base`` and the like are PaddleNLP's and come from its store; ``YituTech/conv-bert-base`` and the
like are the Hugging Face hub's, into the hub's own cache; ``roberta-base`` and the like are short for some of
these. A hub model is pinned: every later run takes the commit of the first fetch, until another revision is
named (``YituTech/conv-bert-base@3c1d…``).
``HF_HUB_OFFLINE=1`` forbids every contact, ``HF_ENDPOINT`` names another hub. ``a/b`` where a folder ``a``
stands here is a path; ``a/b@main`` is the hub's. ``convbert-mini`` ships with the project.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints.download import Source, fetch
from checkpoints.folder import WITHOUT_HEAD
from checkpoints.weight_files import PADDLE, weight_files
from common.cache import cache_dir, distrust, private_dir, protect
from common.dispatch import dispatch
from common.errors import InputError
from common.files import write_json
from common.messages import note_once
from common.model_files import PIECE_FILES
from encoders.config import SIZES, EncoderConfig, to_json

_MAX_VOCABULARY = 16 << 20  # bytes; the published ones have about 230 000
_HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")


@dataclass(frozen=True)
class StoredModel:
    """A model in PaddleNLP's store, which gives no digests: the first fetch is trusted, as PaddleNLP does."""

    weights: str
    vocabulary: str
    settings: dict[str, Any]
    lower_case: bool = True


STORE = "https://bj.bcebos.com"
_MODELS = "paddlenlp/models/transformers"


def _stored(
    weights: str, vocabulary: str, model_type: str, large: bool, lower_case: bool = True, **settings: Any
) -> StoredModel:
    """A model of BERT's sizes. weights: where the store's folder of models has them."""
    width, layers, heads = (1024, 24, 16) if large else (768, 12, 12)
    sizes = {
        "model_type": model_type, "hidden_size": width, "embedding_size": width, "num_hidden_layers": layers,
        "num_attention_heads": heads, "intermediate_size": 4 * width, **settings,
    }  # fmt: skip
    return StoredModel(f"{_MODELS}/{weights}", vocabulary, sizes, lower_case)


def _electra(size: str, **settings: Any) -> StoredModel:
    path = f"electra/electra-{size}"
    return _stored(f"{path}.pdparams", f"{_MODELS}/{path}-vocab.txt", "electra", size == "large", **settings)


# Addresses and sizes as in PaddleNLP 2.8.1 (transformers/*/configuration.py, tokenizer.py); not contacted by
# the tests.
PADDLENLP_MODELS: dict[str, StoredModel] = {
    **{
        f"convbert-{size}": StoredModel(
            f"{_MODELS}/convbert/convbert-{size}/{PADDLE}", f"{_MODELS}/convbert/convbert-{size}/vocab.txt",
            {"model_type": "convbert", **sizes},
        )
        for size, sizes in SIZES.items()
    },
    **{
        name: _stored(
            f"{folder}{name}.pdparams", f"paddle-hapi/models/bert/{name}-vocab.txt", "bert",
            "large" in name, name.endswith("uncased"), vocab_size=vocab_size,
        )
        for name, folder, vocab_size in (
            ("bert-base-uncased", "", 30522), ("bert-large-uncased", "", 30522),
            ("bert-base-cased", "bert/", 28996), ("bert-large-cased", "bert/", 28996),
        )
    },
    "electra-small": _electra(
        "small", embedding_size=128, hidden_size=256, num_attention_heads=4, intermediate_size=1024
    ),
    "electra-base": _electra("base"),
    "electra-large": _electra("large"),
    **{
        f"ernie-2.0-{size}-en": _stored(
            f"ernie_v2_{size}/ernie_v2_eng_{size}.pdparams", f"{_MODELS}/ernie_v2_{size}/vocab.txt",
            "ernie", size == "large", type_vocab_size=4,
        )
        for size in ("base", "large")
    },
}  # fmt: skip


# Names that people use → the hub's repository of the model.
HUB_MODELS = {
    "roberta-base": "FacebookAI/roberta-base",
    "roberta-large": "FacebookAI/roberta-large",
    "distilroberta-base": "distilbert/distilroberta-base",
    "xlm-roberta-base": "FacebookAI/xlm-roberta-base",
    "xlm-roberta-large": "FacebookAI/xlm-roberta-large",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
    "distilbert-base-cased": "distilbert/distilbert-base-cased",
    "minilm-l12-h384-uncased": "microsoft/MiniLM-L12-H384-uncased",
    **{f"deberta-v3-{size}": f"microsoft/deberta-v3-{size}" for size in ("xsmall", "small", "base", "large")},
    **{f"deberta-v2-{size}": f"microsoft/deberta-v2-{size}" for size in ("xlarge", "xxlarge")},
    **{f"modernbert-{size}": f"answerdotai/ModernBERT-{size}" for size in ("base", "large")},
}
# Models that come with the project, each in a folder of its name beside this file.
SHIPPED = ("convbert-mini",)


def resolve(name_or_path: str | Path) -> Path:
    """The model folder: the path itself, or where the model of that name was fetched to.

    A path that does not exist is given back for its reader to complain of; a name that nobody
    knows, and whatever goes wrong in fetching: InputError.
    """
    name = os.path.expanduser(name_or_path)  # noqa: PTH111 (where there is no home it stays as it is)
    path = Path(name)
    if path.exists():
        return path
    if name in SHIPPED:
        if _is_whole(folder := Path(__file__).parent / name):
            return folder
        reason = f"{name} ships with the project, but this install lacks it"
        raise InputError(f"{reason}; install from a whole clone, or name another model", path=folder)
    if name in PADDLENLP_MODELS:
        return _from_store(name, PADDLENLP_MODELS[name])
    on_hub = _HUB_NAME.fullmatch(HUB_MODELS.get(name, name))
    if on_hub and not on_hub[2] and name not in HUB_MODELS and path.parent.is_dir():
        reason = f"no such model folder in {path.parent}; if you mean the hub's model, write {name}@main"
        raise InputError(reason, path=name)
    if on_hub:
        return _from_hub(on_hub[1], on_hub[2] or "")
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        names = ", ".join((*SHIPPED, *PADDLENLP_MODELS, *HUB_MODELS))
        reason = f"no such model folder, and no name known here: {names}"
        raise InputError(f"{reason}, or one of the hub's, as YituTech/conv-bert-base", path=name)
    return path


def model_folder(path: str | Path) -> Path:
    """The folder itself, or ``best/`` in it where it is a run's; InputError if that run has saved none, or
    the name is that of a pre-trained model."""
    folder = Path(path)
    if not folder.exists() and str(path) in (*SHIPPED, *PADDLENLP_MODELS, *HUB_MODELS):
        raise InputError(WITHOUT_HEAD.format(f" --model_name_or_path {path}"), path=path)
    best = folder / "best"
    if (folder / "config.json").is_file():
        return folder
    if not best.is_dir() and (folder / "args.json").is_file():
        reason = "is the folder of a run that has no best/ yet, as it has not been evaluated"
        raise InputError(f"{reason}; let it go on, with --resume if it was stopped", path=folder)
    return best if best.is_dir() else folder


def _from_store(name: str, model: StoredModel) -> Path:
    folder = private_dir("models") / name
    for path in (folder, *(folder.iterdir() if folder.is_dir() else ())):
        if reason := distrust(path):
            raise reason
    store = os.environ.get("CONVBERT_GLUE_STORE") or STORE
    fetch(Source(f"{store}/{model.vocabulary}", max_size=_MAX_VOCABULARY), folder / "vocab.txt")
    fetch(Source(f"{store}/{model.weights}"), folder / PADDLE)
    if not (folder / "config.json").is_file():  # written last: the store has none
        write_json(folder / "tokenizer_config.json", {"do_lower_case": model.lower_case})
        settings = to_json(EncoderConfig(**model.settings))
        write_json(folder / "config.json", {**settings, "id2label": None, "label2id": None})
    return folder


def _from_hub(repository: str, revision: str) -> Path:
    """The snapshot's folder in the hub's cache, with configuration, weights and vocabulary."""
    pin = cache_dir() / "hub" / f"{repository.replace('/', '--')}.json"
    pinned = _read_pin(pin)
    if not revision and pinned:
        folder = Path(pinned["folder"])
        if _is_whole(folder) and any((folder / name).is_file() for name in PIECE_FILES):
            return folder
    wanted = revision or pinned.get("revision") or "main"
    commit, folder = dispatch("checkpoints.hub:snapshot", repository, wanted)  # it imports huggingface_hub
    if not revision:
        try:
            private_dir("hub")
            write_json(pin, {"revision": commit, "folder": str(folder)})
            protect(pin)
        except (InputError, OSError) as error:
            note_once(f"{repository}@{commit} is not noted, later runs may find another commit: {error}")
    return folder


def _read_pin(pin: Path) -> dict[str, str]:
    """The commit and the folder of a model's first fetch; empty where it was not fetched yet."""
    if reason := distrust(pin):  # it names a folder, which would be loaded
        note_once(f"{reason}; the hub is asked which commit it has")
        return {}
    try:
        values = json.loads(pin.read_text(encoding="utf-8"))
        return {"revision": str(values["revision"]), "folder": str(values["folder"])}
    except (OSError, ValueError, TypeError, KeyError):  # none yet, or a damaged one: asked for again
        return {}


def _is_whole(folder: Path) -> bool:
    """Whether a folder has its configuration and all files of weights."""
    try:
        files = weight_files(folder)
    except InputError:  # a damaged index: asked for again
        return False
    return bool(files) and all(path.is_file() for path in (*files, folder / "config.json"))
