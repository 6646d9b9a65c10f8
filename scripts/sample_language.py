"""The language of the embedded sample: a lexicon, small templates, and what makes each task's label.

Every text here is the project's own. The signal is simple enough for a tiny model trained from
nothing, and honest: in a pair task the label depends on how a word of the first text relates to a word
of the second (the same city, an opposite adjective, an answer of the kind asked for), while each of the
two words alone is equally frequent under every label. All other words say nothing of the label.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypeVar

from common.errors import InputError

T = TypeVar("T")
Texts = tuple[str, ...]  # a row's one text, or its two
Cell = tuple[str, ...]  # a row's marked words, in the order in which its templates number them

LEXICON: dict[str, tuple[str, ...]] = {
    kind: tuple(words.split())
    for kind, words in {
        "person": "farmer teacher doctor sailor baker painter driver singer nurse student",
        "object": "basket letter lamp ladder bottle blanket kettle mirror",
        "place": "market station garden church village castle school harbour",
        "adjective": "old young tall quiet tired friendly careful famous",
        "verb": "carried pushed dropped painted cleaned followed showed watched",
        "time": "today yesterday again suddenly soon later once sometimes",
        "company": "shipping insurance railway mining clothing software",
        "state": "late tired ready happy lost early",
        "good": "wonderful charming brilliant lovely clever funny moving fresh",
        "bad": "boring terrible clumsy awful stupid dull painful stale",
        "part": "story music acting ending picture script",
        "street": "shop gate box museum kitchen cupboard",
        "harbour": "ship library garage tank cabin warehouse",
    }.items()
}


class Dice:
    """Random choices from ``random.random()`` alone, whose sequence Python promises never to change."""

    def __init__(self, *seed: object) -> None:
        self._source = random.Random("/".join(map(str, seed)))

    def below(self, number: int) -> int:
        """A number from 0 to ``number`` - 1."""
        return int(self._source.random() * number)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in another order (Fisher-Yates)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result


@dataclass(frozen=True)
class Pattern:
    """What one task's rows are made of.

    weights: label → its share of the rows, in proportion. cells: label → the marked words such a row
    may have, all equally often. templates: alternatives of a row's text, or of its two, with " | " between;
    ``{0}`` is a marked word, ``{person}`` any of that kind, ``{person2}`` one more, the same in both.
    nouns: what kind ``{noun}`` is, by part of the task (MNLI's mismatched files have nouns of their own).
    """

    weights: dict[str, int]
    cells: dict[str, list[Cell]]
    templates: tuple[str, ...]
    nouns: dict[str, str] = field(default_factory=dict)


def _agreement() -> dict[str, list[Cell]]:
    return {
        "1": [("{person}", "was"), ("{person}s", "were")],
        "0": [("{person}", "were"), ("{person}s", "was")],
    }


def _same_or_not(words: str, same: str, different: str) -> dict[str, list[Cell]]:
    pairs = list(product(words.split(), repeat=2))
    return {same: [p for p in pairs if p[0] == p[1]], different: [p for p in pairs if p[0] != p[1]]}


def _overlaps() -> dict[str, list[Cell]]:
    # How many of the second text's three animals are that of the first; the file's score is made from it.
    cells: dict[str, list[Cell]] = {count: [] for count in "0123"}
    for one, *others in product(("dog", "horse"), repeat=4):
        cells[str(others.count(one))].append((one, *others))
    return cells


def _states() -> dict[str, list[Cell]]:
    opposite = {"open": "closed", "closed": "open", "empty": "full", "full": "empty"}
    cells: dict[str, list[Cell]] = {"contradiction": [], "entailment": [], "neutral": []}
    for first, second in product(opposite, repeat=2):
        related = "entailment" if first == second else "contradiction"
        cells[related if second in (first, opposite[first]) else "neutral"].append((first, second))
    return cells


def _answers() -> dict[str, list[Cell]]:
    kinds = {"color": ("red", "green", "blue"), "day": ("Monday", "Friday", "Sunday")}
    cells: dict[str, list[Cell]] = {"entailment": [], "not_entailment": []}
    for asked, (kind, words) in product(kinds, kinds.items()):
        cells["entailment" if asked == kind else "not_entailment"] += [(asked, word) for word in words]
    return cells


def _referents() -> dict[str, list[Cell]]:
    names = {"she": ("Anna", "Maria", "Ruth"), "he": ("Tom", "Paul", "Omar")}
    cells: dict[str, list[Cell]] = {"0": [], "1": []}
    for pronoun, (fitting, group) in product(names, names.items()):
        cells[str(int(pronoun == fitting))] += [(pronoun, name) for name in group]
    return cells


ENTAILED = ("entailment", "not_entailment")

PATTERNS: dict[str, Pattern] = {
    "cola": Pattern({"0": 35, "1": 65}, _agreement(), (
        "The {adjective} {0} {1} {state}.",
        "The {0} {1} {state} in the {place}.",
        "{time}, the {0} {1} {state} and {verb} the {object}.",
        "I heard that the {0} {1} {state} {time}.",
    )),
    "sst-2": Pattern({"0": 1, "1": 1}, {"1": list(zip(LEXICON["good"])), "0": list(zip(LEXICON["bad"]))}, (
        "a {0} film about a {adjective} {person} and a {person2} .",
        "the {part} is {0} , and so is the {part2} .",
        "it has a {0} {part} and , near the {place} , a {0} {part2}",
        "{0} {part} {time}",
    )),
    "mrpc": Pattern({"0": 40, "1": 60}, _same_or_not("Osmo Velden", "1", "0"), (
        "Shares of {0} fell {time} , a {person} of {0} said . | {1} shares fell , said the {1} {person} .",
        "{0} of the {place} , said {0} {time} , was {state} . | {1} was {state} , {1} of the {place} said .",
    )),
    "sts-b": Pattern({"0": 1, "1": 1, "2": 1, "3": 1}, _overlaps(), (
        "The {0} of the {person}, a {adjective} {0}, is a {place} {0}. | "
        "One {1}, one {2}, one {3} of the {place}.",
        "{time} the {person} saw a {0}, one {0} and a {adjective} {0}. | "
        "The {person} saw one {1}, one {2}, one {3}.",
    )),
    "qqp": Pattern({"0": 60, "1": 40}, _same_or_not("guitar chess", "1", "0"), (
        "How can a {person} learn {0} if {0} is {adjective}? | Is {1} {adjective}, or can I learn {1}?",
        "Can a {person} of the {place} like {0}, or play {0} {time}? | "
        "Why does a {person} like {1}, or play {1} {time}?",
    )),
    "mnli": Pattern(
        {"contradiction": 1, "entailment": 1, "neutral": 1}, _states(), (
            "The {noun} was {0}, so {0}, said the {adjective} {person}. | The {noun} was {1}, quite {1}.",
            "{time} the {person}'s {noun} is {0}, quite {0}, isn't it? | I think it is {1}, so {1}",
        ),
        nouns={"": "street", "matched": "street", "mismatched": "harbour", "diagnostic": "street"},
    ),
    "qnli": Pattern(dict.fromkeys(ENTAILED, 1), _answers(), (
        "What {0} did the {person} write, which {0}? | The {person} wrote {1}, {1} on a {object}.",
        "Which {0}, what {0} does the {object} show? | It shows {1}, just {1}, near the {place}.",
    )),
    "rte": Pattern(dict.fromkeys(ENTAILED, 1), _same_or_not("Paris Cairo", *ENTAILED), (
        "The {adjective} {person} of the {place} was born in {0} and lives in {0}. | "
        "Born in {1}, the {person} lives in {1}.",
        "{0}: the {company} company met the {person} in {0}. | The {person} came to {1}, to see {1}.",
    )),
    "wnli": Pattern({"0": 1, "1": 1}, _referents(), (
        "Two people met at the {place}: {0} was {state}, {0} said. | {1} was {state}, {1} said.",
        "When the {person} came {time}, {0} was {state}, {0} said. | It was {1} who was {state}, {1} said.",
    )),
}  # fmt: skip

# Appended to a few rows, so that lengths vary as in the real files.
ASIDES = (
    "Nobody else was near the {place3}, except for a {adjective3} {person3} with a {object3}.",
    "The {person3} who had {verb3} the {object3} and the {object4} was {adjective3} and {adjective4}, too.",
    "After that the {adjective3} {person3} and the {person4} went to the {place3} and then to the {place4}.",
)
# Raw quotes of all kinds, accents, symbols, CJK: what readers and tokenizers stumble over.
DECORATIONS = (
    '" {}', '{} "', "Hm... {}", "{} — at the café", '"{}" they said', "{} (中文)", "{} '' ok",
    "{} € 20 & ½!", "naïve: {}",
)  # fmt: skip
_LONG, _DECORATED = 19, 11  # every so many rows
_REPEATS = 2000  # drawn again, besides one a row; a task's texts are nearly used up when these are


def make_rows(task: str, part: str, number: int, dice: Dice, used: set[Texts]) -> list[tuple[Texts, str]]:
    """``number`` rows of (texts, label); labels and marked words in fixed shares, in random order.

    task: a name in PATTERNS. part: as in ``glue.tasks.Split``. used: texts of the task's earlier files,
    added to; no row repeats one (unless very many rows are asked for). Length and decoration go by a
    row's number, which says nothing of its label.
    """
    if task not in PATTERNS:
        raise InputError(f"the sample has no texts for {task}: add a pattern to PATTERNS", path=__file__)
    pattern = PATTERNS[task]
    rows = []
    repeats_left = number + _REPEATS
    for row, (label, cell) in enumerate(_plan(pattern, number, dice)):
        for _ in range(100):
            words = {str(position): word for position, word in enumerate(cell)}
            if pattern.nouns:
                words["noun"] = dice.pick(LEXICON[pattern.nouns[part]])
            templates = dice.pick(pattern.templates).split(" | ")
            texts = tuple(_fill(template, words, dice) for template in templates)
            if texts not in used or not repeats_left:
                break
            repeats_left -= 1
        used.add(texts)
        rows.append((_varied(texts, row, dice, lower=task == "sst-2"), label))
    return rows


def with_noise(rows: list[tuple[Texts, str]], share: float, dice: Dice) -> list[tuple[Texts, str]]:
    """The rows, with ``share`` of them, picked at random, given another of their labels."""
    result, labels = list(rows), sorted({label for _, label in rows})
    for row in dice.shuffled(range(len(rows)))[: round(share * len(rows))]:
        texts, label = rows[row]
        result[row] = texts, dice.pick([other for other in labels if other != label])
    return result


def _varied(texts: Texts, row: int, dice: Dice, lower: bool) -> Texts:
    varied = [text if lower else text[0].upper() + text[1:] for text in texts]
    if row % _LONG == 5:
        aside = " ".join(_fill(aside, {}, dice) for aside in ASIDES[row % 3 :])
        varied[0] += " " + (aside.lower() if lower else aside)
    if row % _DECORATED == 3:
        turn, kind = divmod(row // _DECORATED, len(DECORATIONS))
        side = turn % len(varied)
        varied[side] = DECORATIONS[kind].format(varied[side])
    return tuple(varied)


def _plan(pattern: Pattern, number: int, dice: Dice) -> list[tuple[str, Cell]]:
    planned: list[tuple[str, Cell]] = []
    total, weight_so_far = sum(pattern.weights.values()), 0
    for label, weight in pattern.weights.items():
        weight_so_far += weight
        cells = dice.shuffled(pattern.cells[label])
        wanted = round(number * weight_so_far / total) - len(planned)
        planned += [(label, cells[i % len(cells)]) for i in range(wanted)]
    return dice.shuffled(planned)


def _fill(template: str, words: dict[str, str], dice: Dice) -> str:
    def word(match: re.Match[str]) -> str:
        name = match[1]
        if name not in words:
            words[name] = dice.pick(LEXICON[name.rstrip("0123456789")])
        # A marked word may itself name a kind: "{person}s" is the plural of any person.
        return _fill(words[name], words, dice) if "{" in words[name] else words[name]

    return re.sub(r"\{(\w+)\}", word, template)


def all_words() -> list[str]:
    """Every ASCII word and sign that texts may hold, lower-cased, sorted: for the vocabulary."""
    sources = [word for kind in LEXICON.values() for word in kind]
    for pattern in PATTERNS.values():
        sources += [template.replace(" | ", " ") for template in pattern.templates]
        sources += [word for cells in pattern.cells.values() for cell in cells for word in cell]
    text = re.sub(r"\{\w*\}s?", " ", " ".join([*sources, *ASIDES, *DECORATIONS])).lower()
    return sorted({word for word in re.findall(r"\w+|[^\w\s]", text) if word.isascii()})
