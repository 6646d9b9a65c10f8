"""Rows, a tokenizer that counts, and an empty cache."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from encoders.batching import Features
from encoders.tokenizer import Tokenizer
from glue import features
from tests.glue.features.mrpc_rows import PAIRS, VOCABULARY, write_data


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test."""
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data", PAIRS)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    (tmp_path / "model").mkdir()
    shutil.copy(VOCABULARY, tmp_path / "model")
    return Tokenizer(tmp_path / "model")


@pytest.fixture
def tokenised(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were tokenised, a number a call."""
    calls: list[int] = []

    def count(rows: Any, *rest: Any) -> Features:
        calls.append(len(rows.examples))
        return encode(rows, *rest)

    encode = features._encode
    monkeypatch.setattr(features, "_encode", count)
    return calls
