"""Logits → the best spans of every question. No Paddle.

N windows, Q questions, C candidate spans. All windows are worked on at once, in chunks; there is no loop
over spans, and none over windows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from common.errors import InputError
from encoders.batching import Batch
from squad.answers import Answers, Rules
from squad.data import Dataset
from squad.windows import Windows, max_context, ragged

_LIMIT = 1e30  # infinite logits count as this much, so that every sum is a number
_CHUNK = 1 << 18  # padded tokens of the windows that are worked on at once


@dataclass(frozen=True)
class Spans:
    """Candidates, (C,) each."""

    window: np.ndarray  # the number of the window
    first: np.ndarray  # the number of the first token, within the window's part of the text
    last: np.ndarray  # the same of the last one
    start: np.ndarray
    end: np.ndarray  # start and end, float32: scores whose sum is the span's


@dataclass(frozen=True)
class Nulls:
    """What speaks for no answer."""

    start: np.ndarray | None = None
    end: np.ndarray | None = None  # start and end (N,): scores of the first token, to be listed among the
    # n best; None where they are not on the spans' scale
    odds: np.ndarray | None = None  # (N,); None: the null score less the best span's


def best_answers(
    windows: Windows, data: Dataset, start_logits: np.ndarray, end_logits: np.ndarray, rules: Rules
) -> Answers:
    """Find the best spans by start + end logit: float32, flat as ``windows.features.ids``, without padding.

    Infinite ones count as ±1e30; a NaN is an InputError that names the question.
    """
    start, end = (_numbers(logits, windows, data) for logits in (start_logits, end_logits))
    firsts = windows.features.starts[:-1]
    spans = best_spans(windows, start, end, rules)
    return rank(spans, Nulls(start[firsts], end[firsts]), windows, data, rules)


def _numbers(logits: np.ndarray, windows: Windows, data: Dataset) -> np.ndarray:
    wrong = np.flatnonzero(np.isnan(logits))
    if len(wrong):
        _refuse_nan(int(np.searchsorted(windows.features.starts, wrong[0], side="right")) - 1, windows, data)
    return np.clip(logits, -_LIMIT, _LIMIT).astype(np.float32)


def _refuse_nan(window: int, windows: Windows, data: Dataset) -> NoReturn:
    """Say of which question the model's answer is not a number."""
    name = data.questions[windows.question[window]].name
    raise InputError(f"question {name!r}: the model's logits are NaN; did its training diverge?")


def best_spans(windows: Windows, start: np.ndarray, end: np.ndarray, rules: Rules) -> Spans:
    """Of every window the ``n_best`` spans of at most ``max_length`` tokens inside its part of the text.

    Exactly these: of equal ones the earlier, then the shorter. start, end: flat finite logits.
    """
    begin = windows.features.starts[:-1] + windows.features.first_lengths
    allowed = max_context(windows) if rules.max_context else None
    parts = np.concatenate([[0], np.cumsum(windows.count)])
    chunks = []
    low = 0
    while low < len(windows):
        width = np.maximum.accumulate(windows.count[low:])
        size = max(1, int(np.searchsorted(width * np.arange(1, len(width) + 1), _CHUNK)))
        rows = slice(low, low + size)
        low += size
        count = windows.count[rows]
        if not count.max():
            continue
        real = np.arange(count.max()) < count[:, None]
        positions = ragged(begin[rows], count)
        s, e = (np.full(real.shape, -np.inf, dtype=np.float32) for _ in "se")
        s[real], e[real] = start[positions], end[positions]
        if allowed is not None:
            s[real] = np.where(allowed[parts[rows.start] : parts[rows.start + len(count)]], s[real], -np.inf)
        chunks.append(_best_of_chunk(s, e, rules, rows.start))
    none = [np.empty(0, dtype=kind) for kind in (np.int64, np.int64, np.int64, np.float32, np.float32)]
    return Spans(*(np.concatenate(column) for column in zip(none, *chunks, strict=True)))


def _best_of_chunk(s: np.ndarray, e: np.ndarray, rules: Rules, low: int) -> tuple[np.ndarray, ...]:
    """s, e: (W, T) logits, −∞ where nothing may start or end → the columns of Spans."""
    rows, width = s.shape
    longest = min(rules.max_length, width)
    best = np.full_like(s, -np.inf)  # of all spans that begin at a token
    for more in range(longest):
        np.maximum(best[:, : width - more], s[:, : width - more] + e[:, more:], out=best[:, : width - more])
    # Who is among the n best spans begins at one of the n best beginnings: each of these, where it is
    # better or equal and earlier, has a span that comes before it.
    tops = np.sort(np.argsort(-best, axis=1, kind="stable")[:, : rules.n_best], axis=1)  # (W, n)
    lasts = tops[:, :, None] + np.arange(longest)  # (W, n, L)
    row = np.arange(rows)[:, None]
    score = s[row, tops][:, :, None] + np.where(
        lasts < width, e[row[:, :, None], np.minimum(lasts, width - 1)], -np.inf
    )
    score = score.reshape(rows, -1)
    order = np.argsort(-score, axis=1, kind="stable")[:, : rules.n_best]
    window, best_scores = np.broadcast_to(row, order.shape), np.take_along_axis(score, order, axis=1)
    kept = np.isfinite(best_scores)
    window, order = window[kept], order[kept]
    first = tops[window, order // longest]
    last = first + order % longest
    return window + low, first, last, s[window, first], e[window, last]


def collect_outputs(
    batches: Iterable[tuple[Batch, Mapping[str, np.ndarray]]], windows: Windows
) -> tuple[np.ndarray, list[tuple[np.ndarray, list[np.ndarray]]]]:
    """What a span model, or its graph, answers to batches of windows, each given with its outputs by name.

    Returns start and end logits (2, tokens), flat as the features' ids and 0 where no batch is; of the joint
    head instead every batch's window numbers and outputs, as ``best_of_beams`` takes them.
    """
    features = windows.features
    logits = np.zeros((2, len(features.ids)), dtype=np.float32)
    beams = []
    for batch, outputs in batches:
        if "impossible" in outputs:
            beams.append((batch.rows, list(outputs.values())))
            continue
        columns = np.arange(batch.ids.shape[1])
        real = columns < features.lengths[batch.rows][:, None]
        positions = (features.starts[batch.rows][:, None] + columns)[real]
        for side, name in zip(logits, ("start", "end"), strict=True):
            side[positions] = outputs[name][real]
    return logits, beams


def best_of_beams(
    beams: Sequence[tuple[np.ndarray, Sequence[np.ndarray]]], windows: Windows, data: Dataset, rules: Rules
) -> Answers:
    """The best spans of the joint head: its pairs inside the text, no longer than allowed; as odds what its
    classifier says, where it says least.

    beams: of every batch the windows' numbers (B,), and what ``encoders.span_heads.Beams`` holds, as arrays:
    start and start_at (B, K), end and end_at (B, K, K), impossible (B,). A NaN is an InputError with the
    question's id; infinite numbers count as ±1e30.
    """
    odds = np.zeros(len(windows), dtype=np.float32)
    chunks = []
    parts = np.concatenate([[0], np.cumsum(windows.count)])
    allowed = max_context(windows) if rules.max_context else np.ones(int(parts[-1]), dtype=bool)
    for rows, (start, start_at, end, end_at, impossible) in beams:
        for part in (start, end, impossible):
            wrong = np.isnan(part.reshape(len(rows), -1)).any(axis=1)
            if wrong.any():
                _refuse_nan(int(rows[wrong][0]), windows, data)
        start, end, odds[rows] = (np.clip(part, -_LIMIT, _LIMIT) for part in (start, end, impossible))
        window = np.broadcast_to(rows[:, None, None], end.shape)
        at = np.broadcast_to(start_at[:, :, None], end.shape)
        chance = np.broadcast_to(start[:, :, None], end.shape)
        lead, count = windows.features.first_lengths[window], windows.count[window]
        first, last = at - lead, end_at - lead
        good = (first >= 0) & (last < count) & (last >= first) & (last - first < rules.max_length)
        good[good] &= allowed[(parts[window] + first)[good]]
        chunks.append([column[good] for column in (window, first, last, chance, end)])
    spans = Spans(*(np.concatenate(column) for column in zip(*chunks, strict=True)))
    return rank(spans, Nulls(odds=odds), windows, data, rules)


def rank(spans: Spans, nulls: Nulls, windows: Windows, data: Dataset, rules: Rules) -> Answers:
    """Put together what the windows of a question say: each run of characters once, the n best kept.

    Of equal scores the earlier, then the shorter span comes first. The smallest null score counts.
    """
    question = windows.question[spans.window]
    token = windows.token[spans.window]
    first, behind = windows.texts.first[token + spans.first], windows.texts.behind[token + spans.last]
    score = spans.start.astype(np.float64) + spans.end
    order = np.lexsort((spans.window, -score, behind, first, question))
    same = np.zeros(len(order), dtype=bool)
    for column in (key[order] for key in (question, first, behind)):
        same |= np.diff(column, prepend=-1) != 0
    kept = order[same]
    kept = kept[np.lexsort((behind[kept], first[kept], -score[kept], question[kept]))]
    count = np.bincount(question[kept], minlength=len(data.questions))
    rank_in_question = ragged(np.zeros(len(count), np.int64), count)
    kept = kept[rank_in_question < rules.n_best]
    starts = np.concatenate([[0], np.cumsum(np.minimum(count, rules.n_best))])
    best = np.full(len(count), -np.inf)
    has = count > 0
    best[has] = score[kept][starts[:-1][has]]
    null_start, null_end, odds = _null(nulls, windows.question, best)
    return Answers(
        data, rules, starts, first[kept], behind[kept], spans.start[kept], spans.end[kept],
        null_start, null_end, np.minimum(odds, _LIMIT),
    )  # fmt: skip


def _null(
    nulls: Nulls, question: np.ndarray, best: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
    """Each question's null scores, from the window where they are least, and its odds."""
    if nulls.odds is not None:
        rows = _least(nulls.odds, question)
        # Without a span there is nothing but nothing to answer.
        return None, None, np.where(np.isfinite(best), nulls.odds[rows].astype(np.float64), np.inf)
    assert nulls.start is not None
    assert nulls.end is not None
    score = nulls.start.astype(np.float64) + nulls.end
    rows = _least(score, question)
    return nulls.start[rows], nulls.end[rows], score[rows] - best


def _least(values: np.ndarray, question: np.ndarray) -> np.ndarray:
    """(Q,) the window of each question with the smallest value, the first of equals."""
    order = np.lexsort((np.arange(len(values)), values, question))
    return order[np.diff(question[order], prepend=-1) != 0]
