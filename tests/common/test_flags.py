"""The flags of where and how rows are run."""

import os

import pytest

from common.flags import set_workers


def test_threads_that_tokenise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is handed to the tokenizers library, 0 leaves it its own choice."""
    monkeypatch.setenv("RAYON_NUM_THREADS", "5")
    set_workers(0)
    assert os.environ["RAYON_NUM_THREADS"] == "5"
    set_workers(3)
    assert os.environ["RAYON_NUM_THREADS"] == "3"
