"""For mkdocstrings: the lines of a docstring from its first >>> on are its section of examples."""

from typing import Any

import griffe


class ExamplesSection(griffe.Extension):
    """Gives each docstring that ends in doctests the heading that the parser looks for."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is None or "\n>>> " not in obj.docstring.value:
            return
        text, examples = obj.docstring.value.split("\n>>> ", 1)
        lines = f">>> {examples}".splitlines()
        obj.docstring.value = "\n".join([text, "Examples:", *(f"    {line}" for line in lines)])
