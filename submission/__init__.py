"""Checking, packing and verifying what goes to the leaderboard. No Paddle but where it is predicted again."""

from typing import TYPE_CHECKING

from common.python_api import lazy

__all__ = ["check", "pack", "verify"]

if TYPE_CHECKING:
    from submission.check import check
    from submission.pack import pack
    from submission.verify import verify
else:
    __getattr__, __dir__ = lazy(
        __name__, check="submission.check", pack="submission.pack", verify="submission.verify"
    )
