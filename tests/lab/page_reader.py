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
        names = set(self.attributes.get("class", "").split())
        return names | (self.parent.classes if self.parent else set())

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str = "", **attributes: str) -> "list[Element]":
        """Elements below, in order, of that tag and with those attributes (class_: one of the classes)."""
        elements = []
        for child in self.children:
            if isinstance(child, Element):
                kind = attributes.get("class_")
                if (not tag or child.tag == tag) and (
                    kind is None or kind in child.attributes.get("class", "").split()
                ):
                    elements.append(child)
                elements += child.all(tag, **attributes)
        return elements

    def texts(self) -> "list[tuple[str, Element]]":
        texts = []
        for child in self.children:
            texts += [(child, self)] if isinstance(child, str) else child.texts()
        return texts


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.current = Element("", {})

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {name: value or "" for name, value in attrs}, self.current)
        self.current.children.append(element)
        if tag not in _VOID:
            self.current = element

    def handle_startendtag(self, tag, attrs):
        self.current.children.append(Element(tag, {name: value or "" for name, value in attrs}, self.current))

    def handle_endtag(self, tag):
        assert self.current.tag == tag, f"</{tag}> closes <{self.current.tag}>"
        self.current = self.current.parent

    def handle_data(self, data):
        self.current.children.append(data)


def read_page(html: str) -> Element:
    """The page's root; AssertionError where its tags do not nest."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.current is reader.root
    return reader.root
