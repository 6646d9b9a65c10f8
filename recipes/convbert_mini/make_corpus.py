"""Assemble the text that convbert-mini is pre-trained on: DIR/train.data, one passage or pair a line.

Example:
  python -m recipes.convbert_mini.make_corpus --list_packages > packages
  mkdir debs && cd debs && apt-get download $(cat ../packages) && cd ..
  python -m recipes.convbert_mini.make_corpus --glue_dir glue_data --squad_dir squad_data \\
      --package_dir debs --descriptions Translation-en --output_dir corpus

The training texts of GLUE and SQuAD (no labels), and plain English from packages of Debian 12 under free
licences (sources.md in this folder). Two texts of a pair have a TAB between them. Leaves out every line
that equals a dev or test text of either benchmark. The same inputs give the same bytes. Any of the inputs
can be left out; DIR/sources.json says what came from where.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, path, run
from common.errors import InputError, UsageError
from common.files import atomic_write, sha256_of, write_json
from recipes.convbert_mini.corpus_packages import PACKAGES, Package
from recipes.convbert_mini.corpus_readers import READERS, Document
from recipes.convbert_mini.corpus_tasks import glue_lines, held_out, squad_lines
from recipes.convbert_mini.corpus_text import is_plain_english, lines, normalised, passages, sentences
from recipes.convbert_mini.debian_archive import files_of

_NAMED = "This package contains|This package provides|This package includes|This package ships|This is a"


class Corpus:
    """The lines so far, each once, with counts of what every source gave and what was held back."""

    def __init__(self, banned: set[str]) -> None:
        """banned: normalised texts of which no line may consist."""
        self.lines: dict[str, None] = {}  # a set that keeps its order
        self.counts: dict[str, Counter[str]] = {}
        self._banned = banned
        self._said: set[bytes] = set()

    def add(self, source: str, line: str) -> None:
        """Take a line, unless it is there already or one of its texts is banned."""
        count = self.counts.setdefault(source, Counter())
        texts = line.split("\t")
        if any(normalised(text) in self._banned for text in texts):
            count["dev_or_test"] += 1
        elif not all(texts) or line in self.lines:
            count["empty_or_repeated"] += 1
        else:
            self.lines[line] = None
            count.update(
                passages=len(texts), pairs=len(texts) - 1, words=sum(len(text.split()) for text in texts)
            )

    def add_documents(self, source: str, documents: Iterable[Document]) -> None:
        """Take the plain English of running text: every sentence the first time it is said anywhere."""
        count = self.counts.setdefault(source, Counter())
        for document in documents:
            texts = [part for text in document for part in passages(list(self._fresh(text, count)))]
            for line in lines(texts):
                self.add(source, line)

    def _fresh(self, paragraph: str, count: Counter[str]) -> Iterator[str]:
        for sentence in sentences(paragraph):
            if not is_plain_english(sentence):
                count["not_plain_english"] += 1
                continue
            # Digits apart, boilerplate differs in versions and years only.
            key = blake2b(re.sub(r"[\W\d]", "", sentence.lower()).encode(), digest_size=12).digest()
            if normalised(sentence) in self._banned:
                count["dev_or_test"] += 1
            elif key in self._said:
                count["empty_or_repeated"] += 1
            else:
                self._said.add(key)
                yield sentence


def shuffled(lines: Iterable[str], seed: int) -> list[str]:
    """The lines in an order that depends on them and the seed alone, not on the order they came in."""
    key = seed.to_bytes(8, "big")
    return sorted(lines, key=lambda line: (blake2b(line.encode(), key=key, digest_size=16).digest(), line))


def _package_file(folder: Path, package: Package) -> Path:
    """The package's .deb, checked; apt writes an epoch's colon as %3a."""
    start = f"{package.name}_{package.version.replace(':', '%3a')}_"
    (*packages,) = sorted(folder.glob(f"{start.replace('[', '')}*.deb"))
    if not packages:
        raise InputError(
            f"{folder}: no {start}*.deb; there: apt-get download {package.name}={package.version}"
        )
    if sha256_of(packages[0]) != package.sha256:
        raise InputError(f"{packages[0]}: not the bytes this corpus is made of (SHA-256); fetch it again")
    return packages[0]


def _documents(package: Package, folder: Path) -> Iterator[Document]:
    deb = _package_file(folder, package)
    read = 0
    for name, content in files_of(deb, package.files, package.without):
        read += 1
        try:
            yield from READERS[package.reader](content)
        except ValueError as error:
            raise InputError(f"{deb}: {name}: {error}") from None
    if not read:
        raise InputError(f"{deb}: has none of the files {', '.join(package.files)}")


def _described(file: Path) -> Iterator[Document]:
    for document in READERS["descriptions"](file.read_bytes()):
        # What a thousand packages say of themselves with only the name changed.
        yield [text for text in document if not text.startswith(tuple(_NAMED.split("|")))]


def assemble(flags: Any) -> Corpus:
    """Read all inputs that the flags name."""
    glue_dir, squad_dir = (Path(name) if name else None for name in (flags.glue_dir, flags.squad_dir))
    corpus = Corpus(held_out(glue_dir, squad_dir))
    for task, line in glue_lines(glue_dir) if glue_dir else ():
        corpus.add(f"GLUE {task}", line)
    for line in squad_lines(squad_dir) if squad_dir else ():
        corpus.add("SQuAD", line)
    for package in PACKAGES if flags.package_dir else ():
        print(f"reading {package.name}", file=sys.stderr)
        corpus.add_documents(package.name, _documents(package, Path(flags.package_dir)))
    if flags.descriptions:
        corpus.add_documents("package descriptions", _described(Path(flags.descriptions)))
    return corpus


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m recipes.convbert_mini.make_corpus", description=__doc__)
    parser.add_argument(
        "--output_dir", type=path, metavar="DIR", help="folder for train.data and sources.json"
    )
    parser.add_argument(
        "--glue_dir", type=path, metavar="DIR", help="the official GLUE folders, CoLA/, SST-2/, …"
    )
    parser.add_argument("--squad_dir", type=path, metavar="DIR", help="train-v2.0.json or -v1.1, and dev")
    parser.add_argument(
        "--package_dir", type=path, metavar="DIR", help="the .deb files that --list_packages names"
    )
    parser.add_argument(
        "--descriptions", type=path, metavar="FILE", help="Debian's main/i18n/Translation-en, unpacked"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another seed, another order (default: 0)"
    )
    parser.add_switch("--list_packages", help="print the packages, as apt-get download takes them, and stop")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if flags.list_packages:
        print("\n".join(f"{package.name}={package.version}" for package in PACKAGES))
        return
    if not flags.output_dir:
        raise UsageError("--output_dir is missing: name the folder to write train.data into")
    if not any((flags.glue_dir, flags.squad_dir, flags.package_dir, flags.descriptions)):
        raise UsageError(
            "no text: name at least one of --glue_dir, --squad_dir, --package_dir, --descriptions"
        )
    corpus = assemble(flags)
    output = Path(flags.output_dir) / "train.data"
    with atomic_write(output) as file:
        file.writelines(f"{line}\n".encode() for line in shuffled(corpus.lines, flags.seed))
    total: Counter[str] = sum(corpus.counts.values(), Counter())
    write_json(
        output.with_name("sources.json"),
        {"sha256": sha256_of(output), "lines": len(corpus.lines), "total": total, "sources": corpus.counts},
    )
    print(f"{output}: {len(corpus.lines)} lines, {total['words']} words, {total['pairs']} pairs")


if __name__ == "__main__":
    run(main)
