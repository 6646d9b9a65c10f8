"""Where downloads and tokenised features are kept between runs."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """``$CONVBERT_GLUE_CACHE``, else ``convbert-glue`` below ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    own = os.environ.get("CONVBERT_GLUE_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "convbert-glue"
