"""Export, inference and serving of trained models."""

from typing import TYPE_CHECKING

from common.python_api import lazy

__all__ = ["load"]

if TYPE_CHECKING:
    from deploy.model_loading import load
else:
    __getattr__, __dir__ = lazy(__name__, load="deploy.model_loading")
