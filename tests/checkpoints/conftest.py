"""What the tests of model folders share."""

from functools import partial
from pathlib import Path

import pytest

from tests.checkpoints.golden_folders import Edited, write_edited


@pytest.fixture
def edited(tmp_path: Path) -> Edited:
    """``edited(name, change, **settings)``: a golden folder with its tensors or its config changed."""
    return partial(write_edited, tmp_path)
