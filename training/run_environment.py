"""What a run records beside its settings, and what must be the same where it is resumed."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common.errors import InputError
from encoders import distributed
from encoders.cpu import kernels
from encoders.framework import paddle
from encoders.runtime import processor, settings_in_force, thread_count

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "tokenizers", "safetensors")

# Keys of args.json: of a resumed run they are the same; where these differ the last digits may.
SAME = ("task_name", "model_name_or_path", "recipe", "model", "data", "processes")
ALIKE = ("threads", "environment", "processor", "kernels", "versions", "device")


def circumstances() -> dict[str, Any]:
    """What a run's bits depend on beside its settings: with the same of all it gives the same bytes on a CPU.

    ``kernels``: digest, target and compiler of the compiled functions; empty without them.
    """
    library = kernels.library()
    versions = {name: version(name) for name in _LIBRARIES}
    return {
        "processes": distributed.world_size(),
        "threads": thread_count(),
        "environment": {**settings_in_force(), "compiled_kernels": library is not None},
        "processor": processor(),
        "kernels": library.build if library is not None else {},
        "versions": {"python": platform.python_version(), "paddle": paddle.__version__, **versions},
    }


def from_anywhere(path: str | Path | None) -> str | None:
    """A path as args.json has it: absolute, so that the run can be resumed from any folder."""
    return os.path.abspath(path) if path else None  # noqa: PTH100 (links stay)


def refuse_own_sources(output_dir: str | Path, sources: Iterable[str | Path | None]) -> None:
    """InputError if the run would lie over the model or the data that it starts from."""
    target = Path(output_dir).resolve()
    for source in sources:
        if source and Path(source).resolve().is_relative_to(target):
            raise InputError(
                f"{output_dir}: holds {source}, which this run starts from; take another --output_dir"
            )
