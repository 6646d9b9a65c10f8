"""Published scores of a model, to stand beside measured ones."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedScores:
    """What a publication gives for a model."""

    name: str  # of the publication
    split: str  # the files that were scored, ``dev`` or ``test``
    size: str  # of the model
    scores: Mapping[str, Mapping[str, float]]  # task → score key → percent, where it was published
