"""What the tests of model folders share."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.checkpoints.golden_folders import Edited, write_edited
from tests.checkpoints.web import Web, serving


@pytest.fixture
def edited(tmp_path: Path) -> Edited:
    """``edited(name, change, **settings)``: a golden folder with its tensors or its config changed."""
    return partial(write_edited, tmp_path)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Web]:
    """A server, which is PaddleNLP's store, and an empty cache."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with serving() as server:
        monkeypatch.setenv("CONVBERT_GLUE_STORE", server.url)
        yield server
