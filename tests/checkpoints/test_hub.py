"""Names of models on the Hugging Face hub, which a local server plays."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import constants

from checkpoints.folder import read_config
from checkpoints.registry import resolve
from checkpoints.weight_files import INDEX, WEIGHT_FILES
from common.cache import distrust
from common.errors import InputError
from common.files import write_json
from common.model_files import TOKENIZER_FILES
from encoders.tokenizer import Tokenizer
from tests.checkpoints.golden_folders import GOLDEN, check_error, read
from tests.checkpoints.test_several_files import sharded
from tests.checkpoints.web import Web
from tests.golden.tokenizer_folders import library_tokenizer

PROJECT = Path(__file__).parents[2]
REPOSITORY, COMMIT = "YituTech/conv-bert-tiny", "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"


VOCABULARY = {"vocab.txt": (GOLDEN / "tokenizer" / "vocab.txt").read_bytes()}


def put_on_hub(
    web: Web,
    commit: str,
    folder: Path,
    weights: str = "model.safetensors",
    tokenizer: dict[str, bytes] = VOCABULARY,
) -> None:
    """Serve a folder's files as the hub does, under the commit's name."""
    files = {
        "config.json": (folder / "config.json").read_bytes(),
        weights: (folder / weights).read_bytes(),
        **tokenizer,
    }
    absent = {*TOKENIZER_FILES, *WEIGHT_FILES, *(name + INDEX for name in WEIGHT_FILES)}
    for revision in ("main", commit):
        for name, content in files.items():
            path = f"/{REPOSITORY}/resolve/{revision}/{name}"
            web.files[path] = content
            web.headers[path] = {"X-Repo-Commit": commit}
        for name in absent - set(files):
            path = f"/{REPOSITORY}/resolve/{revision}/{name}"
            web.files.pop(path, None)
            web.headers[path] = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}


def run(web: Web, tmp_path: Path, name: str = REPOSITORY, endpoint: str = "", offline: bool = False) -> str:
    """What resolve() answers where the local server is the hub; an error as its line."""
    endpoint = endpoint or web.url
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setattr(constants, "ENDPOINT", endpoint)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + template)
        patch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        patch.setattr(constants, "HF_HUB_OFFLINE", offline)
        patch.setenv("HF_HUB_OFFLINE", str(int(offline)))
        try:
            return str(resolve(name))
        except InputError as error:
            return f"error: {error}"


def test_the_environment_names_the_hub_and_its_cache(web: Web, tmp_path: Path) -> None:
    put_on_hub(web, COMMIT, GOLDEN / "convbert_small")
    code = "import sys; from checkpoints.registry import resolve; print(resolve(sys.argv[1]))"
    env = {
        **os.environ, "HF_ENDPOINT": web.url, "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(PROJECT),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, REPOSITORY], env=env, cwd=tmp_path, capture_output=True,
        encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == [run(web, tmp_path)], done.stderr


@pytest.mark.parametrize(
    ("source", "weights"),
    [("convbert_small", "model.safetensors"), ("paddlenlp/convbert", "model_state.pdparams")],
)
def test_a_model_of_the_hub_is_fetched_once(web: Web, tmp_path: Path, source: str, weights: str) -> None:
    put_on_hub(web, COMMIT, GOLDEN / source, weights)
    folder = Path(run(web, tmp_path))
    assert folder.parts[-2:] == ("snapshots", COMMIT)
    assert read(folder, head="optional").arrays.keys() == read(GOLDEN / source, head="optional").arrays.keys()
    assert len(Tokenizer(folder)) == 343
    before = len(web.requests)
    assert Path(run(web, tmp_path)) == folder
    assert Path(run(web, tmp_path, offline=True)) == folder
    assert len(web.requests) == before


def test_a_model_of_the_hub_may_have_tokenizer_json_alone(web: Web, tmp_path: Path) -> None:
    """And everything else that says how its texts are read."""
    tokenizer = {
        "tokenizer.json": library_tokenizer(lower=False).to_str().encode(),
        "tokenizer_config.json": b'{"do_lower_case": false}',
        "special_tokens_map.json": b'{"mask_token": "[MASK]"}',
        "added_tokens.json": b"{}",
    }
    put_on_hub(web, COMMIT, GOLDEN / "convbert_small", tokenizer=tokenizer)
    folder = Path(run(web, tmp_path))
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in tokenizer} == tokenizer
    assert (len(Tokenizer(folder)), Tokenizer(folder).settings["do_lower_case"]) == (343, False)
    before = len(web.requests)
    assert Path(run(web, tmp_path)) == folder
    assert len(web.requests) == before


def test_a_model_of_the_hub_without_a_vocabulary(web: Web, tmp_path: Path) -> None:
    put_on_hub(web, COMMIT, GOLDEN / "convbert_small", tokenizer={})
    answer = run(web, tmp_path)
    assert answer.startswith(f"error: {REPOSITORY}@{COMMIT}: has none of vocab.txt, tokenizer.json")


def test_a_model_stays_what_it_was_at_first(web: Web, tmp_path: Path) -> None:
    """The hub's main moves on: without another revision named, nothing changes here."""
    put_on_hub(web, COMMIT, GOLDEN / "convbert_small")
    folder = run(web, tmp_path)
    put_on_hub(web, OTHER, GOLDEN / "convbert_base")
    assert run(web, tmp_path) == folder
    shutil.rmtree(tmp_path / "hf")  # the cache was cleared: the same commit is fetched again
    put_on_hub(web, COMMIT, GOLDEN / "convbert_small")
    put_on_hub(web, OTHER, GOLDEN / "convbert_base")
    assert run(web, tmp_path) == folder
    named = Path(run(web, tmp_path, f"{REPOSITORY}@{OTHER}"))
    assert named.name == OTHER
    assert read_config(named) == read_config(GOLDEN / "convbert_base")
    assert run(web, tmp_path) == folder


@pytest.mark.skipif(os.name != "posix", reason="files have other owners there")
def test_a_note_that_others_may_have_written_is_not_followed(web: Web, tmp_path: Path) -> None:
    put_on_hub(web, COMMIT, GOLDEN / "convbert_small")
    folder = run(web, tmp_path)
    (note,) = (tmp_path / "cache" / "hub").iterdir()
    shutil.copytree(folder, tmp_path / "planted")
    write_json(note, {"revision": COMMIT, "folder": str(tmp_path / "planted")})
    assert run(web, tmp_path) == str(tmp_path / "planted")  # one's own
    note.chmod(0o666)
    assert run(web, tmp_path) == folder
    assert not distrust(note)  # it was written anew
    assert run(web, tmp_path) == folder


def test_a_cut_transfer_from_the_hub(web: Web, tmp_path: Path) -> None:
    put_on_hub(web, COMMIT, GOLDEN / "convbert_small")
    web.cuts = [10_000, 10_000, 40_000]  # the first is longer than config.json
    folder = Path(run(web, tmp_path))
    assert read(folder).arrays.keys() == read(GOLDEN / "convbert_small").arrays.keys()
    # huggingface_hub goes on from what it has on disk, which it writes in pieces of 10 MB.
    assert web.served(f"/{REPOSITORY}/resolve/{COMMIT}/model.safetensors") == 3


def test_what_the_hub_may_refuse(web: Web, tmp_path: Path) -> None:
    path = f"/{REPOSITORY}/resolve/main/config.json"
    for code, fragment in (
        ("RepoNotFound", "config.json cannot be fetched: no such folder here, and no such model on the hub"),
        ("RevisionNotFound", "config.json cannot be fetched: the model has no such revision"),
        ("EntryNotFound", "config.json cannot be fetched: the model has no such file"),
    ):
        web.headers[path] = {"X-Error-Code": code}
        answer = run(web, tmp_path)
        assert answer.startswith(f"error: {REPOSITORY}@main: {fragment}")
    put_on_hub(web, COMMIT, GOLDEN / "convbert_small")
    for revision in ("main", COMMIT):
        path = f"/{REPOSITORY}/resolve/{revision}/model.safetensors"
        del web.files[path]
        web.headers[path] = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
    assert run(web, tmp_path).startswith(f"error: {REPOSITORY}@{COMMIT}: has none of model.safetensors, ")


def test_offline(web: Web, tmp_path: Path) -> None:
    answer = run(web, tmp_path, offline=True)
    assert answer.startswith(f"error: {REPOSITORY}@main: config.json is not in the hub's cache")
    assert "HF_HUB_OFFLINE" in answer
    assert web.requests == []


NOBODY = "http://127.0.0.1:9"


def test_no_network_is_said_at_once(web: Web, tmp_path: Path) -> None:
    """huggingface_hub would try again for half a minute."""
    begun = time.monotonic()
    answer = run(web, tmp_path, endpoint=NOBODY)
    assert answer.startswith(f"error: {REPOSITORY}: no such folder here")
    assert f"{NOBODY} cannot be reached: [Errno 111] Connection refused" in answer
    assert time.monotonic() - begun < 10
    assert web.requests == []


def test_without_network_the_hubs_cache_is_used(web: Web, tmp_path: Path) -> None:
    """A model that another program fetched: nothing was pinned here."""
    put_on_hub(web, COMMIT, GOLDEN / "convbert_small")
    folder = run(web, tmp_path)
    shutil.rmtree(tmp_path / "cache")
    assert run(web, tmp_path, endpoint=NOBODY) == folder


def test_a_name_beside_folders_that_are_here_is_a_path(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    check_error(lambda: resolve("models/bsae"), "models/bsae", "in models;", "write models/bsae@main")
    assert web.requests == []
    assert run(web, tmp_path, "models/bsae@main").startswith("error: models/bsae@main: config.json cannot be")


def test_shards_of_the_hub(web: Web, tmp_path: Path) -> None:
    sharded(tmp_path)
    put_on_hub(web, COMMIT, GOLDEN / "bert")
    path = f"/{REPOSITORY}/resolve/{COMMIT}/"
    web.headers[f"{path}model.safetensors"] = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
    del web.files[f"{path}model.safetensors"]
    for file in tmp_path.glob("model*"):
        web.files[path + file.name] = file.read_bytes()
        web.headers[path + file.name] = {"X-Repo-Commit": COMMIT}
    folder = Path(run(web, tmp_path))
    assert read(folder).arrays.keys() == read(GOLDEN / "bert").arrays.keys()
    before = len(web.requests)
    assert Path(run(web, tmp_path)) == folder
    assert len(web.requests) == before
    (folder / "model-00002-of-00003.safetensors").unlink()  # the cache was tampered with: asked for again
    assert Path(run(web, tmp_path)) == folder
    assert read(folder).arrays.keys() == read(GOLDEN / "bert").arrays.keys()


def test_the_card_of_a_model_of_the_hub_comes_along(web: Web, tmp_path: Path) -> None:
    """It names the licence, which the cards of models that begin with this one repeat."""
    card = b"---\nlicense: mit\n---\n"
    put_on_hub(web, COMMIT, GOLDEN / "convbert_small", tokenizer={**VOCABULARY, "README.md": card})
    assert (Path(run(web, tmp_path)) / "README.md").read_bytes() == card
