"""How well replaced tokens are found. No Paddle."""

import numpy as np
from sklearn import metrics


def detection_scores(replaced: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Scores of N tokens, from 0 to 1, 1 perfect.

    replaced: (N,) bool; logits: (N,) float, above 0 where "replaced" is the answer. precision is 0 where
    nothing is said to be replaced, recall where nothing is; auc is then 0.5, as for guessing.
    """
    said = logits > 0
    both = len(np.unique(replaced)) == 2
    return {
        "detection_accuracy": float(metrics.accuracy_score(replaced, said)),
        "detection_precision": float(metrics.precision_score(replaced, said, zero_division=0)),
        "detection_recall": float(metrics.recall_score(replaced, said, zero_division=0)),
        "detection_auc": float(metrics.roc_auc_score(replaced, logits)) if both else 0.5,
    }
