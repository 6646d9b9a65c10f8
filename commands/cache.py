"""Where downloads and tokenised features are kept between runs."""

import os
from pathlib import Path

from commands.errors import InputError


def cache_dir() -> Path:
    """``$CONVBERT_GLUE_CACHE``, else ``convbert-glue`` below ``$XDG_CACHE_HOME`` or ``~/.cache``.

    InputError where a home is needed and there is none, as in some containers.
    """
    own = os.environ.get("CONVBERT_GLUE_CACHE")
    everyones = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(own).expanduser() if own else Path(everyones).expanduser() / "convbert-glue"
    except RuntimeError:
        raise InputError("there is no home folder to cache in: name one with CONVBERT_GLUE_CACHE") from None
