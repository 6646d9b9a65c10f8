"""Names of models: PaddleNLP's store and the Hugging Face hub, both played by a local server."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from checkpoints import registry
from checkpoints.folder import check_manifest, read_config
from checkpoints.mapping import expected_shapes
from checkpoints.registry import HUB_MODELS, PADDLENLP_MODELS, SHIPPED, StoredModel, model_folder, resolve
from checkpoints.tokenizer import tokenizer_of
from checkpoints.weight_files import open_weights
from common.errors import InputError
from encoders.config import EncoderConfig
from encoders.tokenizer import Tokenizer
from tests.checkpoints.golden_folders import GOLDEN, check_error, error_of, read
from tests.checkpoints.web import Web

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).parents[2]
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
    check_error(
        lambda: resolve("convbert-mini"),
        tmp_path / "convbert-mini",
        "ships with the project",
    )
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


def test_a_folder_below_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a plan or a config file may have it, where no shell puts the home in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert registry.resolve("~/models/mine") == tmp_path / "models" / "mine"


@pytest.mark.parametrize("name", HUB_MODELS)
def test_short_names_mean_the_hubs_models(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wherever the command is called, also beside a folder of the repository's owner."""
    asked: list[tuple[str, str]] = []

    def note(repository: str, revision: str) -> Path:
        asked.append((repository, revision))
        return tmp_path

    monkeypatch.setattr(registry, "_from_hub", note)
    monkeypatch.chdir(tmp_path)
    (tmp_path / HUB_MODELS[name].split("/")[0]).mkdir()
    assert resolve(name) == tmp_path
    assert asked == [(HUB_MODELS[name], "")]
    with pytest.raises(InputError, match="is a pre-trained model, without a head"):
        model_folder(name)
