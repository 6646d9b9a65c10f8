"""`python -m metrics.score` is `python -m glue.score`, under the name that scripts know."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    if not __package__:  # started by path: what is importable is the clone, not this folder
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    runpy.run_module("glue.score", run_name="__main__", alter_sys=True)
