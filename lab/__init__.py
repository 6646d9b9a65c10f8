"""Many runs, one best submission: plans, sweeps, selection, ensembles, submissions."""

from typing import TYPE_CHECKING

from common.python_api import lazy

__all__ = ["results", "sweep"]

if TYPE_CHECKING:
    from lab.results import results
    from lab.sweep import sweep
else:
    __getattr__, __dir__ = lazy(__name__, results="lab.results", sweep="lab.sweep")
