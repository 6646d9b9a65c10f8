"""Names of models: PaddleNLP's store and the Hugging Face hub, both played by a local server."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkpoints import download, registry
from checkpoints.folder import check_manifest, read_config
from checkpoints.registry import PADDLENLP_MODELS, SHIPPED, StoredModel, model_folder, resolve
from checkpoints.tokenizer import tokenizer_of
from checkpoints.weight_files import INDEX, WEIGHT_FILES, open_weights
from common.cache import distrust
from common.errors import InputError
from common.files import write_json
from common.model_files import TOKENIZER_FILES
from encoders.config import EncoderConfig
from encoders.tokenizer import Tokenizer
from tests.checkpoints.golden_folders import GOLDEN, error_of, read
from tests.checkpoints.test_several_files import sharded
from tests.checkpoints.web import Web, serving
from tests.golden.tokenizer_folders import library_tokenizer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).parents[2]
REPOSITORY, COMMIT = "YituTech/conv-bert-tiny", "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Web]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with serving() as server:
        monkeypatch.setenv("CONVBERT_GLUE_STORE", server.url)
        yield server


# --- paths -----------------------------------------------------------------------------------------


def test_a_path_is_taken_as_it_is(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "convbert-base").mkdir()
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for path in ("convbert-base", "org/name", tmp_path, "./absent", "a/b/c", tmp_path / "absent", ".."):
        assert resolve(path) == Path(path)
    assert web.requests == []


def test_a_name_that_nobody_knows(web: Web) -> None:
    message = error_of(lambda: resolve("convbert-huge"))
    assert message.startswith("convbert-huge: no such model folder, and no name known here: convbert-mini, ")
    assert web.requests == []


# --- the model that ships with the project ---------------------------------------------------------


def test_a_shipped_model_needs_no_network(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "__file__", str(tmp_path / "registry.py"))
    message = error_of(lambda: resolve("convbert-mini"))
    assert message.startswith(f"{tmp_path / 'convbert-mini'}: convbert-mini ships with the project, but this")
    shutil.copytree(GOLDEN / "convbert_small", tmp_path / "convbert-mini")
    assert resolve("convbert-mini") == tmp_path / "convbert-mini"
    (tmp_path / "convbert-mini" / "model.safetensors").unlink()
    assert "but this install lacks it" in error_of(lambda: resolve("convbert-mini"))
    assert web.requests == []


def test_installs_carry_the_shipped_models() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    carried = settings["tool"]["setuptools"]["package-data"]["checkpoints"]
    assert carried == [f"{name}/*" for name in SHIPPED]


def test_convbert_mini_is_whole_and_small() -> None:
    folder = resolve("convbert-mini")
    check_manifest(folder)
    config = read_config(folder)
    assert (config.model_type, config.num_hidden_layers, config.id2label) == ("convbert", 6, {})
    assert len(tokenizer_of(folder, config)) == config.vocab_size == 30522
    assert {tensor.kind for tensor in open_weights(folder)[1].values()} == {"F16"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 16 * 2**20
    read(folder, head="optional")


@pytest.mark.parametrize("name", ["convbert-mini", "bert-base-uncased"])
def test_a_pre_trained_model_answers_nothing_yet(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=f"^{name}: is a pre-trained model, without a head.*fine-tune it first"
    ):
        model_folder(name)
    (tmp_path / name).mkdir()  # a folder of that name is that folder
    assert model_folder(name) == Path(name)


# --- PaddleNLP's store -----------------------------------------------------------------------------


def tiny_store(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """``tiny`` becomes a name, the golden model its weights."""
    settings = json.loads((GOLDEN / "paddlenlp" / "convbert" / "config.json").read_text(encoding="utf-8"))
    known = EncoderConfig.__dataclass_fields__.keys() - {"id2label"}
    kept = {key: value for key, value in settings.items() if key in known}
    monkeypatch.setitem(PADDLENLP_MODELS, "tiny", StoredModel("m/weights", "m/vocab.txt", kept))
    web.files["/m/weights"] = (GOLDEN / "paddlenlp" / "convbert" / "model_state.pdparams").read_bytes()
    web.files["/m/vocab.txt"] = (GOLDEN / "tokenizer" / "vocab.txt").read_bytes()


def test_a_model_of_the_store(web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny_store(web, monkeypatch)
    folder = resolve("tiny")
    assert folder == tmp_path / "cache" / "models" / "tiny"
    actual = read(folder, head="optional")
    wanted = read(GOLDEN / "paddlenlp" / "convbert", head="optional")
    assert {key for key in wanted.arrays if "encoder" in key} <= actual.arrays.keys()
    # Its labels are counted in the weights.
    assert read_config(folder).id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert read_config(folder).embedding_size == 8
    assert Tokenizer(folder).settings["do_lower_case"] is True
    assert resolve("tiny") == folder
    assert (web.served("/m/weights"), web.served("/m/vocab.txt")) == (1, 1)


def test_the_store_without_network(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_store(web, monkeypatch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE forbids to fetch" in error_of(lambda: resolve("tiny"))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    del web.files["/m/weights"]
    assert error_of(lambda: resolve("tiny")) == f"{web.url}/m/weights: HTTP 404 (Not Found)"


def test_names_of_paddlenlp() -> None:
    """Sizes of the published encoders, in millions of parameters, each one's pooler apart."""
    from checkpoints.mapping import expected_shapes

    counts = {}
    for name, model in PADDLENLP_MODELS.items():
        shapes = expected_shapes(EncoderConfig(**model.settings))
        sizes = [shape for key, shape in shapes.items() if key.startswith("encoder.")]
        counts[name] = round(sum(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in sizes) / 1e6)
    # Grouped weights have three dimensions, of which two are counted here.
    del counts["convbert-medium-small"]
    assert counts == {
        "convbert-small": 13, "convbert-base": 106, "bert-base-uncased": 109, "bert-large-uncased": 334,
        "bert-base-cased": 108, "bert-large-cased": 333, "electra-small": 13, "electra-base": 109,
        "electra-large": 334, "ernie-2.0-base-en": 109, "ernie-2.0-large-en": 334,
    }  # fmt: skip


# --- the hub ---------------------------------------------------------------------------------------


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


def run(web: Web, tmp_path: Path, name: str = REPOSITORY, **changes: str) -> str:
    """What resolve() answers in a process of its own, whose hub the local server is; an error as its line."""
    code = (
        "import sys\nfrom checkpoints.registry import resolve\nfrom common.errors import InputError\n"
        "try:\n    print(resolve(sys.argv[1]))\nexcept InputError as error:\n    print('error:', error)"
    )
    env = {
        **os.environ, "HF_ENDPOINT": web.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_ETAG_TIMEOUT": "3",
        "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(PROJECT), **changes,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, name], env=env, cwd=tmp_path, capture_output=True, encoding="utf-8",
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


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
    assert Path(run(web, tmp_path, HF_HUB_OFFLINE="1")) == folder
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
    assert answer.startswith(f"error: {REPOSITORY}@{COMMIT}: has neither vocab.txt nor tokenizer.json")


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
    assert run(web, tmp_path) == (
        f"error: {REPOSITORY}@{COMMIT}: has none of model.safetensors, pytorch_model.bin, "
        "model_state.pdparams"
    )


def test_offline(web: Web, tmp_path: Path) -> None:
    answer = run(web, tmp_path, HF_HUB_OFFLINE="1")
    assert answer == (
        f"error: {REPOSITORY}@main: config.json is not in the hub's cache, and HF_HUB_OFFLINE forbids to "
        "fetch it"
    )
    assert web.requests == []


NOBODY = "http://127.0.0.1:9"


def test_no_network_is_said_at_once(web: Web, tmp_path: Path) -> None:
    """huggingface_hub would try again for half a minute."""
    begun = time.monotonic()
    answer = run(web, tmp_path, HF_ENDPOINT=NOBODY)
    assert answer == (
        f"error: {REPOSITORY}: no such folder here, nor in the hub's cache, and {NOBODY} cannot be reached: "
        "[Errno 111] Connection refused"
    )
    assert time.monotonic() - begun < 25  # the imports of a busy machine
    assert web.requests == []


def test_without_network_the_hubs_cache_is_used(web: Web, tmp_path: Path) -> None:
    """A model that another program fetched: nothing was pinned here."""
    put_on_hub(web, COMMIT, GOLDEN / "convbert_small")
    folder = run(web, tmp_path)
    shutil.rmtree(tmp_path / "cache")
    assert run(web, tmp_path, HF_ENDPOINT=NOBODY) == folder


def test_a_name_beside_folders_that_are_here_is_a_path(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert error_of(lambda: resolve("models/bsae")) == (
        "models/bsae: no such model folder in models; if you mean the hub's model, write models/bsae@main"
    )
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


def test_a_folder_below_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a plan or a config file may have it, where no shell puts the home in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert registry.resolve("~/models/mine") == tmp_path / "models" / "mine"
