"""What tests of several folders share. Tests import Paddle as ``from encoders.framework import paddle``."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest
from filelock import FileLock
from hypothesis import settings

PROJECT = Path(__file__).resolve().parents[1]
GLUE_DATA_DIR = os.environ.get("GLUE_DATA_DIR", "")

collect_ignore = ["golden"]  # scripts that need transformers and torch, and what they made

# The same examples everywhere, no verdict from the clock; `--hypothesis-profile long` searches more.
settings.register_profile("default", deadline=None, derandomize=True, database=None)
settings.register_profile("long", deadline=None, max_examples=2000)
settings.load_profile("default")


class RunModule(Protocol):
    def __call__(
        self,
        module: str,
        *words: object,
        cwd: Path = ...,
        env: Mapping[str, str] | None = ...,
        timeout: float = ...,
    ) -> subprocess.CompletedProcess[str]: ...


def pytest_configure(config: pytest.Config) -> None:
    """A cache folder for the tests and what they start, from collecting on: the user's own is never touched.

    xdist's processes share the first one's, so that what is compiled for one is there for all.
    """
    if not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory(prefix="convbert-glue-tests-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ["CONVBERT_GLUE_CACHE"] = folder.name
    else:
        from encoders.cpu import kernels  # loads Paddle, which the first process does without

        with FileLock(Path(os.environ["CONVBERT_GLUE_CACHE"], "tests.lock")):
            kernels.library()  # by the first; the others load it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of the official files where these are not: ``real_data(VARIABLE)`` says what names them."""
    for item in items:
        for marker in item.iter_markers("real_data"):
            (variable,) = marker.args or ("GLUE_DATA_DIR",)
            if not Path(os.environ.get(variable) or "-").is_dir():
                item.add_marker(pytest.mark.skip(reason=f"{variable} does not name a folder"))


@pytest.fixture(scope="session")
def project_dir() -> Path:
    """The clone."""
    return PROJECT


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """What transformers computed; its README.md says what is there."""
    return PROJECT / "tests" / "golden"


@pytest.fixture(scope="session")
def glue_data_dir() -> Path:
    """The official GLUE files; for tests marked ``real_data``."""
    return Path(GLUE_DATA_DIR)


@pytest.fixture(scope="session")
def sample_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded sample in the official layout. Shared by all tests: read it, never write to it."""
    from scripts.make_sample import write_sample

    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder


@pytest.fixture(scope="session")
def run_module() -> RunModule:
    """``run_module("metrics.score", "--task_name", "cola", …)`` runs ``python -m …``, its text captured.

    env is added to the environment. The caller looks at returncode, stdout and stderr.
    """

    def run(
        module: str,
        *words: object,
        cwd: Path = PROJECT,
        env: Mapping[str, str] | None = None,
        timeout: float = 600,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, words)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **(env or {})},
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
        )

    return run
