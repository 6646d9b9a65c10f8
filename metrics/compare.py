"""`python -m metrics.compare` is `python -m glue.compare`, under the name that scripts know."""

import runpy

if __name__ == "__main__":
    runpy.run_module("glue.compare", run_name="__main__", alter_sys=True)
