"""SQuAD 1.1 and 2.0: questions whose answer is a piece of a text, or nothing."""

from typing import TYPE_CHECKING

from common.python_api import lazy

__all__ = ["evaluate", "fine_tune", "predict"]

if TYPE_CHECKING:
    from squad.api import fine_tune, predict
    from squad.evaluate import evaluate
else:
    functions = {"evaluate": "squad.evaluate", "fine_tune": "squad.api", "predict": "squad.api"}
    __getattr__, __dir__ = lazy(__name__, **functions)
