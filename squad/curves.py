"""The official precision-recall analysis of SQuAD 2.0: average precisions, curves, histograms."""

import bisect
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.figures import new_figure, save_figure
from squad.official import Golds, raw_scores

_BINS = 20  # as in the original
_LARGE = 1e6  # scores beyond are drawn in powers of ten
_MARKERS, _LINES = "osD", ("-", "--", ":")  # of thresholds
_NARROW = 1e-3  # a range below is widened to this


@dataclass(frozen=True)
class Curve:
    """Precision over recall, both in [0, 1], and the area under the steps as a percentage."""

    title: str
    precisions: list[float]
    recalls: list[float]
    thresholds: list[float]  # questions are answered whose no-answer score is no higher
    average_precision: float


def precision_recall(
    golds: Golds, predictions: Mapping[str, str], no_answer: Mapping[str, float]
) -> dict[str, Curve]:
    """The curves ``pr_exact``, ``pr_f1`` and ``pr_oracle``; none where no question has an answer.

    Questions are answered in the order of their no-answer scores. A score for a question that is not in
    the data is an InputError (the official script dies of it).
    """
    has_answer = {name: bool(answers) for name, answers in golds}
    if not any(has_answer.values()):
        return {}
    unknown = [name for name in no_answer if name not in has_answer]
    if unknown:
        raise InputError(f"no-answer score for {unknown[0]!r}, which is no question of the data")
    exact, f1 = raw_scores(golds, predictions)
    oracle = {name: float(has) for name, has in has_answer.items()}
    return {
        "pr_exact": _curve("Precision and recall of exact match", exact, no_answer, has_answer),
        "pr_f1": _curve("Precision and recall of F1", f1, no_answer, has_answer),
        "pr_oracle": _curve("Is there an answer? All answers taken for right", oracle, no_answer, has_answer),
    }


def _curve(
    title: str, scores: Mapping[str, float], no_answer: Mapping[str, float], has_answer: Mapping[str, bool]
) -> Curve:
    names = sorted(no_answer, key=no_answer.__getitem__)
    answerable = float(sum(has_answer.values()))
    precisions, recalls, thresholds, area, right = [1.0], [0.0], [-math.inf], 0.0, 0.0
    for number, name in enumerate(names, start=1):
        if has_answer[name]:
            right += scores[name]
        if number < len(names) and no_answer[name] == no_answer[names[number]]:
            continue  # no threshold lies between two equal scores
        precision, recall = right / float(number), right / answerable
        area += precision * (recall - recalls[-1])
        precisions.append(precision)
        recalls.append(recall)
        thresholds.append(no_answer[name])
    return Curve(title, precisions, recalls, thresholds, 100.0 * area)


def draw(
    folder: Path,
    golds: Golds,
    curves: Mapping[str, Curve],
    no_answer: Mapping[str, float],
    thresholds: Mapping[str, float],
) -> None:
    """Write ``pr_exact.png``, ``pr_f1.png``, ``pr_oracle.png`` and ``na_prob_hist.png``.

    thresholds: what each is called → a no-answer score to mark, above which nothing is answered.
    """
    for name, curve in curves.items():
        figure = new_figure("--out-image-dir", layout="constrained")
        axes = figure.subplots()
        axes.step(curve.recalls, curve.precisions, color="tab:blue", where="post")
        axes.fill_between(curve.recalls, curve.precisions, step="post", alpha=0.2, color="tab:blue")
        for (label, threshold), marker in zip(thresholds.items(), _MARKERS, strict=False):
            point = bisect.bisect_right(curve.thresholds, threshold) - 1
            axes.plot(
                curve.recalls[point], curve.precisions[point], marker, color="black", fillstyle="none",
                markersize=9, label=f"{label}: {threshold:.4g}",
            )  # fmt: skip
        axes.set(xlabel="Recall", ylabel="Precision", xlim=(0.0, 1.05), ylim=(0.0, 1.05))
        axes.set_title(f"{curve.title} (average precision {curve.average_precision:.2f})", fontsize=11)
        axes.legend(title="threshold", loc="lower left")
        save_figure(figure, folder / f"{name}.png")
    _draw_histogram(folder / "na_prob_hist.png", golds, no_answer, thresholds)


def _draw_histogram(
    path: Path, golds: Golds, no_answer: Mapping[str, float], thresholds: Mapping[str, float]
) -> None:
    """Draw the no-answer scores of questions with and without an answer in one picture."""
    unit, span = histogram_scale(no_answer.values())
    name = "Probability of no answer" if span == (0.0, 1.0) else "No-answer score"
    figure = new_figure("--out-image-dir", layout="constrained")
    axes = figure.subplots()
    for label, wanted, colour in (("has an answer", True, "tab:blue"), ("has none", False, "tab:orange")):
        scores = [no_answer[name] / unit for name, answers in dict(golds).items() if bool(answers) == wanted]
        if scores:
            axes.hist(
                scores, weights=[1 / len(scores)] * len(scores), bins=_BINS, range=span, alpha=0.5,
                color=colour, label=f"{label}: {len(scores)} questions",
            )  # fmt: skip
    for (label, threshold), style in zip(thresholds.items(), _LINES, strict=False):
        if span[0] <= threshold / unit <= span[1]:
            axes.axvline(
                threshold / unit, color="black", linestyle=style, label=f"threshold {label}: {threshold:.4g}"
            )
    axes.set(xlabel=name + (f" / {unit:g}" if unit != 1 else ""), ylabel="Share of the questions")
    axes.set_title(f"{name}, by whether there is an answer", fontsize=11)
    figure.legend(loc="outside lower center", ncols=2)
    save_figure(figure, path)


def histogram_scale(values: Collection[float]) -> tuple[float, tuple[float, float]]:
    """The unit to draw finite scores in, and the range of their bins in it.

    Probabilities have the range from 0 to 1. Odds lie anywhere: theirs is from the least to the greatest,
    in a unit in which differences can be computed, and wide enough to be cut into bins.
    """
    if all(0 <= value <= 1 for value in values):
        return 1.0, (0.0, 1.0)
    largest = max(abs(value) for value in values)
    unit = 10.0 ** math.floor(math.log10(largest)) if largest > _LARGE else 1.0
    low, high = min(values) / unit, max(values) / unit
    margin = max(0.0, _NARROW - (high - low)) / 2
    return unit, (low - margin, high + margin)
