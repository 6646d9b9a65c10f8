"""Fine-tuning on GLUE and writing the leaderboard's files."""

from typing import TYPE_CHECKING

from common.python_api import lazy

__all__ = ["Task", "evaluate", "fine_tune", "predict"]

if TYPE_CHECKING:
    from glue.api import evaluate, fine_tune, predict
    from glue.tasks import Task
else:
    functions = dict.fromkeys(("evaluate", "fine_tune", "predict"), "glue.api")
    __getattr__, __dir__ = lazy(__name__, Task="glue.tasks", **functions)
