"""Reads a report page back: its texts with their classes, its numbers with their sources, its charts."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "br", "img"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: "Element | None" = None
    children: "list[Element | str]" = field(default_factory=list)

    @property
    def classes(self) -> set[str]:
        own = set(self.attributes.get("class", "").split())
        return own | (self.parent.classes if self.parent else set())

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str = "", **attributes: str) -> "list[Element]":
        """Elements below, in order, of that tag and with those attributes (class_: one of the classes)."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                kind = attributes.get("class_")
                if (not tag or child.tag == tag) and (
                    kind is None or kind in child.attributes.get("class", "").split()
                ):
                    found.append(child)
                found += child.all(tag, **attributes)
        return found

    def texts(self) -> "list[tuple[str, Element]]":
        found = []
        for child in self.children:
            found += [(child, self)] if isinstance(child, str) else child.texts()
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.place = Element("", {})

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {name: value or "" for name, value in attrs}, self.place)
        self.place.children.append(element)
        if tag not in _VOID:
            self.place = element

    def handle_startendtag(self, tag, attrs):
        self.place.children.append(Element(tag, {name: value or "" for name, value in attrs}, self.place))

    def handle_endtag(self, tag):
        assert self.place.tag == tag, f"</{tag}> closes <{self.place.tag}>"
        self.place = self.place.parent

    def handle_data(self, data):
        self.place.children.append(data)


def read_page(html: str) -> Element:
    """The page's root; AssertionError where its tags do not nest."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.place is reader.root
    return reader.root
