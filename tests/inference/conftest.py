"""What the tests of exported graphs share."""

from pathlib import Path

import pytest

from encoders.tokenizer import Tokenizer
from tests.inference.golden_models import PIECES


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    """Letters, for the golden models."""
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(PIECES), encoding="utf-8")
    return Tokenizer(folder)
