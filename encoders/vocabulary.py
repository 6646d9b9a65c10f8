"""``vocab.txt``: a piece a line, whose number is its id. No Paddle."""

from pathlib import Path

from common.errors import InputError
from common.model_files import TOKENIZER_JSON
from common.text import read_text

# What the vocabularies of other kinds of tokeniser are called.
_OTHER_KINDS = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "vocab.json", "merges.txt")
# What Unicode calls white space, which the library takes off the end of a line. (Python takes off more.)
WHITE_SPACE = "".join(
    [
        *map(chr, [*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)]),
        "\u2028\u2029\u202f\u205f\u3000",
    ]
)


def read_vocabulary(path: Path) -> tuple[list[str], list[str]]:
    """The pieces of vocab.txt, a line each, and notes. A blank line is an id without a piece."""
    if not path.is_file():
        others = [name for name in _OTHER_KINDS if (path.parent / name).is_file()]
        kind = (
            f" ({', '.join(others)}: of another kind of tokeniser, which is not read here)" if others else ""
        )
        raise InputError(
            f"{path}: no such file, nor {TOKENIZER_JSON}{kind}; a model folder holds its WordPiece "
            "vocabulary in one of them"
        )
    text = read_text(path)
    lines = [line.rstrip(WHITE_SPACE) for line in text.removesuffix("\n").split("\n")]  # as the library does
    return lines, _repeated(path, lines)


def _repeated(path: Path, lines: list[str]) -> list[str]:
    first: dict[str, int] = {}
    again = [(number, line) for number, line in enumerate(lines) if first.setdefault(line, number) != number]
    again = [(number, line) for number, line in again if line]
    if not again:
        return []
    number, line = again[0]
    more = f" (and {len(again) - 1} more lines repeat others)" if len(again) > 1 else ""
    return [
        f"{path}:{number + 1}: {line!r} stands already in line {first[line] + 1}{more}; its id is that of "
        "the last such line, as in transformers"
    ]
