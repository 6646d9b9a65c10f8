"""Uploads of model folders to the hub, which a local server plays: whole, nothing else, or one clear line."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from checkpoints import push
from common.errors import InputError, UsageError
from common.files import write_manifest, write_text
from tests.checkpoints.golden_folders import GOLDEN, input_error
from tests.checkpoints.hub_server import TOKEN, Hub, playing_the_hub

REPOSITORY = "me/tiny"
NAMES = {"config.json", "model.safetensors", "vocab.txt", "README.md"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with playing_the_hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder whose ``best/`` holds more than a model."""
    best = tmp_path / "run" / "best"
    shutil.copytree(GOLDEN / "convbert_small", best)
    shutil.copy(GOLDEN / "tokenizer" / "vocab.txt", best)
    write_text(best / "README.md", "---\nlicense: mit\n---\n# A model\n")
    write_manifest(best)
    for name in ("optimizer.safetensors", "state.json", "notes.txt", ".env"):
        write_text(best / name, "secret")
    write_text(tmp_path / "run" / "args.json", "{}")
    return tmp_path / "run"


def refused(run: Path, *flags: str) -> InputError:
    error = input_error(lambda: push.main([str(run), REPOSITORY, *flags]))
    assert TOKEN not in str(error)
    return error


def check_refused(run: Path, word: str, *flags: str) -> None:
    """By the repository, with a message that holds this word."""
    error = refused(run, *flags)
    assert error.path == REPOSITORY
    assert word in error.message


def test_the_model_arrives_whole_and_nothing_else(
    hub: Hub, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.create(REPOSITORY, private=False)
    push.main([str(run), REPOSITORY])
    assert capsys.readouterr().out == f"{hub.url}/{REPOSITORY}/commit/0123\n"
    files = hub.files[REPOSITORY, "main"]
    assert files == {name: (run / "best" / name).read_bytes() for name in NAMES}
    assert hub.commits == [REPOSITORY]  # one, so that nobody sees half a model


def test_an_edited_card_leaves_the_folder_a_model(hub: Hub, run: Path) -> None:
    hub.create(REPOSITORY, private=False)
    write_text(run / "best" / "README.md", "---\nlicense: apache-2.0\n---\n")
    push.main([str(run / "best"), REPOSITORY])
    assert hub.files[REPOSITORY, "main"]["README.md"] == b"---\nlicense: apache-2.0\n---\n"


def test_a_dry_run_lists_the_files_without_token_or_network(
    hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    push.main([str(run), REPOSITORY, "--dry_run"])
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert dict(lines) == {name: str((run / "best" / name).stat().st_size) for name in NAMES}
    assert hub.requests == []


def test_a_repository_is_made_only_if_that_is_asked_for(hub: Hub, run: Path) -> None:
    check_refused(run, "--create")
    assert hub.private == {}
    push.main([str(run), REPOSITORY, "--create"])
    assert hub.private == {REPOSITORY: False}
    check_refused(run, "is public", "--private")
    push.main([str(run), "me/other", "--private"])
    assert hub.private["me/other"] is True
    push.main([str(run), "me/other", "--private"])  # which is there now
    assert hub.files["me/other", "main"].keys() == NAMES


def test_a_branch(hub: Hub, run: Path) -> None:
    hub.create(REPOSITORY, private=False)
    check_refused(run, "no such branch", "--revision", "seed-7")
    hub.files[REPOSITORY, "seed-7"] = {}
    push.main([str(run), REPOSITORY, "--revision", "seed-7"])
    assert (hub.files[REPOSITORY, "main"], hub.files[REPOSITORY, "seed-7"].keys()) == ({}, NAMES)


@pytest.mark.parametrize(
    "part", ["/api/models/me/tiny", "preupload", "/commit/", "/objects/batch", "/store/"]
)
@pytest.mark.parametrize(
    ("status", "reason"), [(401, "the hub does not take the token"), (403, "the token may not write there")]
)
def test_what_the_hub_may_refuse(hub: Hub, run: Path, part: str, status: int, reason: str) -> None:
    hub.create(REPOSITORY, private=False)
    hub.faults[part] = status
    check_refused(run, reason)
    assert hub.files[REPOSITORY, "main"] == {}


def test_a_wrong_token_and_none(hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.create(REPOSITORY, private=False)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    check_refused(run, "does not take the token")
    monkeypatch.delenv("HF_TOKEN")
    check_refused(run, "there is no token")


def test_no_network(hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    check_refused(run, "http://127.0.0.1:9 cannot be reached")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    check_refused(run, "HF_HUB_OFFLINE")


@pytest.mark.parametrize(
    "damage",
    [
        lambda best: (best / "model.safetensors").unlink(),
        lambda best: write_text(best / "config.json", "{}"),
        lambda best: shutil.rmtree(best),
        lambda best: write_text(best / "vocab.txt", "[PAD]\n[UNK]\n"),  # not what the manifest says
    ],
)
def test_what_is_no_model_or_damaged_is_not_uploaded(
    hub: Hub, run: Path, damage: Callable[[Path], object]
) -> None:
    hub.create(REPOSITORY, private=False)
    damage(run / "best")
    assert str(run) in str(refused(run).path)
    assert hub.requests == []


@pytest.mark.parametrize("name", ["tiny", "me/tiny/x", "https://hub/me/tiny", "me/..", ""])
def test_what_is_no_repository(name: str, run: Path) -> None:
    with pytest.raises(UsageError, match="expected OWNER/NAME"):
        push.main([str(run), name])
