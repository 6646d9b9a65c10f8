"""`python -m metrics.score` is `python -m glue.score`, under the name that scripts know."""

import runpy

if __name__ == "__main__":
    runpy.run_module("glue.score", run_name="__main__", alter_sys=True)
