"""What a run records beside its settings, and what must be the same where it is resumed."""

import platform
from importlib.metadata import version
from typing import Any

from common.provenance import code_commit, code_version
from encoders import distributed
from encoders.cpu import kernels
from encoders.framework import paddle
from encoders.runtime import processor, settings_in_force, thread_count

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "tokenizers", "safetensors")

# Keys of args.json that a resumed run shares with the one it continues.
MUST_MATCH = ("task_name", "model_name_or_path", "recipe", "model", "data", "processes")
# Where these differ, the last digits may.
SHOULD_MATCH = ("threads", "environment", "processor", "kernels", "precision", "versions", "device")


def run_environment() -> dict[str, Any]:
    """Describe what a run's bits depend on beside its settings; with the same, a CPU gives the same bytes."""
    library = kernels.library()
    versions = {
        "convbert-glue": code_version(),
        "commit": code_commit(),
        **{name: version(name) for name in _LIBRARIES},
    }
    return {
        "processes": distributed.world_size(),
        "threads": thread_count(),
        "environment": {**settings_in_force(), "compiled_kernels": library is not None},
        "processor": processor(),
        "kernels": library.build if library is not None else {},
        "versions": {"python": platform.python_version(), "paddle": paddle.__version__, **versions},
    }
