import pickle
from pathlib import Path

import pytest

from common.errors import InputError, UsageError


@pytest.mark.parametrize("kind", [InputError, UsageError])
@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "is empty"),
        ({"path": "dev.tsv"}, "dev.tsv: is empty"),
        ({"path": Path("RTE/dev.tsv"), "line": 3}, "RTE/dev.tsv:3: is empty"),
        ({"path": "dev.tsv", "line": 3, "code": "empty"}, "dev.tsv:3: is empty"),
    ],
)
def test_an_error_begins_with_the_file_and_the_line(kind, parts, text):
    error = kind("is empty", **parts)
    assert str(error) == text
    assert (error.path, error.line, error.code) == (
        parts.get("path"),
        parts.get("line"),
        parts.get("code", ""),
    )


def test_an_error_from_another_process_is_whole():
    error = pickle.loads(pickle.dumps(InputError("is empty", path="dev.tsv", line=3, code="empty")))
    assert (str(error), error.path, error.line, error.code) == ("dev.tsv:3: is empty", "dev.tsv", 3, "empty")
