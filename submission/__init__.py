"""Checking and packing what goes to the leaderboard. No Paddle."""

from typing import TYPE_CHECKING

from common.python_api import lazy

__all__ = ["check", "pack"]

if TYPE_CHECKING:
    from submission.check import check
    from submission.pack import pack
else:
    __getattr__, __dir__ = lazy(__name__, check="submission.check", pack="submission.pack")
