"""Published scores of a model, to stand beside measured ones."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedScores:
    """What a publication gives for a model.

    Attributes:
        name: The publication.
        split: The files that were scored, ``dev`` or ``test``.
        size: The size of the model.
        scores: Task → score key → percent; what was not published is left out.
    """

    name: str
    split: str
    size: str
    scores: Mapping[str, Mapping[str, float]]
