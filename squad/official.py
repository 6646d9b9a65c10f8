"""The numbers of the two official SQuAD scripts, to the last digit. No Paddle, no NumPy.

Written anew after ``evaluate-v1.1.py`` and ``evaluate-v2.0.py`` of rajpurkar.github.io/SQuAD-explorer;
tests/squad holds what the originals answered on generated data. Scores are percentages, higher is better.
Sums run in the originals' order, since a float's last digit depends on it (so does Python's own ``sum``,
which became more exact in 3.12; the originals call it too).

Where an original dies (a question without a prediction, no question at all) there is an InputError.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from common.errors import InputError

# Question id and the texts of its gold answers (none: unanswerable), in the order of the file.
Golds = Sequence[tuple[str, Sequence[str]]]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)  # ASCII only: curly quotes and dashes stay


@lru_cache(maxsize=1 << 16)
def normalise(text: str) -> str:
    """Lower case, no ASCII punctuation, no articles, single spaces; in this order.

    >>> normalise("The  U.S. — an “ally”")
    'us — “ally”'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _token_f1(prediction: str, gold: str) -> float:
    """F1 of the bags of words, in [0, 1]; 0 where they share none."""
    predicted, wanted = normalise(prediction).split(), normalise(gold).split()
    same = sum((Counter(predicted) & Counter(wanted)).values())
    if same == 0:
        return 0
    precision, recall = 1.0 * same / len(predicted), 1.0 * same / len(wanted)
    return (2 * precision * recall) / (precision + recall)


def _token_f1_v20(prediction: str, gold: str) -> float:
    """The same, but two texts without words agree."""
    if not normalise(prediction) or not normalise(gold):
        return int(normalise(prediction) == normalise(gold))
    return _token_f1(prediction, gold)


def _is_exact(prediction: str, gold: str) -> int:
    return int(normalise(prediction) == normalise(gold))


def score_v11(golds: Golds, predictions: Mapping[str, str]) -> dict[str, float]:
    """``exact_match`` and ``f1`` of SQuAD 1.1, the best gold answer counting.

    A question without a prediction scores 0 and stays in the denominator; other predictions are ignored.
    A gold that normalises to nothing gives an empty prediction exact match 1 and F1 0.
    """
    _need_questions(golds)
    exact = f1 = 0.0
    for name, answers in golds:
        if name not in predictions:
            continue
        if not answers:
            raise InputError(f"question {name!r} has no answer, as in SQuAD 2.0; take --script v2.0")
        exact += max(_is_exact(predictions[name], gold) for gold in answers)
        f1 += max(_token_f1(predictions[name], gold) for gold in answers)
    return {"exact_match": 100.0 * exact / len(golds), "f1": 100.0 * f1 / len(golds)}


def score_v20(
    golds: Golds,
    predictions: Mapping[str, str],
    no_answer: Mapping[str, float] | None = None,
    threshold: float = 1.0,
) -> dict[str, float]:
    """The numbers of SQuAD 2.0, keys in the official order.

    ``exact f1 total``, then the same for questions with (HasAns) and without (NoAns) answers, each group
    only if there are such. no_answer: question id → how likely there is no answer, a probability or odds;
    above the threshold the prediction counts as empty, and ``best_exact``, ``best_exact_thresh``,
    ``best_f1``, ``best_f1_thresh`` say what the best threshold would give. These are right only for
    predictions that were not emptied before.
    """
    has_answer = {name: bool(answers) for name, answers in golds}
    exact, f1 = raw_scores(golds, predictions)
    if no_answer is not None:
        need_all(has_answer, no_answer, "no-answer score")
    emptied = {name for name in exact if (no_answer[name] if no_answer is not None else 0.0) > threshold}
    kept = [
        {name: float(not has_answer[name]) if name in emptied else score for name, score in raw.items()}
        for raw in (exact, f1)
    ]
    result: dict[str, float] = _means("", kept, exact)
    for group, wanted in (("HasAns_", True), ("NoAns_", False)):
        names = [name for name, has in has_answer.items() if has == wanted]
        if names:
            result.update(_means(group, kept, names))
    if no_answer is not None:
        for key, raw in (("best_exact", exact), ("best_f1", f1)):
            best, where = _best_threshold(predictions, raw, no_answer, has_answer)
            result.update({key: best, f"{key}_thresh": where})
    return result


def raw_scores(golds: Golds, predictions: Mapping[str, str]) -> tuple[dict[str, float], dict[str, float]]:
    """SQuAD 2.0's exact match and F1 of every question, in [0, 1], before any threshold.

    Golds that normalise to nothing are dropped; where none remain, the empty answer is right.
    """
    _need_questions(golds)
    need_all(dict(golds), predictions, "prediction")
    exact: dict[str, float] = {}
    f1: dict[str, float] = {}
    for name, answers in golds:
        wanted = [gold for gold in answers if normalise(gold)] or [""]
        exact[name] = max(_is_exact(predictions[name], gold) for gold in wanted)
        f1[name] = max(_token_f1_v20(predictions[name], gold) for gold in wanted)
    return exact, f1


def _means(group: str, scores: Sequence[Mapping[str, float]], names: Iterable[str]) -> dict[str, float]:
    names = list(names)
    exact, f1 = (100.0 * sum(part[name] for name in names) / len(names) for part in scores)
    return {f"{group}exact": exact, f"{group}f1": f1, f"{group}total": len(names)}


def _best_threshold(
    predictions: Mapping[str, str],
    scores: Mapping[str, float],
    no_answer: Mapping[str, float],
    has_answer: Mapping[str, bool],
) -> tuple[float, float]:
    """The best score any threshold gives, and the first such threshold.

    Begins with every question unanswered and lets them be answered one by one, the likeliest first.
    """
    current = best = float(sum(not has for has in has_answer.values()))
    where = 0.0
    for name in sorted(no_answer, key=no_answer.__getitem__):
        if name not in scores:
            continue
        if has_answer[name]:
            current += scores[name]
        elif predictions[name]:
            current -= 1
        if current > best:
            best, where = current, no_answer[name]
    return 100.0 * best / len(scores), where


def always_null(golds: Golds) -> dict[str, float]:
    """``exact`` and ``f1`` of answering nothing, always: what a score on SQuAD 2.0 has to be above."""
    scores = score_v20(golds, {name: "" for name, _ in golds})
    return {key: scores[key] for key in ("exact", "f1")}


def _need_questions(golds: Golds) -> None:
    if not golds:
        raise InputError("there is no question in the data")


def need_all(
    names: Mapping[str, object], given: Mapping[str, object], what: str, path: str | Path | None = None
) -> None:
    """InputError for a question that nothing is given for, in the file if it is one."""
    missing = [name for name in names if name not in given]
    if missing:
        raise InputError(
            f"question {missing[0]!r} has no {what} ({len(missing)} of {len(names)} have none); "
            "the official script needs one for every question",
            path=path,
        )
