"""Running text → passages of plain English: whole sentences, one passage a line, pairs of neighbours.

Nothing here draws from a random generator: what is chosen by chance is chosen by a digest of the text
itself, so that one passage comes out the same whatever stands around it, on every machine and Python.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b

MOST_WORDS = 100  # of a passage: two of them, and few more, fill the 128 tokens of a pre-training example
_FEWEST_WORDS = 4  # of a sentence: below, it is a heading more often than not
_PAIRED = 60  # percent of the passages that make a pair with the one behind, where both fit an example

_AS_ASCII = str.maketrans({
    "‘": "'", "’": "'", "‚": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": " - ", "―": " - ", "−": "-", "…": "...", "•": " ",
    "\u00a0": " ", "\u200b": "", "\u00ad": "", "\ufeff": "", "ﬁ": "fi", "ﬂ": "fl",
})  # fmt: skip

# A full stop behind one of these ends no sentence; nor does one behind a single capital, an initial.
_ABBREVIATIONS_TEXT = """
mr mrs ms dr st prof gen col capt lt sgt rev hon messrs mt fig figs no nos vol ch sec pp p ed eds e.g i.e
cf vs viz etc al approx ca jr sr inc ltd co corp dept est jan feb mar apr jun jul aug sep sept oct nov dec
u.s a.m p.m esp specif
"""
_ABBREVIATIONS = frozenset(_ABBREVIATIONS_TEXT.split())
_END = re.compile(r"""[.!?]+["')]*\s+(?=["'(]?[A-Z0-9])""")
_LAST_WORD = re.compile(r"([\w.]+)\.$")

# The words that hold English sentences together: in running text about every second word is one.
_FUNCTION_WORDS_TEXT = """
a about after all also an and any are as at be because been before being but by can could did do does for
from had has have he her here him his how i if in into is it its just like may me might more most must my
no not now of on one only or other our out over own she should so some such than that the their them then
there these they this those through to too two under until up upon us used very was we were what when
where which while who whom whose why will with within without would you your
"""
_FUNCTION_WORDS = frozenset(_FUNCTION_WORDS_TEXT.split())
_ORDINARY = re.compile(r"""[A-Za-zÀ-ÖØ-öø-ÿ0-9 ,.;:!?'"()%$£€&/-]+""")
_WHOLE = re.compile(r"""["'(]?[A-Z0-9].*[.!?][.!?"')]*""")
_CODE = re.compile(
    r"""
    \s[.,;:!?] | \.\.\.\. | \., | ,\S*,\S*, | \([ ] | [ ]\)  # something was cut out, or is no sentence
    | :// | www\. | // | \w/\w*/ | \s[./~]+\w | \w\.[A-Za-z]{2,}      # addresses, paths, files
    | \s--?\w | \s[-/]\w*- | \(\) | \(\d\) | %\w | &\w+;  # flags, calls, manual pages, placeholders
    | [a-z][A-Z] | [A-Za-z]+\d\w*[a-z] | \d[.:]\d\S*[.:]\d            # names in programs, versions
    """,
    re.VERBOSE,
)


def normalised(text: str) -> str:
    """What two texts must share to be called the same: their letters and digits, in lower case."""
    return " ".join(re.findall(r"\w+", text.lower()))


def one_line(text: str) -> str:
    """The text with every run of white space made one blank, and nothing that is not printable."""
    text = " ".join(text.split())
    return text if text.isprintable() else one_line("".join(c if c.isprintable() else " " for c in text))


def chance(text: str, salt: str) -> int:
    """A number from 0 to 99 that depends on the text (and what it is for) alone."""
    return int.from_bytes(blake2b(f"{salt}\0{text}".encode(), digest_size=8).digest(), "big") % 100


def sentences(text: str) -> list[str]:
    """Cut a paragraph behind ``.``, ``!`` or ``?`` where a capital or a digit follows.

    >>> sentences("Mr. Bennet made no answer. J. Smith came (at last!) by 5 p.m. in vain. Why? 3 left.")
    ['Mr. Bennet made no answer.', 'J. Smith came (at last!) by 5 p.m. in vain.', 'Why?', '3 left.']
    """
    complete, start = [], 0
    text = one_line(text.translate(_AS_ASCII))
    for end in _END.finditer(text):
        last = _LAST_WORD.search(text, start, end.start() + 1)
        word = last.group(1) if last else ""
        if word.lower() in _ABBREVIATIONS or re.fullmatch(r"([A-Z]\.)*[A-Z]", word):
            continue
        complete.append(text[start : end.end()])
        start = end.end()
    return [whole for part in (*complete, text[start:]) if (whole := _without_half_a_quotation(part.strip()))]


def _without_half_a_quotation(sentence: str) -> str:
    """Who speaks for several sentences has one mark before the first and one behind the last."""
    if sentence.count('"') == 1:
        return sentence.removeprefix('"').removesuffix('"').strip()
    return sentence


def is_plain_english(sentence: str) -> bool:
    """Whether it is one whole sentence of ordinary English: no heading, code, table, address or other tongue.

    >>> is_plain_english("It was a bright cold day, and the clocks were striking.")
    True
    >>> [is_plain_english(text) for text in ("Table of contents", "Call foo_bar() to do it now.")]
    [False, False]
    """
    words = sentence.split()
    if not _FEWEST_WORDS <= len(words) <= MOST_WORDS:
        return False
    if not _WHOLE.fullmatch(sentence) or not _ORDINARY.fullmatch(sentence) or _CODE.search(f" {sentence} "):
        return False
    letters = len(re.sub(r"[\W\d_]", "", sentence))
    if letters < 0.65 * len("".join(words)) or max(map(len, words)) > 25:
        return False
    if sentence.count('"') % 2 or sentence.count("(") != sentence.count(")"):
        return False
    capitals = sum(word.strip("\"'(")[:1].isupper() for word in words)
    functional = sum(word.strip("\"'(),.;:!?").lower() in _FUNCTION_WORDS for word in words)
    return functional >= max(1, 0.25 * len(words)) and capitals <= max(3, 0.4 * len(words))


def passages(kept: Sequence[str]) -> list[str]:
    """Join neighbouring sentences: about half stay alone, the rest grow to some 40 or MOST_WORDS words.

    In order, nothing left out or used twice.
    """
    grown: list[str] = []
    room = 0
    for sentence in kept:
        size = len(sentence.split())
        if size <= room:
            grown[-1] += " " + sentence
            room -= size
            continue
        draw = chance(sentence, "length")
        grown.append(sentence)
        room = max(0, (0 if draw < 45 else 40 if draw < 75 else MOST_WORDS) - size)
    return grown


def lines(texts: Sequence[str]) -> Iterator[str]:
    """The lines of one document's passages: singles, and pairs of neighbours with a TAB between them."""
    start = 0
    while start < len(texts):
        pair = texts[start : start + 2]
        fits = len(pair) == 2 and sum(len(text.split()) for text in pair) <= MOST_WORDS
        if fits and chance(texts[start], "pair") < _PAIRED:
            yield "\t".join(pair)
            start += 2
        else:
            yield texts[start]
            start += 1
