"""Questions and texts → windows of tokens, each of which knows its characters. No Paddle.

A window is ``[CLS] question [SEP] part of the text [SEP]``, RoBERTa's with two [SEP] between. A text is
tokenised once, however many questions it has, and all windows are cut at once from flat arrays. N windows,
Q questions.
"""

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from checkpoints.config_file import config_path, read_values
from common.errors import InputError
from common.progress import progress_bar
from encoders.batching import Features
from encoders.tokenizer import Tokenizer
from squad.data import Dataset

CUTTING = ("doc_stride", "max_query_length")  # how texts were cut, kept beside max_seq_length
_CHUNK = 1000  # texts; what the tokenizer returns is large
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Tokens:
    """Tokenised texts, flat."""

    ids: np.ndarray  # int32, the tokens of all texts
    first: np.ndarray  # int32, where each token begins in its text; ascends within a text
    behind: np.ndarray  # int32, where it ends: its characters are ``text[first:behind]``
    starts: np.ndarray  # (texts + 1,) int64; text i has the tokens ``starts[i]:starts[i + 1]``

    @property
    def lengths(self) -> np.ndarray:
        """(texts,) int64: tokens of each text."""
        return np.diff(self.starts)


@dataclass(frozen=True)
class Windows:
    """All windows of a file, those of a question one after the other."""

    # The rows; with targets (N, 2) int64, the positions of an answer's first and last token in the row. The
    # text's part begins at position ``features.first_lengths``
    features: Features
    question: np.ndarray  # (N,) the number of the question
    token: np.ndarray  # (N,) the number in ``texts`` of the part's first token
    count: np.ndarray  # (N,) how many tokens the part has
    texts: Tokens

    def __len__(self) -> int:
        return len(self.question)


def tokenise(texts: Sequence[str], tokenizer: Tokenizer, title: str = "") -> Tokens:
    """Tokenise texts; with a title there is a progress bar where they are many."""
    ids: list[np.ndarray] = []
    spans: list[np.ndarray] = []
    with progress_bar(len(texts), title if len(texts) > _CHUNK else "", "text") as bar:
        for start in range(0, len(texts), _CHUNK):
            # Half a surrogate pair is no character that could be encoded; U+FFFD keeps its place.
            chunk = [_SURROGATE.sub("\ufffd", text) for text in texts[start : start + _CHUNK]]
            for text, (text_ids, offsets) in zip(chunk, tokenizer.encode_with_offsets(chunk), strict=True):
                ids.append(np.array(text_ids, dtype=np.int32))
                flat = itertools.chain.from_iterable(offsets)
                span = np.fromiter(flat, dtype=np.int32, count=2 * len(offsets)).reshape(-1, 2)
                spans.append(span if text.isascii() else _with_marks(text, span))
            bar.update(len(chunk))
    lengths = np.array([len(text_ids) for text_ids in ids], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    none = np.empty((0, 2), dtype=np.int32)
    together = np.concatenate([none, *spans])
    return Tokens(np.concatenate([none[:, 0], *ids]), together[:, 0], together[:, 1], starts)


def _with_marks(text: str, spans: np.ndarray) -> np.ndarray:
    """Let a token have the combining marks and variation selectors behind it, which the normaliser drops.

    Else the answer "café", its accent a character of its own, would come back as "cafe".
    """
    for number, character in enumerate(text):
        if unicodedata.category(character)[0] == "M" and number not in spans[:, 0]:
            spans[spans[:, 1] == number, 1] += 1
    return spans


def saved_cutting(folder: str | Path) -> dict[str, int]:
    """``doc_stride`` and ``max_query_length`` that a folder's model was trained with, where it says so."""
    values = read_values(config_path(folder))
    saved = {name: values.get(f"qa_{name}") for name in CUTTING}
    return {name: value for name, value in saved.items() if type(value) is int and value > 0}


def make_windows(
    data: Dataset, tokenizer: Tokenizer, max_length: int, step: int, max_query_length: int = 64
) -> Windows:
    """Cut every question's text into windows.

    Args:
        data: The questions and their texts.
        tokenizer: The model's.
        max_length: The longest window in tokens.
        step: By how many tokens of the text a window begins after the one before it, as ``doc_stride`` in
            Google's and PaddleNLP's scripts; Hugging Face's stride is the overlap instead. A larger step than
            there is room for leaves no gap.
        max_query_length: A question is cut to so many tokens.

    Raises:
        InputError: There is no room for the text beside the question.
    """
    specials = 2 + tokenizer.separators  # [CLS], those between the two, and the last [SEP]
    if max_length - max_query_length - specials < 1:
        raise InputError(
            f"--max_seq_length {max_length}: leaves no room for the text beside a question of "
            f"--max_query_length {max_query_length} and {specials} special tokens"
        )
    texts = tokenise(data.contexts, tokenizer, f"tokenising {data.path.name}")
    asked = tokenise([question.text for question in data.questions], tokenizer, "and its questions")
    context = np.array([question.context for question in data.questions], dtype=np.int64)
    asked_lengths = np.minimum(asked.lengths, max_query_length)
    lengths = texts.lengths[context]
    room = max_length - asked_lengths - specials
    steps = np.minimum(step, room)
    windows = 1 + np.maximum(0, -(-(lengths - room) // steps))
    question = np.repeat(np.arange(len(context)), windows)
    begin = ragged(np.zeros(len(context), np.int64), windows) * steps[question]
    count = np.minimum(room[question], lengths[question] - begin)
    token = texts.starts[context[question]] + begin
    asked_length = asked_lengths[question]
    first_lengths = asked_length + 1 + tokenizer.separators
    starts = np.concatenate([[0], np.cumsum(first_lengths + count + 1)]).astype(np.int64)
    row = starts[:-1]
    ids = np.empty(starts[-1], dtype=np.int32)
    ids[row] = tokenizer.token_id("cls_token")
    for number in range(tokenizer.separators):
        ids[row + first_lengths - 1 - number] = tokenizer.token_id("sep_token")
    ids[starts[1:] - 1] = tokenizer.token_id("sep_token")
    ids[ragged(row + 1, asked_length)] = asked.ids[ragged(asked.starts[question], asked_length)]
    ids[ragged(row + first_lengths, count)] = texts.ids[ragged(token, count)]
    return Windows(Features(ids, starts, first_lengths.astype(np.int32)), question, token, count, texts)


def ragged(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """start, start + 1, … of each start, ``counts`` numbers of it, one after the other.

    >>> ragged(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(counts)
    return np.repeat(starts - ends + counts, counts) + np.arange(ends[-1] if len(ends) else 0)


def max_context(windows: Windows) -> np.ndarray:
    """(sum of counts,) bool: for every token of every part, whether this window shows most around it.

    Of the windows a token stands in, that with the larger smaller side counts (plus a hundredth of its
    length; the first of equals), as in Google's BERT and ELECTRA.
    """
    best = np.ones(int(windows.count.sum()), dtype=bool)
    ends = np.cumsum(windows.count)
    firsts = np.flatnonzero(np.diff(windows.question, prepend=-1))
    for low, high in zip(firsts, [*firsts[1:], len(windows)], strict=True):
        if high - low == 1:
            continue
        begin = windows.token[low:high] - windows.token[low]
        count = windows.count[low:high]
        seen = np.full((high - low, int((begin + count).max())), -1.0)
        for line, first, size in zip(seen, begin, count, strict=True):
            side = np.arange(size)
            line[first : first + size] = np.minimum(side, size - 1 - side) + 0.01 * size
        winner = seen.argmax(axis=0)
        for number in range(high - low):
            part = winner[begin[number] : begin[number] + count[number]] == number
            best[ends[low + number] - count[number] : ends[low + number]] = part
    return best


@dataclass(frozen=True)
class Labelled:
    """Windows with targets."""

    windows: Windows
    impossible: np.ndarray  # (N,) bool, those of unanswerable questions
    skipped: list[str]  # the ids of questions left out, since their answer is not in the text or has no token


def label(windows: Windows, data: Dataset, drop: bool = False) -> Labelled:
    """Give every window the positions of its question's first gold answer, found by its characters.

    (0, 0), the first token, where there is none, or a part of it is not in the window; ``drop``: such windows
    of answerable questions are left out.
    """
    spans = np.array([_answer_tokens(windows.texts, data, number) for number in range(len(data.questions))])
    first, last = spans.reshape(-1, 2)[windows.question].T
    impossible = np.array([not question.answers for question in data.questions])
    usable = impossible | (spans[:, 0] >= 0)
    inside = (first >= windows.token) & (last < windows.token + windows.count) & (first >= 0)
    offset = windows.features.first_lengths - windows.token
    targets = np.where(inside[:, None], np.stack([first + offset, last + offset], axis=1), 0)
    kept = usable[windows.question]
    if drop:
        kept &= inside | impossible[windows.question]
    rows, features = np.flatnonzero(kept), windows.features
    lengths = features.lengths[rows]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = features.ids[ragged(features.starts[rows], lengths)]
    chosen = replace(
        windows,
        features=Features(ids, starts, features.first_lengths[rows], targets[rows].astype(np.int64)),
        question=windows.question[rows],
        token=windows.token[rows],
        count=windows.count[rows],
    )
    skipped = [question.name for question, use in zip(data.questions, usable, strict=True) if not use]
    return Labelled(chosen, impossible[chosen.question], skipped)


def _answer_tokens(texts: Tokens, data: Dataset, number: int) -> tuple[int, int]:
    """Numbers in ``texts`` of the first and last token of a question's first answer, or (-1, -1)."""
    question = data.questions[number]
    answer = question.answers[0] if question.answers else None
    if answer is None or answer.start is None or answer.end is None:
        return -1, -1
    low, high = texts.starts[question.context : question.context + 2]
    first = int(np.searchsorted(texts.behind[low:high], answer.start, side="right"))
    last = int(np.searchsorted(texts.first[low:high], answer.end, side="left")) - 1
    return (low + first, low + last) if first <= last else (-1, -1)
