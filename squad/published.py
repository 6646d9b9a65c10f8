"""Published SQuAD scores of ConvBERT on the dev files, in percent. No Paddle."""

from metrics.published import PublishedScores


def _row(name: str, size: str, exact_1: float, f1_1: float, exact_2: float, f1_2: float) -> PublishedScores:
    """Exact match and F1 of SQuAD 1.1, then of 2.0, under the names of the official scripts."""
    versions = {
        "squad_1.1": {"exact_match": exact_1, "f1": f1_1},
        "squad_2.0": {"exact": exact_2, "f1": f1_2},
    }
    return PublishedScores(name, "dev", size, versions)


ROWS = (
    # JunnYu/paddle_convbert, README.
    _row("reference project", "base", 84.82, 91.29, 80.91, 83.90),
    # arXiv:2008.02496 and the README of yitu-opensource/ConvBert.
    _row("ConvBERT paper", "base", 84.7, 90.9, 80.6, 83.1),
    _row("ConvBERT paper", "medium-small", 79.4, 86.0, 71.7, 74.3),
    _row("ConvBERT paper", "small", 77.1, 84.1, 68.7, 70.5),
)
