"""A small good hand-in and the test files it belongs to."""

import pytest

from submission import pack
from tests.submission.submission_samples import write_data, write_hand_in


@pytest.fixture
def folder(tmp_path):
    return write_hand_in(tmp_path / "predictions")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def packed(folder, data_dir, tmp_path):
    """Pack ``folder`` with more flags; the zip's path."""

    def run(*flags):
        output = tmp_path / "out" / "submission.zip"
        pack.main(
            ["--predictions", str(folder), "--output", str(output), "--data_dir", str(data_dir), *flags]
        )
        return output

    return run
