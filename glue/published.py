"""Published GLUE scores of ConvBERT, to stand beside measured ones. Percent. No Paddle.

A row's scores are in the table's order of tasks; ``None`` where nothing was published.
"""

from glue.tasks import TASKS
from metrics.published import PublishedScores


def _by_key(*values: tuple[float, ...] | None) -> dict[str, dict[str, float]]:
    """Every score of a task, in the order of its keys."""
    pairs = zip(TASKS.values(), values, strict=True)
    return {
        task.name: dict(zip(task.score_keys, scores, strict=True))
        for task, scores in pairs
        if scores is not None
    }


def _paper(size: str, *values: float | None) -> PublishedScores:
    """Table 4 of arXiv:2008.02496: of each task the one score that the paper counts (metrics/averages.py)."""
    pairs = zip(TASKS.values(), values, strict=True)
    scores = {task.name: {task.paper_score: value} for task, value in pairs if value is not None}
    return PublishedScores("ConvBERT paper", "test", size, scores)


ROWS = (
    # JunnYu/paddle_convbert, README: the best evaluation of one seed.
    PublishedScores(
        "reference project", "dev", "base",
        _by_key(
            (69.2,), (94.6,), (93.1, 90.4), (90.8, 90.7), (89.4, 92.0), (88.1, 87.9), (93.0,), (83.4,),
            (56.3,),
        ),
    ),
    _paper("base", 67.8, 95.7, 88.3, 89.7, 90.0, 88.3, 93.2, 77.9, None),
    _paper("medium-small", 59.1, 92.3, 85.7, 85.3, 88.6, 82.9, 89.2, 66.0, None),
    _paper("small", 56.7, 91.2, 85.1, 83.8, 88.4, 82.1, 88.5, 65.1, None),
)  # fmt: skip


def rows_of(size: str) -> list[PublishedScores]:
    """The rows of a model size."""
    return [row for row in ROWS if row.size == size]
