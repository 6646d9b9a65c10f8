"""What Debian's documentation comes in → documents: lists of paragraphs, in their order, without markup.

A reader takes one file's bytes and yields its documents. It leaves code, tables and headings to
``corpus_text.is_plain_english`` wherever the markup does not say what they are.
"""

import json
import re
import zlib
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

Document = list[str]
Reader = Callable[[bytes], Iterator[Document]]

_HIDDEN_TAGS = """
script style pre nav head textarea select svg math programlisting screen synopsis literallayout
cmdsynopsis title indexterm footnote remark desc credit license comment bibliography refmeta
refsynopsisdiv
"""
_NOT_TEXT = frozenset(_HIDDEN_TAGS.split())
_INLINE_TAGS = """
a abbr acronym b big bdo cite citetitle code command dfn em emphasis filename firstterm font g gui
guilabel guimenu guimenuitem guisubmenu guibutton menuchoice i interface keycap keycombo key keyseq kbd
link literal mark option output parameter phrase productname q quote samp small span strong sub sup
systemitem tt application app ulink trademark u userinput varname var xref wbr anchor indexterm footnote
remark w verse chapter seg divinename transchange l lg
"""  # from w on: OSIS
_WITHIN_A_LINE = frozenset(_INLINE_TAGS.split())


class _Paragraphs(HTMLParser):
    """HTML, and XML much like it (DocBook, Mallard): a paragraph ends wherever a block begins or ends."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: Document = []
        self._pieces: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _WITHIN_A_LINE:
            self.flush()
        if tag in _NOT_TEXT:
            self._hidden.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _WITHIN_A_LINE:
            self.flush()

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        elif tag not in _WITHIN_A_LINE:
            self.flush()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._pieces.append(data)

    def flush(self) -> None:
        text = " ".join("".join(self._pieces).split())
        if text and not self._hidden:
            self.texts.append(text)
        if not self._hidden:
            self._pieces.clear()


def read_markup(raw: bytes) -> Iterator[Document]:
    """One HTML, DocBook or Mallard page."""
    parser = _Paragraphs()
    parser.feed(_decoded(raw))
    parser.close()
    parser.flush()
    yield parser.texts


def read_plain(raw: bytes) -> Iterator[Document]:
    """Plain text with blank lines between its paragraphs."""
    yield [" ".join(block.split()) for block in re.split(r"\n\s*\n", _decoded(raw))]


def read_dictionary(raw: bytes) -> Iterator[Document]:
    """A dictd database: headwords at the left margin, what they mean below, indented.

    Sources, references, etymologies and marks in brackets are left out; ``{}`` marks cross references.
    """
    for entry in re.split(r"\n(?=\S)", _decoded(raw)):
        paragraphs = []
        for block in re.split(r"\n\s*\n", entry.partition("\n")[2]):
            text = re.sub(r"\[[^\]]*\]|<[^>]*>", " ", " ".join(block.split()))
            text = re.sub(r"\s--\s?[A-Z][^.]{0,30}\.(?=\s|$)", " ", text)  # who said it
            text = re.sub(
                r"[{}_]", "", re.sub(r"(?:^|(?<=\. ))(?:\d+\.|\([a-z]\)|\([A-Z]\w+\.\))+\s", "", text)
            )
            paragraphs.append(" ".join(text.split()))
        yield paragraphs


def read_alphabet(raw: bytes) -> Iterator[Document]:
    """A dictionary whose entries are plain paragraphs (The Devil's Dictionary)."""
    text = re.sub(r"\n([A-Z' -]{2,}), (?:n|v\.t|v\.i|adj|adv|v|pp|p\.p)\.", r"\n\n", _decoded(raw))
    for block in re.split(r"\n\s*\n", text):
        yield [" ".join(block.replace("_", "").split())]


def read_wordnet(raw: bytes) -> Iterator[Document]:
    """A ``data.*`` file of WordNet: what each word means, as a sentence of its own, and the examples."""
    for line in _decoded(raw).splitlines():
        head, bar, gloss = line.partition(" | ")
        fields = head.split()
        if not bar or len(fields) < 5:
            continue  # the licence, in the first lines
        word = re.sub(r"\(\w+\)$", "", fields[4]).replace("_", " ")
        examples = re.findall(r'"([^"]+)"', gloss)
        meaning = re.sub(r'[;:,]?\s*"[^"]*"', "", gloss).strip(" ;:")
        yield [_as_sentence(f"{word}: {meaning}"), *(_as_sentence(example) for example in examples)]


def read_novels(raw: bytes) -> Iterator[Document]:
    """An R data base (.rdb) of character vectors: a book's wrapped lines, with "" between paragraphs."""
    while len(raw) > 4:
        size = int.from_bytes(raw[:4], "big")  # of the inflated object
        stream = zlib.decompressobj()
        text = "\n".join(_strings(stream.decompress(raw[4:], size)))
        raw = stream.unused_data
        yield [" ".join(part.split()) for part in text.replace("_", "").split("\n\n")]


def read_sword(raw: bytes) -> Iterator[Document]:
    """A SWORD module (.bzz): books of the Bible in OSIS, compressed, with stray bytes between some."""
    while (start := raw.find(b"x\x9c")) >= 0:
        stream = zlib.decompressobj()
        try:
            book = stream.decompress(raw[start:])
        except zlib.error:  # two bytes that only look like a beginning
            raw = raw[start + 2 :]
            continue
        raw = stream.unused_data
        yield from read_markup(re.sub(rb"(?s)<note\b.*?</note>", b" ", book))


def _strings(item: bytes) -> Iterator[str]:
    """The CHARSXPs of a serialised character vector (R Internals, 1.8: flags, length, bytes, big-endian)."""
    offset = item.find(b"\0\0\0\x10") + 8
    while offset + 8 <= len(item) and item[offset + 3] == 9:
        size = int.from_bytes(item[offset + 4 : offset + 8], "big")
        yield item[offset + 8 : offset + 8 + size].decode("utf-8", "replace")
        offset += 8 + size


def read_wml(raw: bytes) -> Iterator[Document]:
    """A Wesnoth scenario: the story and what people say, ``_ "…"``."""
    texts = re.findall(r'_\s*"((?:[^"]|"")*)"', _decoded(raw))
    # Up to a ^ stands what tells one translation from another.
    yield [re.sub(r"<[^>]*>|^[^^]*\^", "", text.replace('""', '"')) for text in texts]


def read_endless_sky(raw: bytes) -> Iterator[Document]:
    """Endless Sky's data: conversations within back quotes, descriptions within either quotes."""
    texts = re.findall(r'`([^`\n]+)`|description "([^"\n]+)"', _decoded(raw))
    yield [first or second for first, second in texts]


def read_gettext(raw: bytes) -> Iterator[Document]:
    r"""Texts marked for translation, ``_("…\n\`` over several lines (Freeciv's help)."""
    for text in re.findall(r'_\("((?:[^"\\]|\\.)*)"\)', _decoded(raw), re.S):
        text = text.replace("\\\n", "").replace('\\"', '"')
        yield [" ".join(block.replace("\\n", " ").split()) for block in text.split("\\n\\n")]


def read_stringtable(raw: bytes) -> Iterator[Document]:
    """FreeOrion's texts: a key, then a line, or lines within three quotes; ``[[…]]`` are links."""
    for block in re.split(r"(?m)^[A-Z0-9_]+$", _decoded(raw)):
        yield [line.strip() for line in block.replace("'''", "").splitlines()]


_TOLD = frozenset(
    [
        "description",
        "text",
        "str",
        "dynamic_line",
        "yes",
        "no",
        "message",
        "snippet",
        "messages",
        "lines",
        "opener",
    ]
)


def read_json(raw: bytes) -> Iterator[Document]:
    """JSON objects with texts under telling names (Cataclysm: DDA)."""
    for value in json.loads(_decoded(raw)) if raw.lstrip()[:1] == b"[" else []:
        yield list(_told(value, ""))


def _told(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, str):
        if name in _TOLD:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _told(item, name)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _told(item, key)


def read_descriptions(raw: bytes) -> Iterator[Document]:
    """Debian's ``Translation-en``: what every package is, in paragraphs; lists are left out."""
    for stanza in _decoded(raw).split("\n\n"):
        described = stanza.partition("Description-en:")[2].splitlines()[1:]
        text = "\n".join("" if re.match(r" (\.$|\s|[-*+o] )", line) else line[1:] for line in described)
        yield [" ".join(block.split()) for block in text.split("\n\n")]


def _as_sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


READERS: dict[str, Reader] = {
    name.removeprefix("read_"): reader for name, reader in globals().items() if name.startswith("read_")
}
