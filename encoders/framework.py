"""The one place where Paddle enters: ``from encoders.framework import paddle`` everywhere.

So the run-time settings always precede Paddle's import, and a missing Paddle is one clear line.
SciPy and scikit-learn are imported before Paddle 2.6: their newer wheels raise ``zlib.error`` beside it
if they come later.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import warnings

from common.errors import InputError
from encoders import runtime

if importlib.util.find_spec("paddle") is None:
    raise InputError("PaddlePaddle is not installed: pip install -e '.[cpu]' (for a GPU see the README)")

runtime.set_up()


def _version() -> str:
    for flavour in ("paddlepaddle", "paddlepaddle-gpu", "paddlepaddle-xpu"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(flavour)
    return ""


if _version().startswith("2."):
    importlib.import_module("scipy.stats")
    importlib.import_module("sklearn.metrics")

with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
    # Two notes at every start: no ccache for building operators, and OMP_NUM_THREADS above 1.
    warnings.simplefilter("ignore")
    import paddle

__all__ = ["paddle", "select_device"]


def select_device(name: str) -> str:
    """Make ``cpu``, ``gpu`` or ``xpu`` the device of this process; InputError if this Paddle lacks it.

    The gpu and xpu ways were not run by the authors' tests, which have a CPU only.
    """
    built = {
        "cpu": True,
        "gpu": paddle.is_compiled_with_cuda(),
        "xpu": paddle.is_compiled_with_xpu(),
    }
    if not built[name]:
        message = f"--device {name}: this PaddlePaddle ({paddle.__version__}) is built without it"
        index = "https://www.paddlepaddle.org.cn/packages/stable/cu126/"
        remedy = f"; pip install paddlepaddle-gpu=={paddle.__version__} -i {index}" if name == "gpu" else ""
        raise InputError(f"{message}{remedy or '; install the one for its hardware'}")
    try:
        paddle.set_device(name)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"--device {name}: cannot be used: {reason}") from None
    return name
