"""Published GLUE scores of ConvBERT and of the other families, to stand beside measured ones. Percent.

A row's scores are in the table's order of tasks; ``None`` where nothing was published. No Paddle.
"""

from dataclasses import replace

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


def _dev(name: str, size: str, sts_b: str, *values: float | None) -> PublishedScores:
    """Of each task one score of the dev files: ``sts_b`` of STS-B, else the one that the paper counts."""
    keys = [sts_b if task.is_regression else task.paper_score for task in TASKS.values()]
    rows = zip(TASKS, keys, values, strict=True)
    scores = {task: {key: value} for task, key, value in rows if value is not None}
    return PublishedScores(name, "dev", size, scores)


def _with_mismatched(row: PublishedScores, value: float) -> PublishedScores:
    """The row with MNLI's second dev score too."""
    mnli = {**row.scores["mnli"], "accuracy_mismatched": value}
    return replace(row, scores={**row.scores, "mnli": mnli})


_MODERNBERT = "ModernBERT paper"
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
    # facebookresearch/fairseq, examples/roberta/README.md: single models, of one task each. That its MRPC and
    # QQP are accuracy and its STS-B is Pearson is from the table of microsoft/DeBERTa, README.
    _dev("RoBERTa authors", "roberta-base", "pearson", 63.6, 94.8, 90.2, 91.2, 91.9, 87.6, 92.8, 78.7, None),
    _dev("RoBERTa authors", "roberta-large", "pearson", 68.0, 96.4, 90.9, 92.4, 92.2, 90.2, 94.7, 86.6, None),
    # microsoft/DeBERTa, README: of small and base MNLI alone.
    *(
        _with_mismatched(_dev("DeBERTa authors", size, "pearson", *values), mismatched)
        for size, values, mismatched in (
            ("deberta-v3-small", (None, None, None, None, None, 88.3, None, None, None), 87.7),
            ("deberta-v3-base", (None, None, None, None, None, 90.6, None, None, None), 90.7),
            ("deberta-v3-large", (75.3, 96.9, 92.2, 93.0, 93.0, 91.8, 96.0, 92.7, None), 91.9),
        )
    ),
    # arXiv:2412.13663v2, table 5; its DeBERTaV3-base is from table 2 of Qiang and others 2024. The table does
    # not name the scores: those of MRPC and QQP are taken for accuracy, and STS-B's for Spearman, which is
    # what AnswerDotAI/ModernBERT computes (src/evals/glue_jobs.py).
    _dev("Qiang et al.", "deberta-v3-base", "spearman", 69.2, 95.6, 89.5, 91.6, 92.4, 90.0, 94.0, 83.8, None),
    _dev(_MODERNBERT, "modernbert-base", "spearman", 65.1, 96.0, 92.2, 91.8, 92.1, 89.1, 93.9, 87.4, None),
    _dev(_MODERNBERT, "modernbert-large", "spearman", 71.4, 97.1, 91.7, 92.8, 92.7, 90.8, 95.2, 92.1, None),
)  # fmt: skip
SIZES = tuple(dict.fromkeys(row.size for row in ROWS))


def rows_of(size: str) -> list[PublishedScores]:
    """The rows of a model size."""
    return [row for row in ROWS if row.size == size]
