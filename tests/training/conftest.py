"""A run that has saved."""

from pathlib import Path

import pytest

from tests.training.saved_runs import save
from training.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that saved after steps 1 and 2."""
    with RunFolder(tmp_path / "run") as run:
        run.write_args({"seed": 1})
        save(run, 1)
        save(run, 2)
    return tmp_path / "run"
