"""CardFacts: what a task gives to the model card of its best model, see ``training/model_card.py``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CardScore:
    """A score that the card reports."""

    key: str  # in ``scores.json``
    metric: str  # the hub's name of the metric, such as ``matthews_correlation``
    split: str  # the hub's name of the split, such as ``validation_matched``


@dataclass(frozen=True)
class CardFacts:
    """What only the task knows of its data and its scores."""

    title: str  # the data's name for people, such as ``GLUE RTE``
    pipeline: str  # the hub's name of the kind of task, such as ``text-classification``
    dataset: str  # the data's name on the hub; empty: they are not there
    dataset_config: str  # the part of the data there; empty: all
    language: str  # of the data's texts, such as ``en``; empty: unknown
    scores: tuple[CardScore, ...]
    unit: str  # of the scores, such as ``fractions of 1``
    signature: str  # equal for two scores exactly when they may be compared
    command: str  # what answers the task's test rows, with FOLDER for the model folder
